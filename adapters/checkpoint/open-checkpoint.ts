/** A PyTorch checkpoint's weights where they lie: `model.safetensors` or `pytorch_model.bin`, single or sharded (`….index.json`). Tensor bytes are not read here. */
import { open, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, FormatError } from '../../src/errors.ts'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { headerLength, LENGTH_BYTES, parseSafetensorsHeader, viewAs } from '../../src/tensor/safetensors.ts'
import { isObject, parseStrictJson } from '../../src/tensor/strict-json.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { readRangesSync } from '../disk/ranges.ts'

export interface Checkpoint {
  /** `config.json`, parsed. */
  readonly config: unknown
  readonly weights: WeightTable
  /** @throws {ConfigError} `checkpoint-embedding` */
  embeddingTable(): EmbeddingTable
}

/** Names the shared embedding is stored under; a tied matrix may carry any of them. */
const EMBEDDING_NAMES = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight']
/** XXL has 12 shards of T5; more than this is no T5. */
const MAX_SHARDS = 1000

/**
 * Opens the weights of a model folder; reads only headers.
 * @throws {ConfigError} `checkpoint-missing` | `checkpoint-config` | `checkpoint-encoder-only`
 * @throws {FormatError} `checkpoint-index`, `safetensors-*`, `torch-*`
 * @throws {UnsupportedError} `torch-*`
 */
export async function openCheckpoint(dir: string): Promise<Checkpoint> {
  const weights = new Map<string, WeightRef>()
  for (const file of await weightFiles(dir)) {
    const read = file.torch ? (await import('./torch-zip.ts')).readTorchZip : headerOf
    for (const [name, ref] of await read(file.path)) weights.set(name, ref)
  }
  checkDecoder(dir, weights)
  return { config: await configOf(dir), weights, embeddingTable: () => embeddingTable(dir, weights) }
}

/** A T5EncoderModel (an embedder, the text encoder of an image model) can be given no prompt here: answers come from the decoder. */
function checkDecoder(dir: string, weights: WeightTable): void {
  const has = (part: string): boolean => [...weights.keys()].some((name) => name.startsWith(`${part}.block.`))
  if (!has('encoder') || has('decoder')) return
  throw new ConfigError(
    'checkpoint-encoder-only',
    `${dir} holds the encoder of a T5 alone (T5EncoderModel); prompts are trained and used with the whole model, encoder and decoder. Take the model that it is a part of.`,
    { facts: { dir } },
  )
}

async function configOf(dir: string): Promise<unknown> {
  const path = join(dir, 'config.json')
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError('checkpoint-config', `${path} cannot be read: a model folder holds config.json beside its weights.`, { cause })
  })
  return parseStrictJson(text, path)
}

interface WeightFile {
  readonly path: string
  /** A `.bin`: a zip of raw tensors (torch-zip.ts). */
  readonly torch: boolean
}

/** Kinds of checkpoint in the order they are taken. The paper's LM-adapted T5s exist as `.bin` only. */
const KINDS = [
  { single: 'model.safetensors', shard: /^[\w.-]+\.safetensors$/, torch: false },
  { single: 'pytorch_model.bin', shard: /^[\w.-]+\.bin$/, torch: true },
]

async function weightFiles(dir: string): Promise<WeightFile[]> {
  for (const { single, shard, torch } of KINDS) {
    const found = await realpath(join(dir, single)).catch(() => undefined)
    if (found) return [{ path: found, torch }]
    const index = await readFile(join(dir, `${single}.index.json`), 'utf8').catch(() => undefined)
    if (index !== undefined) return (await shardFiles(dir, `${single}.index.json`, index, shard)).map((path) => ({ path, torch }))
  }
  throw new ConfigError(
    'checkpoint-missing',
    `${dir} has no model.safetensors or pytorch_model.bin (nor an index of shards). PyTorch weights are needed here; ONNX files do not do. Fetch them with the model.`,
    { facts: { dir } },
  )
}

async function shardFiles(dir: string, indexFile: string, index: string, shard: RegExp): Promise<string[]> {
  const json = parseStrictJson(index, join(dir, indexFile))
  const map = isObject(json) ? json['weight_map'] : undefined
  const names = isObject(map) ? [...new Set(Object.values(map))] : []
  // Names come from a file: only plain names of this folder are followed.
  if (names.length === 0 || names.length > MAX_SHARDS || !names.every((name) => typeof name === 'string' && shard.test(name))) {
    throw new FormatError(
      'checkpoint-index',
      `${join(dir, indexFile)} does not name its shards as files of this folder. Fetch the model again.`,
    )
  }
  return Promise.all(
    (names as string[]).toSorted().map((name) =>
      realpath(join(dir, name)).catch((cause: unknown) => {
        throw new ConfigError('checkpoint-missing', `${dir} lacks the shard ${name} that its index names. Fetch the model again.`, {
          cause,
        })
      }),
    ),
  )
}

async function headerOf(file: string): Promise<Map<string, WeightRef>> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const read = async (length: number): Promise<Uint8Array> => {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, 0)
      return buffer.subarray(0, bytesRead)
    }
    const length = headerLength(await read(LENGTH_BYTES), size)
    const { entries } = parseSafetensorsHeader(await read(LENGTH_BYTES + length), size)
    return new Map([...entries].map(([name, entry]) => [name, { ...entry, source: file }]))
  } finally {
    await handle.close()
  }
}

function embeddingTable(dir: string, weights: WeightTable): EmbeddingTable {
  const ref = EMBEDDING_NAMES.map((name) => weights.get(name)).find((found) => found !== undefined)
  if (
    !ref ||
    ref.shape.length !== 2 ||
    typeof ref.source !== 'string' ||
    (ref.dtype !== 'F32' && ref.dtype !== 'F16' && ref.dtype !== 'BF16')
  ) {
    throw new ConfigError(
      'checkpoint-embedding',
      `The weights of ${dir} have no embedding matrix (${EMBEDDING_NAMES.join(', ')}): is this a T5?`,
    )
  }
  const { dtype, source, offsetBytes } = ref
  const [vocabSize, width] = ref.shape as [number, number]
  const rowBytes = ref.sizeBytes / vocabSize
  return {
    vocabSize,
    width,
    rows: (ids) => {
      const outside = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
      if (outside !== undefined) throw new ConfigError('checkpoint-row', `Embedding row ${outside} asked for, the model has ${vocabSize}.`)
      const bytes = readRangesSync(
        source,
        ids.map((id) => ({ offset: offsetBytes + id * rowBytes, length: rowBytes })),
      )
      return toFloat32(dtype, viewAs(dtype, bytes))
    },
  }
}
