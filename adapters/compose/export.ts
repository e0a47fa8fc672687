/** A checkpoint as ONNX files in the layout that transformers.js loads: written by the same graphs that train and decode. */
import { constants, copyFile, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel, findWeight } from '../../src/onnx/emit.ts'
import type { ModelProto } from '../../src/onnx/schema.ts'
import type { ExternalData } from '../../src/onnx/tensors.ts'
import { ELEMENT_BYTES, sizeOf } from '../../src/tensor/tensor.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildExportedEncoder, buildMergedDecoder } from '../../src/t5/exported.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'
import { readRange } from '../disk/ranges.ts'
import { replaceFile, replaceWith } from '../disk/replace.ts'
import { readTokenizerJson } from '../tokenizer/tokenizer.ts'
import { findBase, type BaseOptions } from './open-base.ts'

/** Beside the ONNX files, where the checkpoint has them. */
const COPIED = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'spiece.model',
]

export interface ExportedFile {
  readonly path: string
  readonly sizeBytes: number
}

/** A protobuf ends at 2 GiB; the rest is for the graph. */
const MOST_INLINE_BYTES = 2 ** 31 - (16 << 20)

export interface ExportOptions extends BaseOptions {
  /** Replace ONNX files that are there. */
  readonly overwrite?: boolean
  /** Models whose weights take more are written with external data (`…onnx_data`, beside each). Default: what a protobuf holds. */
  readonly mostInlineBytes?: number
}

/**
 * Writes `onnx/encoder_model.onnx`, `onnx/decoder_model_merged.onnx` and the files beside them; weights go into the ONNX files, as F32, or beside them where they are
 * too large for that (then `config.json` tells transformers.js so).
 * @param model folder, or Hub id
 * @throws {ConfigError} `export-exists` | `base-missing` | `t5-config` | `t5-activation` | `checkpoint-*`
 * @throws {MismatchError} `weight-missing` | `weight-shape`
 */
export async function exportOnnx(model: string, outDir: string, options: ExportOptions = {}): Promise<ExportedFile[]> {
  const { dir: modelDir } = await findBase(model, options)
  const { config: json, weights } = await openCheckpoint(modelDir)
  const config = parseT5Config(json)
  const graphs = [buildExportedEncoder(config), buildMergedDecoder(config)]
  for (const { name } of options.overwrite ? [] : graphs) {
    const path = join(outDir, 'onnx', `${name}.onnx`)
    if (await stat(path).catch(() => undefined)) {
      throw new ConfigError('export-exists', `${path} is there already. Give another folder, or --overwrite (in code: overwrite).`, {
        facts: { path },
      })
    }
  }
  const written: ExportedFile[] = []
  const write = async (path: string, make: (file: string) => Promise<number>): Promise<void> => {
    written.push({ path, sizeBytes: await replaceWith(join(outDir, path), make) })
  }
  const external: Record<string, true> = {}
  for (const exported of graphs) {
    // In standard operators only: any runtime may load it.
    const graph = specialise(exported, { contrib: false, externalData: false })
    const path = join('onnx', `${graph.name}.onnx`)
    const stored = storedWeights(graph, weights)
    const total = [...stored.values()].reduce((sum, ref) => sum + floatBytes(ref), 0)
    let proto: ModelProto
    if (total > (options.mostInlineBytes ?? MOST_INLINE_BYTES)) {
      external[`${graph.name}.onnx`] = true
      const places = new Map<string, ExternalData>()
      await write(`${path}_data`, (file) => writeData(file, stored, `${graph.name}.onnx_data`, places))
      proto = emitModel(graph, asF32(stored), (name) => places.get(name) as ExternalData)
    } else {
      await rm(join(outDir, `${path}_data`), { force: true })
      const bytes = new Map<string, Uint8Array>()
      for (const [name, ref] of stored) bytes.set(name, await floatsOf(ref))
      proto = emitModel(graph, asF32(stored), (name) => bytes.get(name) as Uint8Array)
    }
    await write(path, async (file) => {
      const bytes = formatModel(proto)
      await writeFile(file, bytes, { flag: 'wx' })
      return bytes.length
    })
  }
  const here = resolve(modelDir) === resolve(outDir)
  for (const path of here ? [] : COPIED) {
    const found = await stat(join(modelDir, path)).catch(() => undefined)
    if (!found) continue
    await write(path, async (file) => {
      await copyFile(join(modelDir, path), file, constants.COPYFILE_EXCL)
      return found.size
    })
  }
  for (const [path, text] of await missingTokenizerFiles(modelDir)) {
    await write(path, async (file) => {
      await writeFile(file, text)
      return Buffer.byteLength(text)
    })
  }
  if (Object.keys(external).length === 0) return written
  const told = { path: 'config.json', sizeBytes: await tellExternal(join(outDir, 'config.json'), external) }
  return [...written.filter(({ path }) => path !== told.path), told]
}

/** transformers.js reads no spiece.model: where a checkpoint has nothing else, the same tokenizer in the files that it does read. */
async function missingTokenizerFiles(modelDir: string): Promise<[path: string, text: string][]> {
  const has = (name: string): Promise<boolean> =>
    stat(join(modelDir, name)).then(
      () => true,
      () => false,
    )
  if ((await has('tokenizer.json')) || !(await has('spiece.model'))) return []
  const { json, config } = await readTokenizerJson(modelDir)
  const configured = (await has('tokenizer_config.json'))
    ? []
    : [['tokenizer_config.json', { tokenizer_class: 'T5Tokenizer', ...config }] as const]
  return [['tokenizer.json', json] as const, ...configured].map(([path, value]) => [path, `${JSON.stringify(value)}\n`])
}

/** Where transformers.js looks before it fetches `…onnx_data`. */
async function tellExternal(path: string, external: Record<string, true>): Promise<number> {
  const json = JSON.parse(await readFile(path, 'utf8')) as { 'transformers.js_config'?: object }
  json['transformers.js_config'] = { ...json['transformers.js_config'], use_external_data_format: external }
  const text = `${JSON.stringify(json, null, 2)}\n`
  await replaceFile(path, text)
  return Buffer.byteLength(text)
}

/** The weights that a graph uses, by checkpoint name. */
const storedWeights = (graph: Graph, weights: WeightTable): Map<string, WeightRef> =>
  new Map(graph.weights.map((weight) => findWeight(weight, weights)))

const floatBytes = ({ shape }: WeightRef): number => sizeOf(shape) * ELEMENT_BYTES.F32
const asF32 = (stored: ReadonlyMap<string, WeightRef>): WeightTable =>
  new Map([...stored].map(([name, ref]) => [name, { ...ref, dtype: 'F32', sizeBytes: floatBytes(ref) }]))

/** A weight as the bytes of F32s. */
async function floatsOf({ dtype, source, offsetBytes, sizeBytes }: WeightRef): Promise<Uint8Array> {
  const bytes =
    typeof source === 'string' ? await readRange(source, offsetBytes, sizeBytes) : source.subarray(offsetBytes, offsetBytes + sizeBytes)
  return dtype === 'F16' || dtype === 'BF16' ? new Uint8Array(toFloat32(dtype, viewAs(dtype, bytes)).buffer) : bytes
}

/** Writes weights one after the other, each at a multiple of a page so that it can be mapped; keeps where. */
async function writeData(
  path: string,
  stored: ReadonlyMap<string, WeightRef>,
  location: string,
  places: Map<string, ExternalData>,
): Promise<number> {
  const file = await open(path, 'wx')
  try {
    let offset = 0
    for (const [name, ref] of stored) {
      const bytes = await floatsOf(ref)
      places.set(name, { location, offset, length: bytes.length })
      const padding = (PAGE_BYTES - (bytes.length % PAGE_BYTES)) % PAGE_BYTES
      // Unlike write, this never stops half-way without a word.
      await file.appendFile(bytes)
      await file.appendFile(new Uint8Array(padding))
      offset += bytes.length + padding
    }
    return offset
  } finally {
    await file.close()
  }
}

const PAGE_BYTES = 4096
