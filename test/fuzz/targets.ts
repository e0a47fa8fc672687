/** Every reader of strangers' bytes, with sound files to start from. */
import { readFileSync } from 'node:fs'
import { parseArtifact, type Files } from '../../adapters/artifact/artifact.ts'
import { parseManifest } from '../../adapters/artifact/manifest.ts'
import { parseNpy } from '../../adapters/google/npy.ts'
import { parseLock } from '../../adapters/hub/lockfile.ts'
import { parsePeft } from '../../adapters/peft/peft.ts'
import { parseDelimited } from '../../adapters/rows/delimited.ts'
import { parseJsonLines } from '../../adapters/rows/jsonl.ts'
import { formatBundle, parseBundle } from '../../adapters/tar/bundle.ts'
import { formatTar, parseTar } from '../../adapters/tar/tar.ts'
import { openCharsMap } from '../../adapters/tokenizer/charsmap.ts'
import { convertSentencePiece } from '../../adapters/tokenizer/sentencepiece.ts'
import { parseTemplate } from '../../src/data/template.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import { onnxLayerWeights } from '../../src/onnx/layer-weights.ts'
import { formatModel, parseModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type ModelProto, type NodeProto, type TensorProto } from '../../src/onnx/schema.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { addSoftPromptInput } from '../../src/onnx/surgery.ts'
import { makeNode, makeTensor, makeValueInfo } from '../../src/onnx/tensors.ts'
import { FormatError } from '../../src/errors.ts'
import { parseAdapterConfig } from '../../src/prompt/adapter-config.ts'
import { compareFingerprint, type EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { placesOf, type LayerWeight } from '../../src/prompt/layers.ts'
import { parseSafetensors } from '../../src/tensor/safetensors.ts'
import { parseStrictJson } from '../../src/tensor/strict-json.ts'
import { formatCheckpoint, parseCheckpoint } from '../../src/train/checkpoint.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import { sampleArtifact } from './sample.ts'

export interface Target {
  readonly seeds: readonly Uint8Array[]
  run(bytes: Uint8Array): unknown
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
/** As readers of whole files do; what is not UTF-8 is the file reader's own error. */
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const fixture = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)))

const PEFT = ['prompt_tuning', 'prompt_tuning_sub1', 'p_tuning_mlp', 'multitask', 'multitask_sub1', 'cpt', 'prefix_tuning']
const configs = PEFT.map((name) => fixture(`peft/${name}/adapter_config.json`))
const tensors = PEFT.map((name) => fixture(`peft/${name}/adapter_model.safetensors`))
/** A table of the shape that the sample's fingerprint names. */
const zeros: EmbeddingTable = { vocabSize: 32128, width: 4, rows: (ids) => new Float32Array(4 * ids.length) }
const norm: LayerWeight = { name: 'encoder.final_layer_norm.weight', size: 4, values: (places) => new Float32Array(places.length) }
const artifact = await sampleArtifact()
const manifest = artifact.get('soft_prompt.json') as Uint8Array

/** The artifact with one file changed. */
const withFile = (name: string, bytes: Uint8Array): Files => new Map([...artifact, [name, bytes]])

/** A lookup of ids in a table of 16 rows of 8. */
function lookup(tensors_: readonly TensorProto[], nodes: readonly NodeProto[]): Uint8Array {
  const model: ModelProto = {
    irVersion: 8,
    opsetImports: [{ domain: '', version: 17 }],
    metadataProps: [],
    graph: {
      nodes,
      initializers: [...tensors_, makeTensor('encoder.final_layer_norm.weight', DATA_TYPE.FLOAT, [8], new Uint8Array(32))],
      inputs: [makeValueInfo('input_ids', DATA_TYPE.INT64, ['B', 'T'])],
      outputs: [makeValueInfo('out', DATA_TYPE.FLOAT, ['B', 'T', 8])],
      valueInfos: [],
    },
  }
  return formatModel(model)
}

const scale = makeTensor('scale', DATA_TYPE.FLOAT, [], Uint8Array.of(0, 0, 128, 63))
const onnx = [
  lookup([makeTensor('table', DATA_TYPE.FLOAT, [16, 8], new Uint8Array(512))], [makeNode('Gather', ['table', 'input_ids'], ['out'])]),
  lookup(
    [makeTensor('table', DATA_TYPE.INT8, [16, 8], new Uint8Array(128)), scale],
    [makeNode('Gather', ['table', 'input_ids'], ['rows']), makeNode('DequantizeLinear', ['rows', 'scale'], ['out'])],
  ),
  lookup(
    [
      makeTensor('table', DATA_TYPE.UINT8, [16, 4], new Uint8Array(64)),
      makeTensor('scales', DATA_TYPE.FLOAT, [16, 2], new Uint8Array(128)),
    ],
    [
      makeNode(
        'GatherBlockQuantized',
        ['table', 'input_ids', 'scales'],
        ['out'],
        { bits: 4n, block_size: 4n, gather_axis: 0n, quantize_axis: 1n },
        { domain: 'com.microsoft' },
      ),
    ],
  ),
]
/** One product of an encoder, in forms that a layer's matrix is stored in. */
const product = (nodes: readonly NodeProto[], stored: readonly TensorProto[]): Uint8Array =>
  lookup(
    [makeTensor('table', DATA_TYPE.FLOAT, [16, 8], new Uint8Array(512)), ...stored],
    [makeNode('Gather', ['table', 'input_ids'], ['x']), ...nodes],
  )
const named = { name: '/block.0/layer.0/SelfAttention/q/MatMul' }
const layers = [
  product([makeNode('MatMul', ['x', 'm'], ['out'], {}, named)], [makeTensor('m', DATA_TYPE.FLOAT, [8, 8], new Uint8Array(256))]),
  product(
    [makeNode('DequantizeLinear', ['m', 'scale'], ['f'], { axis: 1n }), makeNode('MatMul', ['x', 'f'], ['out'], {}, named)],
    [makeTensor('m', DATA_TYPE.INT8, [8, 8], new Uint8Array(64)), scale],
  ),
  product(
    [makeNode('MatMulNBits', ['x', 'm', 's'], ['out'], { K: 8n, N: 8n, bits: 4n, block_size: 4n }, { ...named, domain: 'com.microsoft' })],
    [makeTensor('m', DATA_TYPE.UINT8, [8, 2, 2], new Uint8Array(32)), makeTensor('s', DATA_TYPE.FLOAT, [16], new Uint8Array(64))],
  ),
]
const noExternal = (): never => {
  throw new FormatError('fuzz-external', 'There is no other file.')
}

/** A digest that fits whatever was changed, so that what is behind it is reached. */
const anySeal = (): string => 'a'.repeat(64)
const state = {
  identity: { recipe: makeRecipe(), data: 'd', base: 'b', start: 's' },
  step: 3,
  prompt: new Float32Array(4),
  optimizer: { step: 3, moments: { v: new Float32Array(4) } },
  best: { step: 2, prompt: new Float32Array(4), metrics: [] },
  stale: 0,
  window: { loss: 0, tokens: 0 },
}
const checkpoint = formatCheckpoint(
  { states: [state, state], logs: [state, state].map(() => ({ sizeBytes: 3, sha256: anySeal() })) },
  anySeal,
)

const npy = ['f16', 'f32', 'f64', 'fortran', 'objects', 'version2'].map((name) => fixture(`google/${name}.npy`))
const bundles = [formatBundle(new Map([['', artifact]])), formatBundle(new Map(['a', 'b'].map((name) => [name, artifact])))]
const archives = [formatTar([...artifact].map(([name, bytes]) => ({ name, bytes })))]

/** Makes every header's checksum right again, so that the checks behind it are reached. */
function summed(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice()
  for (let at = 0; at + 512 <= out.length; at += 512) {
    if (String.fromCharCode(...out.subarray(at + 257, at + 262)) !== 'ustar') continue
    out.fill(0x20, at + 148, at + 156)
    const sum = out.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
    out.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), at + 148)
  }
  return out
}

const lock = utf8(
  JSON.stringify({
    version: 1,
    prompts: { 'owner/name': { revision: 'a'.repeat(40), files: [{ path: 'adapter_config.json', size: 600, sha256: 'b'.repeat(64) }] } },
    models: {},
  }),
)
/** The character map of a small model, as its tokenizer.json has it. */
const charsMap = charsMapOf(convertSentencePiece(fixture('tokenizer/plain.model'), 'plain.model'))
function charsMapOf(json: Record<string, unknown>): Uint8Array {
  return Buffer.from((json['normalizer'] as { precompiled_charsmap: string }).precompiled_charsmap, 'base64')
}

/** Three SentencePiece pieces: <pad>, </s>, <unk>. */
const pieces = new Uint8Array(
  Buffer.from('0a0e0a053c7061643e150000000018030a0d0a043c2f733e150000000018030a0e0a053c756e6b3e15000000001802', 'hex'),
)

export const TARGETS: Readonly<Record<string, Target>> = {
  'strict JSON': { seeds: [...configs, manifest], run: (bytes) => parseStrictJson(textOf(bytes), 'fuzz') },
  safetensors: { seeds: [...tensors, checkpoint], run: (bytes) => parseSafetensors(bytes) },
  'safetensors header': {
    seeds: tensors.map((bytes) => bytes.slice(8, 8 + (bytes[0] as number) + 256 * (bytes[1] as number))),
    // With its true length and enough data behind it, so that the checks behind those two are reached.
    run: (header) => {
      const bytes = new Uint8Array(8 + header.length + 952)
      new DataView(bytes.buffer).setUint32(0, header.length, true)
      bytes.set(header, 8)
      return parseSafetensors(bytes)
    },
  },
  'adapter_config.json': { seeds: configs, run: (bytes) => parseAdapterConfig(textOf(bytes)) },
  'soft_prompt.json': {
    seeds: [manifest],
    run: async (bytes) => {
      const { fingerprint } = parseManifest(textOf(bytes)).base
      const facts = { table: zeros, pieces: ['<pad>'], finalNorm: new Float32Array(4), layers: { weights: [norm] } }
      if (fingerprint) await compareFingerprint(fingerprint, facts, () => '')
    },
  },
  'PEFT, config changed': {
    seeds: configs.slice(0, 6),
    run: (bytes) => {
      for (const other of tensors) parseEither(() => parsePeft(textOf(bytes), other, { task: 0 }))
    },
  },
  'PEFT, tensors changed': {
    seeds: tensors.slice(0, 6),
    run: (bytes) => {
      for (const other of configs) parseEither(() => parsePeft(textOf(other), bytes, { task: 0 }))
    },
  },
  'artifact, config changed': {
    seeds: [artifact.get('adapter_config.json') as Uint8Array],
    run: (bytes) => parseArtifact(withFile('adapter_config.json', bytes)),
  },
  'artifact, tensors changed': {
    seeds: [artifact.get('adapter_model.safetensors') as Uint8Array],
    run: (bytes) => parseArtifact(withFile('adapter_model.safetensors', bytes)),
  },
  'artifact, manifest changed': { seeds: [manifest], run: (bytes) => parseArtifact(withFile('soft_prompt.json', bytes)) },
  ONNX: { seeds: onnx, run: (bytes) => formatModel(parseModel(bytes)) },
  'ONNX, skeleton and surgery': {
    seeds: onnx,
    run: async (bytes) =>
      addSoftPromptInput(
        await readSkeleton({ sizeBytes: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) }, 'itself'),
      ),
  },
  'ONNX, embedding table': {
    seeds: onnx,
    run: (bytes) => {
      const model = parseModel(bytes)
      parseEither(() => onnxFinalNorm(model, noExternal))
      const table = onnxEmbeddingTable(model, noExternal)
      table.steps?.([0])
      return table.rows([0, 15])
    },
  },
  'ONNX, layers': {
    seeds: layers,
    run: (bytes) => {
      for (const half of ['encoder', 'decoder'] as const) {
        for (const { name, size, values, steps } of onnxLayerWeights(parseModel(bytes), half, noExternal)) {
          const places = placesOf(name, size, 4)
          parseEither(() => values(places))
          parseEither(() => steps?.(places))
        }
      }
    },
  },
  npy: { seeds: npy, run: (bytes) => parseNpy(bytes) },
  bundle: { seeds: bundles, run: (bytes) => parseBundle(bytes) },
  tar: { seeds: archives, run: (bytes) => parseTar(summed(bytes)) },
  'JSON lines': {
    seeds: [utf8('{"input":"a","target":"b"}\n{"input":"c","target":"d"}\n')],
    run: (bytes) => parseJsonLines(textOf(bytes), 'fuzz'),
  },
  TSV: { seeds: [utf8('input\ttarget\n"a ""b"""\tc\r\n"d\te\n')], run: (bytes) => parseDelimited(textOf(bytes), 'fuzz', '\t') },
  CSV: { seeds: [utf8('input,target\n"a, ""b""",c\nd,e\n')], run: (bytes) => parseDelimited(textOf(bytes), 'fuzz', ',') },
  template: { seeds: [utf8('{sentence} question: {question|lower}')], run: (bytes) => parseTemplate(textOf(bytes)) },
  'config.json': {
    seeds: [fixture('onnx/tiny-t5-v10/hf/config.json'), fixture('onnx/tiny-t5-v11/hf/config.json')],
    run: (bytes) => parseT5Config(parseStrictJson(textOf(bytes), 'fuzz')),
  },
  'spiece.model': { seeds: [pieces], run: (bytes) => convertSentencePiece(bytes, 'fuzz', { config: { extra_ids: 0 } }) },
  'character map': { seeds: [charsMap], run: (bytes) => openCharsMap(bytes)('\uff21n \u0085 \u2460 e\u0301') },
  lockfile: { seeds: [lock], run: (bytes) => parseLock(textOf(bytes), 'fuzz') },
  'training checkpoint': { seeds: [checkpoint], run: (bytes) => parseCheckpoint(bytes, anySeal) },
}

/** Runs one of several reads, so that a coded error of the first does not hide the others. */
function parseEither(read: () => unknown): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}
