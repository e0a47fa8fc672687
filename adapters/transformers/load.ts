/** Loads a stock transformers.js pipeline from a local folder, and finds the encoder file that it chose. */
import type { PreTrainedModel, ProgressCallback, Text2TextGenerationPipeline } from '@huggingface/transformers'
import { ConfigError } from '../../src/errors.ts'
import { DTYPE_SUFFIX, onnxFile } from '../../src/onnx/model-files.ts'
import { partsOf } from './attach.ts'

export interface LoadOptions {
  /** As in transformers.js: `fp32`, `q8`, … or one for each file. */
  readonly dtype?: string | Readonly<Record<string, string>>
  /** As in transformers.js: `cpu`, `webgpu`, … or one for each file; the encoder's default is the decoder's. */
  readonly device?: string | Readonly<Record<string, string>>
  readonly session_options?: Readonly<Record<string, unknown>>
  /** As in transformers.js: told of each file that comes over the network, and when all is ready. */
  readonly progress_callback?: ProgressCallback
}

const ENCODER = 'encoder_model'
const DECODER = 'decoder_model_merged'

/** A stock text-to-text pipeline but for its encoder's session, which is made once, patched, by the same copy of the runtime. */
export interface StockParts {
  readonly config: { readonly d_model?: number }
  readonly tokenizer: Text2TextGenerationPipeline['tokenizer']
  /** The runtime that made the decoder's session. */
  readonly runtime: Runtime
  /** The encoder's file name in `onnx/`, by the dtype that transformers.js selects, and what it runs on. */
  readonly encoder: { readonly file: string; readonly dtype: string; readonly device: string }
  /** The merged decoder's file name in `onnx/`. */
  readonly decoder: { readonly file: string }
  /** The pipeline with this encoder session. */
  finish(encoder: object): Text2TextGenerationPipeline
  dispose(): Promise<unknown>
}

interface Runtime {
  // oxlint-disable-next-line typescript/no-explicit-any -- the runtime's own type, which this folder does not import
  readonly InferenceSession: any
}

interface StockSession {
  // oxlint-disable-next-line typescript/no-unsafe-function-type -- the runtime's session class
  readonly constructor: Function
  readonly config: { readonly dtype: string; readonly device: string }
}

export interface LoadAccess {
  /** A file beside config.json; undefined where there is none. */
  readonly readJson: (file: string) => Promise<object | undefined>
  /** Where in the folder the ONNX files lie; default `onnx`. */
  readonly subfolder?: string
  /** Leaves the network to transformers.js' own settings; default: none. */
  readonly remote?: boolean
  /** Makes the decoder's session on the CPU from a file in `onnx/`; default: transformers.js does. */
  readonly openDecoder?: (file: string) => Promise<object>
}

/**
 * Loads a folder in the Hub's layout.
 * transformers.js makes all sessions of a model at once; loaded as a model of one file it makes the decoder's alone.
 * @throws {ConfigError} `peer-missing` when transformers.js is not installed, `tokenizer-missing`
 */
export async function loadStock(dir: string, options: LoadOptions, access: LoadAccess): Promise<StockParts> {
  const { readJson, subfolder = 'onnx', remote = false, openDecoder } = access
  const hub = await import('@huggingface/transformers').catch((cause: unknown) => {
    throw new ConfigError('peer-missing', 'loadPrompted runs on transformers.js: npm install @huggingface/transformers@4', { cause })
  })
  const asked = { ...options, ...(remote ? {} : { local_files_only: true }) } as object
  const config = (await hub.AutoConfig.from_pretrained(dir, asked)) as unknown as StockConfig
  const [tokenizer, generation] = await Promise.all([
    hub.AutoTokenizer.from_pretrained(dir, asked).catch((cause: unknown) => {
      const where = remote ? `, and let env.localModelPath be a path of the page's server, not a full address` : ''
      throw new ConfigError(
        'tokenizer-missing',
        `transformers.js found no tokenizer for ${dir}; put tokenizer.json and tokenizer_config.json beside config.json${where}.`,
        { cause },
      )
    }),
    readJson('generation_config.json'),
  ])
  const custom = config['transformers.js_config']
  const stockDecoder = async (): Promise<StockSession> => {
    const model = await hub.PreTrainedModel.from_pretrained(dir, {
      ...asked,
      config: { ...config, model_type: 'custom', architectures: undefined } as never,
      model_file_name: DECODER,
      subfolder,
    })
    return partsOf(model).sessions['model'] as StockSession
  }
  const ownDecoder = async (): Promise<StockSession> => {
    const chosen = { dtype: dtypeOf(DECODER, options.dtype, custom?.dtype, 'cpu'), device: 'cpu' }
    return Object.assign((await openDecoder?.(onnxFile(DECODER, chosen.dtype))) as object, { config: chosen })
  }
  const onCpu = !remote && (options.device ?? custom?.device ?? 'cpu') === 'cpu'
  const decoder = openDecoder && onCpu ? await ownDecoder() : await stockDecoder()
  const device = (typeof options.device === 'object' ? options.device[ENCODER] : undefined) ?? decoder.config.device
  const dtype = dtypeOf(ENCODER, options.dtype, custom?.dtype, device)
  type ModelClass = new (config: unknown, sessions: object, configs: object) => PreTrainedModel
  const exported = hub as unknown as Readonly<Record<string, ModelClass | undefined>>
  const Model = exported[config.architectures?.[0] ?? ''] ?? (hub.T5ForConditionalGeneration as unknown as ModelClass)
  return {
    config,
    tokenizer,
    runtime: { InferenceSession: decoder.constructor },
    encoder: { file: onnxFile(ENCODER, dtype), dtype, device },
    decoder: { file: onnxFile(DECODER, decoder.config.dtype) },
    finish: (encoder) => {
      const sessions = { model: Object.assign(encoder, { config: { dtype, device } }), decoder_model_merged: decoder }
      const model = new Model(config, sessions, generation === undefined ? {} : { generation_config: generation })
      return new hub.Text2TextGenerationPipeline({ task: 'text2text-generation', model, tokenizer })
    },
    dispose: async () => (decoder as unknown as { release(): Promise<void> }).release(),
  }
}

interface StockConfig {
  readonly architectures?: readonly string[]
  readonly d_model?: number
  readonly 'transformers.js_config'?: { readonly dtype?: LoadOptions['dtype']; readonly device?: LoadOptions['device'] }
}

/** What transformers.js selects for a file (utils/dtypes.js). */
function dtypeOf(file: string, given: LoadOptions['dtype'], configured: LoadOptions['dtype'], device: string): string {
  const of = (dtype: LoadOptions['dtype']): string | undefined => (typeof dtype === 'object' ? dtype[file] : dtype)
  const asked = of(given) === 'auto' ? of(configured) : of(given)
  return asked !== undefined && asked in DTYPE_SUFFIX ? asked : device === 'wasm' ? 'q8' : 'fp32'
}

/** Endings of the encoder's and the merged decoder's file names for a dtype option. */
export function variantsOf(dtype: LoadOptions['dtype']): readonly string[] {
  const of = (file: string): string => DTYPE_SUFFIX[(typeof dtype === 'string' ? dtype : dtype?.[file]) ?? 'fp32'] ?? ''
  return [of(ENCODER), of(DECODER)]
}

const join = (...parts: string[]): string => parts.map((part) => part.replace(/\/$/, '')).join('/')

/** A URL, or a path of the server, rather than the name of a model. */
const isAddress = (id: string): boolean => /^(?:https?:\/)?\.{0,2}\//.test(id)

/**
 * The bytes of a model's file in a browser: from the cache that transformers.js filled, else from where it looks.
 * @throws {ConfigError} `encoder-missing` naming the addresses tried
 */
export async function fetchModelFile(id: string, file: string, tell: ProgressCallback = () => {}): Promise<Uint8Array> {
  tell({ status: 'initiate', name: id, file })
  const { bytes, addresses } = await lookFor(id, file)
  if (bytes !== undefined) tell({ status: 'done', name: id, file })
  if (bytes !== undefined) return bytes
  throw new ConfigError(
    'encoder-missing',
    `The encoder ${file} of ${id} is not at ${addresses.join(' or ')}; give it as { encoder: bytes }.`,
    {
      facts: { addresses },
    },
  )
}

/** A model's JSON file in a browser; undefined where there is none. */
export async function fetchModelJson(id: string, file: string): Promise<object | undefined> {
  const { bytes } = await lookFor(id, file)
  return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as object)
}

async function lookFor(id: string, file: string): Promise<{ readonly bytes?: Uint8Array; readonly addresses: readonly string[] }> {
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
    if (response.ok && !isPage) return { bytes: new Uint8Array(await response.arrayBuffer()), addresses }
  }
  return { addresses }
}
