/** One line from a shared prompt to answers: prompt -> base model -> its ONNX files -> a transformers.js pipeline that takes prompts. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ConfigError, SoftPromptError } from '../../src/errors.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { deviceFailed, isDevice } from '../onnxruntime/devices.ts'
import { openDecoderSession, type Runtime } from '../onnxruntime/attach.ts'
import { mendStockTokenizer } from '../tokenizer/stock.ts'
import { attachSession } from '../transformers/attach.ts'
import { loadStock, variantsOf, type LoadOptions } from '../transformers/load.ts'
import { promptedPipeline, type PromptedPipeline } from '../transformers/prompted-pipeline.ts'
import { openEncoder, sessionOf } from './attach-prompts.ts'
import { checkOnnxBase } from './onnx-base.ts'
import { checkStock, listOnnx } from './onnx-files.ts'
import type { LayerConfig } from './onnx-fingerprint.ts'
import { hubOf, openSources, type PromptSources, type SourceOptions } from './open-sources.ts'
import { findOrExportOnnx } from './own-export.ts'

export interface LoadPromptedOptions extends LoadOptions, SourceOptions {
  /** `low` maps all weights without copies of them, packed for speed: loading takes half the time and a third of the memory beside the files' own pages, and an answer about a tenth more time. Default `fast`. */
  readonly memory?: 'fast' | 'low'
  /** Folder or Hub id of the base model's ONNX files; default: what the prompts name. */
  readonly base?: string
  /** Where a base without ONNX files, its own or of a known mirror, is exported to; default: a folder beside the Hub cache. false = refuse instead. */
  readonly exportTo?: string | false
}

/**
 * Loads prompts of one base model into a transformers.js pipeline.
 * @example
 * const pipe = await loadPrompted('me/t5-small-sst2')
 * await pipe.classify('a film of charm')   // [{ label: 'positive', score: 0.98 }, …]
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `prompt-kind` | `base-no-onnx` | `peer-missing` | `tokenizer-missing`; {UnsupportedError} `engine-device-missing`
 * @throws {MismatchError} `prompt-width` | `prompt-base` for a prompt of another base model
 */
export async function loadPrompted(prompts: PromptSources, options: LoadPromptedOptions = {}): Promise<PromptedPipeline> {
  const { base, exportTo, progress_callback } = options
  const load = stockOptions(options)
  const hub = hubOf(options)
  const opened = await openSources(prompts, options)
  if (Object.keys(opened).length === 0) throw new ConfigError('prompts-none', 'Name at least one prompt.')
  const bank = createPromptBank(opened)
  const named = base === undefined ? commonBase(Object.values(opened)) : { id: base }
  const { dir, notes } = await findOrExportOnnx(named, variantsOf(load.dtype), hub, exportTo)
  const subfolder = await stockFolder(dir, options)
  const runtime = stockRuntime()
  const parts = await loadStock(dir, load, {
    subfolder,
    readJson: (name) => readJson(join(dir, name)),
    ...(runtime
      ? { openDecoder: (name) => openDecoderSession(runtime, join(dir, subfolder, name), { logSeverityLevel: 3, ...load.session_options }) }
      : {}),
  }).catch((cause: unknown) => {
    throw deviceError(load.device, cause)
  })
  const { device, file } = parts.encoder
  const encoder = join(dir, subfolder, file)
  try {
    const inexact = mendStockTokenizer(parts.tokenizer)
    const drift = await checkOnnxBase(dir, encoder, join(dir, subfolder, parts.decoder.file), parts.config as LayerConfig, opened)
    const session = await openEncoder(parts.runtime, device, parts.config.d_model, bank, { encoder, ...sessionOf(load) })
    const stock = parts.finish(session)
    const attached = attachSession(stock.model, session)
    progress_callback?.({ status: 'ready', task: 'text2text-generation', model: named.id })
    return promptedPipeline(stock, { ...attached, warnings: [...notes, ...attached.warnings, ...drift, ...inexact.warnings] })
  } catch (error) {
    await parts.dispose()
    throw error
  }
}

/** What of the options a stock load takes: the folder is at hand by then, so nothing of the Hub. */
function stockOptions({ dtype, device, session_options: given, memory }: LoadPromptedOptions): LoadOptions {
  const session = memory === 'low' ? withoutPacking(given) : given
  return {
    ...(dtype === undefined ? {} : { dtype }),
    ...(device === undefined ? {} : { device }),
    ...(session === undefined ? {} : { session_options: session }),
  }
}

/** Where in a model's folder the files lie that transformers.js will look for. @throws {ConfigError} `base-dtype` | `base-no-merged` | `option-model-file` */
async function stockFolder(dir: string, options: LoadPromptedOptions): Promise<string> {
  if ('model_file_name' in options) {
    throw new ConfigError(
      'option-model-file',
      'model_file_name names one file, and a T5 has two: encoder_model and decoder_model_merged, with the ending of the dtype. Leave it out, choose by { dtype }, and rename files of other names.',
    )
  }
  const found = await listOnnx(dir)
  if (found === undefined) return 'onnx'
  // With `auto` the choice is the configuration's, which transformers.js reads.
  if (![options.dtype].flatMap((dtype) => (typeof dtype === 'object' ? Object.values(dtype) : [dtype])).includes('auto')) {
    checkStock(found, variantsOf(options.dtype))
  }
  return found.subfolder
}

/** What the runtime says of a device that it was asked for, in an error of ours; other errors as they are. */
function deviceError(device: LoadOptions['device'], cause: unknown): unknown {
  const name = device === 'gpu' ? 'webgpu' : device
  return typeof name !== 'string' || name === 'cpu' || !isDevice(name) || cause instanceof SoftPromptError
    ? cause
    : deviceFailed(name, cause)
}

/** Session options, and that weights are used as they are mapped. */
function withoutPacking(given: LoadOptions['session_options']): NonNullable<LoadOptions['session_options']> {
  const extra = given?.['extra'] as Readonly<Record<string, object>> | undefined
  return { ...given, extra: { ...extra, session: { ...extra?.['session'], disable_prepacking: '1' } } }
}

/** The copy of onnxruntime that transformers.js uses; undefined where it cannot be told. */
function stockRuntime(): Runtime | undefined {
  const given = (globalThis as Record<symbol, unknown>)[Symbol.for('onnxruntime')] as Runtime | undefined
  if (given !== undefined) return given
  try {
    return createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))('onnxruntime-node') as Runtime
  } catch {
    return undefined
  }
}

const readJson = (path: string): Promise<object | undefined> =>
  readFile(path, 'utf8').then(
    (text) => JSON.parse(text) as object,
    () => undefined,
  )

/** The base that all prompts name. @throws {ConfigError} `prompts-bases` */
export function commonBase(prompts: readonly SoftPrompt[]): BaseModel {
  const ids = [...new Set(prompts.map(({ manifest }) => canonicalBase(manifest.base.id)))]
  if (ids.length > 1) {
    throw new ConfigError(
      'prompts-bases',
      `These prompts are of different base models (${ids.join(', ')}); load one base's prompts at a time, or say which base they all have with { base }.`,
      { facts: { ids } },
    )
  }
  return (prompts[0] as SoftPrompt).manifest.base
}
