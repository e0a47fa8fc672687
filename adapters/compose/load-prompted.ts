/** One line from a shared prompt to answers: prompt -> base model -> its ONNX files -> a transformers.js pipeline that takes prompts. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { openDecoderSession, type Runtime } from '../onnxruntime/attach.ts'
import { attachSession } from '../transformers/attach.ts'
import { loadStock, variantsOf, type LoadOptions } from '../transformers/load.ts'
import { promptedPipeline, type PromptedPipeline } from '../transformers/prompted-pipeline.ts'
import { openEncoder, sessionOf } from './attach-prompts.ts'
import { checkOnnxBase } from './onnx-base.ts'
import type { LayerCounts } from './onnx-fingerprint.ts'
import { exists } from '../disk/read.ts'
import type { HubAccessOptions } from './onnx-folder.ts'
import { openPrompt } from './open-prompt.ts'
import { findOrExportOnnx } from './own-export.ts'

/** A prompt: a folder, bundle or Hub id, or the value. */
export type PromptSource = string | SoftPrompt

export interface LoadPromptedOptions extends LoadOptions {
  /** `low` maps all weights without copies of them, packed for speed: loading takes half the time and a third of the memory beside the files' own pages, and an answer about a tenth more time. Default `fast`. */
  readonly memory?: 'fast' | 'low'
  /** Folder or Hub id of the base model's ONNX files; default: what the prompts name. */
  readonly base?: string
  /** How the Hub is reached; default: the environment's. */
  readonly hub?: HubAccessOptions
  /** Where a base without ONNX files, its own or of a known mirror, is exported to; default: a folder beside the Hub cache. false = refuse instead. */
  readonly exportTo?: string | false
}

/**
 * Loads prompts of one base model into a transformers.js pipeline.
 * @example
 * const pipe = await loadPrompted('me/t5-small-sst2')
 * await pipe.classify('a film of charm')   // [{ label: 'positive', score: 0.98 }, …]
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `base-no-onnx` | `peer-missing` | `tokenizer-missing`
 * @throws {MismatchError} `prompt-width` | `prompt-base` for a prompt of another base model
 */
export async function loadPrompted(
  prompts: PromptSource | readonly PromptSource[] | Readonly<Record<string, PromptSource>>,
  options: LoadPromptedOptions = {},
): Promise<PromptedPipeline> {
  const { base, hub = {}, exportTo, memory, ...rest } = options
  const load = memory === 'low' ? { ...rest, session_options: withoutPacking(rest.session_options) } : rest
  const opened = await openAll(prompts, hub)
  const bank = createPromptBank(opened)
  const named = base === undefined ? commonBase(Object.values(opened)) : { id: base }
  const { dir, notes } = await findOrExportOnnx(named, variantsOf(load.dtype), hub, exportTo)
  const runtime = stockRuntime()
  const parts = await loadStock(dir, load, {
    readJson: (name) => readJson(join(dir, name)),
    ...(runtime
      ? { openDecoder: (name) => openDecoderSession(runtime, join(dir, 'onnx', name), { logSeverityLevel: 3, ...load.session_options }) }
      : {}),
  })
  const { device, file } = parts.encoder
  const encoder = join(dir, 'onnx', file)
  try {
    const drift = await checkOnnxBase(dir, encoder, parts.config as LayerCounts, opened)
    const session = await openEncoder(parts.runtime, device, parts.config.d_model, bank, { encoder, ...sessionOf(load) })
    const stock = parts.finish(session)
    const attached = attachSession(stock.model, session)
    return promptedPipeline(stock, { ...attached, warnings: [...notes, ...attached.warnings, ...drift] })
  } catch (error) {
    await parts.dispose()
    throw error
  }
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

async function openAll(given: Parameters<typeof loadPrompted>[0], hub: HubAccessOptions): Promise<Record<string, SoftPrompt>> {
  const open = async (source: PromptSource): Promise<SoftPrompt> => {
    if (typeof source !== 'string') return source
    const onHub = /^[\w.-]+\/[\w.-]+$/.test(source) && !(await exists(source))
    if (!onHub) return openPrompt(source)
    const { pullRepository } = await import('./pull.ts')
    return openPrompt((await pullRepository({ ...hub, repo: source })).dir)
  }
  const isValue = (value: typeof given): value is SoftPrompt => typeof value === 'object' && 'embeddings' in value && 'manifest' in value
  const named: [string, PromptSource][] =
    typeof given === 'string' || isValue(given)
      ? [[nameOf(given, 0), given]]
      : Array.isArray(given)
        ? (given as readonly PromptSource[]).map((source, index) => [nameOf(source, index), source])
        : Object.entries(given as Readonly<Record<string, PromptSource>>)
  const names = named.map(([name]) => name)
  if (named.length === 0) throw new ConfigError('prompts-none', 'Name at least one prompt.')
  if (new Set(names).size < names.length) {
    throw new ConfigError('prompt-name', `Two prompts are called the same (${names.join(', ')}); give them as { name: prompt, … }.`)
  }
  return Object.fromEntries(await Promise.all(named.map(async ([name, source]) => [name, await open(source)] as const)))
}

/** Last part of a folder, file or Hub id; values are numbered. */
const nameOf = (source: PromptSource, index: number): string =>
  typeof source === 'string'
    ? basename(source).replace(/\.(tar\.gz|tgz|npy|safetensors)$/, '')
    : index === 0
      ? 'prompt'
      : `prompt${index + 1}`

/** The base that all prompts name. @throws {ConfigError} `prompts-bases` */
function commonBase(prompts: readonly SoftPrompt[]): BaseModel {
  const ids = [...new Set(prompts.map(({ manifest }) => manifest.base.id))]
  if (ids.length > 1) {
    throw new ConfigError(
      'prompts-bases',
      `These prompts are of different base models (${ids.join(', ')}); load one base's prompts at a time.`,
      { facts: { ids } },
    )
  }
  return (prompts[0] as SoftPrompt).manifest.base
}
