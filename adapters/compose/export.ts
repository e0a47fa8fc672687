/** A checkpoint as ONNX files in the layout that transformers.js loads: written by the same graphs that train and decode. */
import { copyFile, mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Graph } from '../../src/graph/ir.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel, findWeight } from '../../src/onnx/emit.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildExportedEncoder, buildMergedDecoder } from '../../src/t5/exported.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { readRange } from '../onnxruntime/weights.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'

/** Beside the ONNX files, where the checkpoint has them. */
const COPIED = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'spiece.model',
]

export interface ExportedFile {
  readonly path: string
  readonly sizeBytes: number
}

/**
 * Writes `onnx/encoder_model.onnx`, `onnx/decoder_model_merged.onnx` and the files beside them; weights go into the ONNX files, as F32.
 * @throws {ConfigError} `t5-config` | `t5-activation` | `checkpoint-*`
 * @throws {MismatchError} `weight-missing` | `weight-shape`
 * @throws {FormatError} `onnx-too-large` beyond 2 GiB a file
 */
export async function exportOnnx(modelDir: string, outDir: string): Promise<ExportedFile[]> {
  const { config: json, weights } = await openCheckpoint(modelDir)
  const config = parseT5Config(json)
  await mkdir(join(outDir, 'onnx'), { recursive: true })
  const written: ExportedFile[] = []
  for (const graph of [buildExportedEncoder(config), buildMergedDecoder(config)]) {
    const bytes = await embedWeights(graph, weights)
    const path = join('onnx', `${graph.name}.onnx`)
    await writeFile(join(outDir, `${path}.tmp`), bytes)
    await rename(join(outDir, `${path}.tmp`), join(outDir, path))
    written.push({ path, sizeBytes: bytes.length })
  }
  if (resolve(modelDir) === resolve(outDir)) return written
  for (const path of COPIED) {
    const found = await stat(join(modelDir, path)).catch(() => undefined)
    if (!found) continue
    await copyFile(join(modelDir, path), join(outDir, path))
    written.push({ path, sizeBytes: found.size })
  }
  return written
}

/** The model with its weights inside, in standard operators only: any runtime may load it. */
async function embedWeights(graph: Graph, weights: WeightTable): Promise<Uint8Array> {
  const read = new Map<string, WeightRef & { readonly source: Uint8Array }>()
  for (const weight of graph.weights) {
    const [name, ref] = findWeight(weight, weights)
    const { dtype, source: stored, offsetBytes, sizeBytes } = ref
    const bytes =
      typeof stored === 'string' ? await readRange(stored, offsetBytes, sizeBytes) : stored.subarray(offsetBytes, offsetBytes + sizeBytes)
    const floats = dtype === 'F16' || dtype === 'BF16' ? toFloat32(dtype, viewAs(dtype, bytes)) : undefined
    const source = floats ? new Uint8Array(floats.buffer) : bytes
    read.set(name, { dtype: floats ? 'F32' : dtype, shape: ref.shape, source, offsetBytes: 0, sizeBytes: source.length })
  }
  const canonical = specialise(graph, { contrib: false, externalData: false })
  return formatModel(emitModel(canonical, read, (name) => (read.get(name) as { source: Uint8Array }).source))
}
