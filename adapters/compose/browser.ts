/** Prompts on transformers.js pipelines in a browser. The entry point `soft-prompts/transformers` under the condition "browser": nothing of Node's. */
import { createPromptBank } from '../../src/prompt/bank.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { ConfigError } from '../../src/errors.ts'
import { attachSession } from '../transformers/attach.ts'
import { fetchModelFile, fetchModelJson, loadStock, type LoadOptions } from '../transformers/load.ts'
import { promptedPipeline, type PromptedPipeline } from '../transformers/prompted-pipeline.ts'
import { openEncoder, sessionOf } from './attach-prompts.ts'
import { openPrompt, webSha256, type BrowserPrompt, type OpenPromptOptions } from './browser-prompt.ts'
import { MIRRORS } from './mirrors.ts'
import { checkEncoder, type LayerCounts } from './onnx-fingerprint.ts'

export { attachPrompts, type AttachPromptsOptions } from './attach-prompts.ts'
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
}

/**
 * Loads prompts of one base model, by name, into a transformers.js pipeline.
 * @example
 * const pipe = await loadPrompted({ sst2: '/prompts/sst2' }, { base: 't5-small' })
 * await pipe.classify('a film of charm')
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `encoder-missing`
 * @throws {MismatchError} `prompt-width` | `prompt-base` for a prompt of another base model
 */
export async function loadPrompted(
  prompts: string | Readonly<Record<string, PromptSource>>,
  options: LoadPromptedOptions = {},
): Promise<PromptedPipeline> {
  const { base, encoder: given, hub, ...load } = options
  const sources = typeof prompts === 'string' ? { [prompts.replace(/\/$/, '').split('/').at(-1) as string]: prompts } : prompts
  const opened = Object.fromEntries(
    await Promise.all(Object.entries(sources).map(async ([name, source]) => [name, await valueOf(source, hub)] as const)),
  )
  const bank = createPromptBank(opened)
  const id = base ?? commonBase(Object.values(opened))
  const parts = await loadStock(id, load, { readJson: (name) => fetchModelJson(id, name), remote: true })
  try {
    const { tokenizer, config } = parts
    const encoder =
      given === undefined
        ? await fetchModelFile(id, `onnx/${parts.encoder.file}`)
        : given instanceof Uint8Array
          ? given
          : new Uint8Array(await given.arrayBuffer())
    const drift = await checkEncoder(
      {
        name: id,
        sizeBytes: encoder.length,
        read: (_, offset, length) => encoder.subarray(offset, offset + length),
        config: config as LayerCounts,
        pieces: async () => piecesOf(tokenizer.get_vocab()),
        digest: webSha256,
      },
      opened,
    )
    const session = await openEncoder(parts.runtime, parts.encoder.device, config.d_model, bank, { encoder, ...sessionOf(load) })
    const stock = parts.finish(session)
    const attached = attachSession(stock.model, session)
    return promptedPipeline(stock, { ...attached, warnings: [...attached.warnings, ...drift] })
  } catch (error) {
    await parts.dispose()
    throw error
  }
}

const valueOf = async (source: PromptSource, hub: OpenPromptOptions | undefined): Promise<SoftPrompt> =>
  typeof source === 'object' && 'embeddings' in source ? source : openPrompt(source, hub)

/** Pieces by id. */
function piecesOf(vocab: ReadonlyMap<string, number>): string[] {
  const pieces: string[] = []
  for (const [piece, id] of vocab) pieces[id] = piece
  return Array.from(pieces, (piece) => piece ?? '')
}

/** What transformers.js loads for the base that all prompts name. */
function commonBase(prompts: readonly SoftPrompt[]): string {
  const ids = new Set(prompts.map(({ manifest: { base } }) => base.onnxId ?? MIRRORS.get(base.id) ?? base.id))
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
