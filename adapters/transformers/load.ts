/** Loads a stock transformers.js pipeline from a local folder, and finds the encoder file that it chose. */
import type { PreTrainedModel, Text2TextGenerationPipeline } from '@huggingface/transformers'
import { ConfigError } from '../../src/errors.ts'
import { partsOf } from './attach.ts'

export interface LoadOptions {
  /** As in transformers.js: `fp32`, `q8`, … or one for each file. */
  readonly dtype?: string | Readonly<Record<string, string>>
  readonly device?: string
  readonly session_options?: Readonly<Record<string, unknown>>
}

/** File suffixes of transformers.js by dtype (utils/dtypes.js). */
const SUFFIX: Readonly<Record<string, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
  q1: '_q1',
  q1f16: '_q1f16',
  bnb4: '_bnb4',
}

/**
 * Loads the text-to-text pipeline of a folder in the Hub's layout; with no network, unless `remote` leaves it to transformers.js' own settings.
 * @throws {ConfigError} `peer-missing` when transformers.js is not installed
 */
export async function loadStock(dir: string, options: LoadOptions = {}, remote = false): Promise<Text2TextGenerationPipeline> {
  const { pipeline } = await import('@huggingface/transformers').catch((cause: unknown) => {
    throw new ConfigError('peer-missing', 'loadPrompted runs on transformers.js: npm install @huggingface/transformers@4', { cause })
  })
  return (await pipeline('text2text-generation', dir, {
    ...options,
    ...(remote ? {} : { local_files_only: true }),
  } as never)) as unknown as Text2TextGenerationPipeline
}

/** The encoder's file name in `onnx/`, by the dtype that transformers.js selected. */
export function encoderFile(model: PreTrainedModel): string {
  const session = partsOf(model).sessions['model'] as { config?: { dtype?: string } }
  return `encoder_model${SUFFIX[session.config?.dtype ?? 'fp32'] ?? ''}.onnx`
}

/** Endings of the encoder's and the merged decoder's file names for a dtype option. */
export function variantsOf(dtype: LoadOptions['dtype']): readonly string[] {
  const of = (file: string): string => SUFFIX[(typeof dtype === 'string' ? dtype : dtype?.[file]) ?? 'fp32'] ?? ''
  return [of('encoder_model'), of('decoder_model_merged')]
}

const join = (...parts: string[]): string => parts.map((part) => part.replace(/\/$/, '')).join('/')

/** A URL, or a path of the server, rather than the name of a model. */
const isAddress = (id: string): boolean => /^(?:https?:\/)?\.{0,2}\//.test(id)

/**
 * The bytes of a model's file in a browser: from the cache that transformers.js filled, else from where it looks.
 * @throws {ConfigError} `encoder-missing` naming the addresses tried
 */
export async function fetchModelFile(id: string, file: string): Promise<Uint8Array> {
  const { env } = await import('@huggingface/transformers')
  const remote = join(env.remoteHost, env.remotePathTemplate.replaceAll('{model}', id).replaceAll('{revision}', 'main'), file)
  const addresses = isAddress(id)
    ? [join(id, file)]
    : [...(env.allowLocalModels ? [join(env.localModelPath, id, file)] : []), ...(env.allowRemoteModels ? [remote] : [])]
  const cache = env.useBrowserCache && 'caches' in globalThis ? await caches.open(env.cacheKey).catch(() => undefined) : undefined
  for (const address of addresses) {
    const response = (await cache?.match(address)) ?? ((await env.fetch(address)) as Response)
    // A server of single pages answers with its page where a file is missing.
    const isPage = response.headers.get('content-type')?.startsWith('text/html') ?? false
    if (response.ok && !isPage) return new Uint8Array(await response.arrayBuffer())
  }
  throw new ConfigError(
    'encoder-missing',
    `The encoder ${file} of ${id} is not at ${addresses.join(' or ')}; give it as { encoder: bytes }.`,
    {
      facts: { addresses },
    },
  )
}
