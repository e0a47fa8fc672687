/** Base models by hub id: their configuration, tokenizer, and weights or ONNX files, in the shared cache. */
import { HubError } from '../../src/errors.ts'
import { describeParts, onnxPartsOf, wholeDtypes, type OnnxParts } from '../../src/onnx/model-files.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { checkModel, lockedModel, lockModel } from '../hub/lock-model.ts'
import type { PullOptions } from '../hub/pull.ts'
import type { RemoteFile } from '../hub/remote.ts'
import { fetchSnapshot, type Snapshot } from '../hub/snapshot.ts'

/** What of a base model is wanted: the weights to train on, or the ONNX files to attach to. */
export type ModelParts = 'weights' | 'onnx'

export interface HubModelOptions extends Partial<
  Pick<PullOptions, 'hubUrl' | 'token' | 'cacheDir' | 'offline' | 'check' | 'revision' | 'onProgress' | 'clock' | 'fetch' | 'signal'>
> {
  readonly parts?: ModelParts
  /** Ending of the ONNX files' names before `.onnx`: `` (float), `_quantized`, `_fp16`, … */
  readonly variant?: string
  /** `prompts.lock.json` to record the files in, or with `frozen` to take them from. */
  readonly lockFile?: string
  /** Use exactly what the lock file pins, or fail. */
  readonly frozen?: boolean
}

const SMALL = /^(config|generation_config|tokenizer_config|tokenizer|special_tokens_map|added_tokens)\.json$|^spiece\.model$/
const MODEL_BYTES = 50e9

function selectModel(files: readonly RemoteFile[], repo: string, parts: ModelParts, variant: string): RemoteFile[] {
  const small = files.filter(({ path }) => SMALL.test(path))
  const safetensors = files.filter(({ path }) => /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/.test(path))
  // The paper's LM-adapted T5s exist as PyTorch zips only.
  const torch = files.filter(({ path }) => /^pytorch_model(-\d{5}-of-\d{5})?\.bin(\.index\.json)?$/.test(path))
  const onnx = parts === 'onnx' ? selectOnnx(files, variant) : []
  const large = parts === 'onnx' ? onnx : safetensors.length > 0 ? safetensors : torch
  if (!small.some(({ path }) => path === 'config.json') || large.length === 0) {
    const wanted = parts === 'onnx' ? `onnx/encoder_model${variant}.onnx` : 'model.safetensors or pytorch_model.bin'
    const there = onnxThere(files)
    throw new HubError(
      'hub-not-a-model',
      `${repo} has no config.json with ${wanted}; name another model, or a folder.${there === undefined ? '' : ` Its ONNX files: ${describeParts(there)}.`}`,
      {
        facts: { repo, wanted, ...(there === undefined ? {} : { there: describeParts(there), dtypes: wholeDtypes(there) }) },
      },
    )
  }
  const total = [...small, ...large].reduce((sum, { size }) => sum + size, 0)
  if (total > MODEL_BYTES) throw new HubError('hub-file-too-large', `${repo} has ${total} bytes, more than the ${MODEL_BYTES} allowed.`)
  return [...small, ...large]
}

/** Where a repository keeps its ONNX files: `onnx/`, or beside config.json. */
const onnxPrefix = (files: readonly RemoteFile[]): string =>
  files.some(({ path }) => /^onnx\/encoder_model\w*\.onnx$/.test(path)) ? 'onnx/' : ''

const selectOnnx = (files: readonly RemoteFile[], variant: string): RemoteFile[] => {
  const name = new RegExp(String.raw`^${onnxPrefix(files)}(encoder_model|decoder_model_merged)${variant}\.onnx(_data(_\d+)?)?$`)
  return files.filter(({ path }) => name.test(path))
}

/** The ONNX files of a repository by dtype; undefined where there are none. */
function onnxThere(files: readonly RemoteFile[]): OnnxParts | undefined {
  const prefix = onnxPrefix(files)
  const parts = onnxPartsOf(files.flatMap(({ path }) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : [])))
  return parts.encoder_model.length === 0 ? undefined : parts
}

/**
 * Fetches a base model into the shared cache: configuration, tokenizer, and weights or ONNX files.
 * @returns the snapshot; its `dir` is a model folder
 * @throws {HubError} `hub-not-a-model` | `hub-lock-missing` | `hub-lock-drift` | …
 * @example const { dir, commit } = await openHubModel('google-t5/t5-small')
 */
export async function openHubModel(id: string, options: HubModelOptions = {}): Promise<Snapshot> {
  const repo = canonicalBase(id)
  const { parts = 'weights', variant = '', lockFile, frozen = false, ...access } = options
  const escaped = variant.replace(/[^\w]/g, '')
  const select = (files: readonly RemoteFile[]): RemoteFile[] => selectModel(files, repo, parts, escaped)
  const fetchAt = (pin: { readonly revision?: string }): Promise<Snapshot> =>
    fetchSnapshot({ ...readHubEnvironment(), ...access, ...pin, repo, select })
  if (frozen) {
    const path = lockFile ?? 'prompts.lock.json'
    const locked = await lockedModel(path, repo, access.revision)
    // By commit: nobody is asked where the files are in the cache.
    const snapshot = await fetchAt({ revision: locked.commit })
    await checkModel(path, locked, snapshot)
    return snapshot
  }
  const snapshot = await fetchAt({})
  if (lockFile !== undefined) await lockModel(lockFile, snapshot)
  return snapshot
}
