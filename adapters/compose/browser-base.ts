/** A base model in memory, from addresses or bytes: `config.json`, `model.safetensors`, `tokenizer.json`. For pages. */
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { ConfigError, FormatError, HubError } from '../../src/errors.ts'
import { folderName, isHubId } from '../../src/prompt/base-name.ts'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import { embeddingNames } from '../../src/t5/names.ts'
import { toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import { parseSafetensorsHeader, viewAs } from '../../src/tensor/safetensors.ts'
import { parseStrictJson } from '../../src/tensor/strict-json.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { makeTokenizer } from '../tokenizer/make.ts'

export interface BaseFiles {
  readonly config: string
  readonly weights: Uint8Array
  /** tokenizer.json */
  readonly tokenizer: string
  readonly tokenizerConfig?: string
}

export interface BrowserBase {
  readonly id: string
  readonly config: T5Config
  readonly weights: WeightTable
  readonly tokenizer: Tokenizer
  embeddingTable(): EmbeddingTable
}

/** Bytes of a weight, aligned; F16 and BF16 become F32. */
export function floatsOf({ dtype, source, offsetBytes, sizeBytes }: WeightRef): Float32Array {
  if (typeof source === 'string') throw new ConfigError('base-in-files', 'This base lies in files; in a page its weights are in memory.')
  const bytes = source.slice(offsetBytes, offsetBytes + sizeBytes)
  return toFloat32(dtype as FloatDtype, viewAs(dtype as FloatDtype, bytes))
}

/**
 * Opens a base model from its files' contents.
 * @throws {ConfigError} `t5-*` | `checkpoint-embedding`; {FormatError} `safetensors-*` | `json-*` | `tokenizer-*`
 */
export function openBase(id: string, files: BaseFiles): BrowserBase {
  const config = parseT5Config(parseStrictJson(files.config, 'config.json'))
  const { entries } = parseSafetensorsHeader(files.weights, files.weights.length)
  const weights = new Map([...entries].map(([name, entry]) => [name, { ...entry, source: files.weights }]))
  const tokenizer = makeTokenizer(JSON.parse(files.tokenizer), files.tokenizerConfig === undefined ? {} : JSON.parse(files.tokenizerConfig))
  const ref = embeddingNames(config)
    .map((name) => weights.get(name))
    .find((found) => found !== undefined)
  if (!ref) throw new ConfigError('checkpoint-embedding', `The weights of ${id} have no embedding matrix: is this a T5?`)
  const [vocabSize = 0, width = 0] = ref.shape
  const rowBytes = ref.sizeBytes / vocabSize
  const rows = (ids: readonly number[]): Float32Array => {
    const out = new Float32Array(ids.length * width)
    for (const [row, index] of ids.entries()) {
      if (!Number.isInteger(index) || index < 0 || index >= vocabSize)
        throw new ConfigError('checkpoint-row', `Embedding row ${index} asked for, the model has ${vocabSize}.`)
      out.set(floatsOf({ ...ref, offsetBytes: ref.offsetBytes + index * rowBytes, sizeBytes: rowBytes }), row * width)
    }
    return out
  }
  return { id, config, weights, tokenizer, embeddingTable: () => ({ vocabSize, width, rows }) }
}

/**
 * Fetches a model folder.
 * @param onBytes told of the weights' progress
 * @throws {HubError} `base-fetch`; {FormatError} `weights-truncated`; what `openBase` throws
 */
export async function fetchBase(address: string, onBytes: (done: number, of: number) => void = () => {}): Promise<BrowserBase> {
  const folder = address.replace(/\/$/, '')
  const get = async (name: string): Promise<Response> => {
    const response = await fetch(`${folder}/${name}`)
    if (response.ok) return response
    throw new HubError(
      'base-fetch',
      `${folder}/${name}: HTTP ${response.status}. A base model's folder holds config.json, model.safetensors and tokenizer.json.`,
      {
        facts: { status: response.status },
      },
    )
  }
  const text = async (name: string): Promise<string> => (await get(name)).text()
  const [config, tokenizer, tokenizerConfig, weights] = await Promise.all([
    text('config.json'),
    text('tokenizer.json'),
    text('tokenizer_config.json').catch(() => '{}'),
    get('model.safetensors').then((response) => readBytes(response, onBytes)),
  ])
  return openBase(idAt(folder), { config, tokenizer, tokenizerConfig, weights })
}

/** The Hub id in an address such as https://huggingface.co/google-t5/t5-small/resolve/main, else the folder's name. */
function idAt(folder: string): string {
  const id = /\/([^/]+\/[^/]+)\/resolve\/[^/]+$/.exec(folder)?.[1]
  return id !== undefined && isHubId(id) ? id : folderName(folder)
}

async function readBytes(response: Response, onBytes: (done: number, of: number) => void): Promise<Uint8Array> {
  const size = Number(response.headers.get('content-length') ?? 0)
  if (size === 0 || !response.body || response.headers.has('content-encoding')) return new Uint8Array(await response.arrayBuffer())
  const bytes = new Uint8Array(size)
  let done = 0
  const reader = response.body.getReader()
  for (;;) {
    const { value, done: ended } = await reader.read()
    if (ended) break
    if (done + value.length > size) throw new FormatError('weights-truncated', `${response.url} is longer than its server said.`)
    bytes.set(value, done)
    done += value.length
    onBytes(done, size)
  }
  if (done === size) return bytes
  throw new FormatError('weights-truncated', `${response.url} ended after ${done} of ${size} bytes; load the page again.`)
}
