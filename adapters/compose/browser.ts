/** Prompts on transformers.js pipelines in a browser. The entry point `soft-prompts/transformers` under the condition "browser": nothing of Node's. */
import { createPromptBank } from '../../src/prompt/bank.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import { isSoftPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { ConfigError } from '../../src/errors.ts'
import { onnxFile } from '../../src/onnx/model-files.ts'
import type { PromptBank } from '../../src/prompt/bank.ts'
import { mendStockTokenizer } from '../tokenizer/stock.ts'
import { attachSession, type Attachment, type AttachOptions } from '../transformers/attach.ts'
import { fetchModelFile, fetchModelJson, loadStock, type LoadOptions } from '../transformers/load.ts'
import { promptedPipeline, type PromptedPipeline } from '../transformers/prompted-pipeline.ts'
import {
  attachOpened,
  dtypesOf,
  isAttached,
  isBank,
  openEncoder,
  sessionOf,
  type AttachTarget,
  type EncoderOptions,
} from './attach-prompts.ts'
import { isBrowserPrompt, openPrompt, webSha256, type BrowserPrompt, type OpenPromptOptions } from './browser-prompt.ts'
import { mirrorOf } from './mirrors.ts'
import { checkEncoder, type LayerConfig, type OnnxFile } from './onnx-fingerprint.ts'
import { noPrompt } from './prompt-kind.ts'

export { openPrompt, type BrowserPrompt, type OpenPromptOptions } from './browser-prompt.ts'
export type { CallOptions, LabelScore, PromptedInput, PromptedPipeline } from '../transformers/prompted-pipeline.ts'

/** A prompt: an address, Hub id, files or the value. */
export type PromptSource = BrowserPrompt | SoftPrompt

export interface LoadPromptedOptions extends LoadOptions {
  /** Name of the base model as transformers.js takes it (its `env` says where models lie); default: what the prompts name. */
  readonly base?: string
  /** The bytes of its encoder file; default: fetched from where transformers.js found it. */
  readonly encoder?: Uint8Array | Blob
  readonly hub?: OpenPromptOptions
  /** Commit, branch or tag of prompts on the Hub. Default main. */
  readonly revision?: string
}

/** One, or several by name. */
export type PromptSources = string | Readonly<Record<string, PromptSource>>

/**
 * Loads prompts of one base model, by name, into a transformers.js pipeline.
 * @example
 * const pipe = await loadPrompted({ sst2: '/prompts/sst2' }, { base: 't5-small' })
 * await pipe.classify('a film of charm')
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `encoder-missing`
 * @throws {MismatchError} `prompt-width` | `prompt-base` for a prompt of another base model
 */
export async function loadPrompted(prompts: PromptSources, options: LoadPromptedOptions = {}): Promise<PromptedPipeline> {
  const { base, encoder: given, hub, revision, ...load } = options
  const opened = await openSources(prompts, { hub, revision })
  const bank = createPromptBank(opened)
  const id = base ?? commonBase(Object.values(opened))
  const parts = await loadStock(id, load, { readJson: (name) => fetchModelJson(id, name), remote: true })
  try {
    const { tokenizer, config } = parts
    const inexact = mendStockTokenizer(tokenizer)
    const encoder =
      given === undefined
        ? await fetchModelFile(id, `onnx/${parts.encoder.file}`, load.progress_callback)
        : given instanceof Uint8Array
          ? given
          : new Uint8Array(await given.arrayBuffer())
    const drift = await checkEncoder(
      {
        ...inMemory(encoder),
        name: id,
        config: config as LayerConfig,
        decoder: async () => fetchModelFile(id, `onnx/${parts.decoder.file}`).then(inMemory, () => undefined),
        pieces: async () => piecesOf(tokenizer.get_vocab()),
        digest: webSha256,
      },
      opened,
    )
    const session = await openEncoder(parts.runtime, parts.encoder.device, config.d_model, bank, { encoder, ...sessionOf(load) })
    const stock = parts.finish(session)
    const attached = attachSession(stock.model, session)
    load.progress_callback?.({ status: 'ready', task: 'text2text-generation', model: id })
    return promptedPipeline(stock, { ...attached, warnings: [...attached.warnings, ...drift, ...inexact.warnings] })
  } catch (error) {
    await parts.dispose()
    throw error
  }
}

export interface AttachPromptsOptions
  extends AttachOptions, Partial<EncoderOptions>, Pick<LoadPromptedOptions, 'base' | 'hub' | 'revision'> {}

/**
 * Attaches prompts to a stock transformers.js T5 of the page: `pipe(text, { soft_prompt })` takes a prompt's name, or a name or null for each row.
 * @example
 * const pipe = await pipeline('text2text-generation', 'Xenova/t5-small')
 * await attachPrompts(pipe, { sst2: '/prompts/sst2' })
 * @throws {UnsupportedError} `model-attached` | `model-kind`; {MismatchError} `prompt-width` | `encoder-mismatch`
 */
export async function attachPrompts(
  target: AttachTarget,
  prompts: PromptSources | PromptBank,
  options: AttachPromptsOptions = {},
): Promise<Attachment> {
  const opened = isBank(prompts) ? prompts : await openSources(prompts, options)
  if (options.encoder !== undefined || isAttached(target)) return attachOpened(target, opened, options)
  const values = isBank(opened) ? opened.names.map((name) => opened.get(name)) : Object.values(opened)
  const encoder = await fetchModelFile(options.base ?? commonBase(values), `onnx/${onnxFile('encoder_model', dtypesOf(target).encoder)}`)
  return attachOpened(target, opened, { ...options, encoder })
}

type OpenOptions = { readonly [K in 'hub' | 'revision']?: LoadPromptedOptions[K] | undefined }

const TAKES = 'an address or a Hub id as text, files, a prompt that openPrompt gave, or several of these as { name: prompt, … }'

/** @throws {ConfigError} `prompt-kind`; {FormatError} what is wrong with one; {HubError} `prompt-fetch` */
async function openSources(given: PromptSources, { hub, revision }: OpenOptions): Promise<Record<string, SoftPrompt>> {
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) throw noPrompt(given, TAKES)
  const sources = typeof given === 'string' ? { [given.replace(/\/$/, '').replace(/^.*[/#]/, '')]: given } : given
  const options = { ...hub, ...(revision === undefined ? {} : { revision }) }
  const open = async (source: unknown, name: string): Promise<SoftPrompt> => {
    if (isSoftPrompt(source)) return source
    if (isBrowserPrompt(source)) return openPrompt(source, options)
    throw noPrompt(source, TAKES, name)
  }
  return Object.fromEntries(
    await Promise.all(Object.entries(sources).map(async ([name, source]) => [name, await open(source, name)] as const)),
  )
}

/** A file that is here as a whole. */
const inMemory = (bytes: Uint8Array): OnnxFile => ({
  sizeBytes: bytes.length,
  alone: true,
  read: (_, offset, length) => bytes.subarray(offset, offset + length),
})

/** Pieces by id. */
function piecesOf(vocab: ReadonlyMap<string, number>): string[] {
  const pieces: string[] = []
  for (const [piece, id] of vocab) pieces[id] = piece
  return Array.from(pieces, (piece) => piece ?? '')
}

/** What transformers.js loads for the base that all prompts name. */
function commonBase(prompts: readonly SoftPrompt[]): string {
  const ids = new Set(prompts.map(({ manifest: { base } }) => base.onnxId ?? mirrorOf(base.id) ?? canonicalBase(base.id)))
  const [id] = ids
  if (id === undefined || id === '')
    throw new ConfigError('prompts-none', 'Name at least one prompt, and the base where no prompt names it.')
  if (ids.size === 1) return id
  throw new ConfigError(
    'prompts-bases',
    `These prompts are of different base models (${[...ids].join(', ')}); load one base's prompts at a time.`,
    {
      facts: { ids: [...ids] },
    },
  )
}
