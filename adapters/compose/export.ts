/** A checkpoint as ONNX files in the layout that transformers.js loads: written by the same graphs that train and decode. */
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel, findWeight } from '../../src/onnx/emit.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildExportedEncoder, buildMergedDecoder } from '../../src/t5/exported.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'

/** Beside the ONNX files; the first must be there. */
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
 * Writes `onnx/encoder_model.onnx`, `onnx/decoder_model_merged.onnx` and the files beside them; weights go into the ONNX files.
 * @throws {ConfigError} `t5-config` | `t5-activation` | `export-config`
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
    await writeFile(join(outDir, path), bytes)
    written.push({ path, sizeBytes: bytes.length })
  }
  if (resolve(modelDir) === resolve(outDir)) return written
  for (const name of COPIED) {
    const copied = await copyFile(join(modelDir, name), join(outDir, name)).then(
      () => true,
      () => false,
    )
    if (copied) written.push({ path: name, sizeBytes: (await readFile(join(outDir, name))).length })
    else if (name === COPIED[0])
      throw new ConfigError('export-config', `${basename(modelDir)} has no ${name} to copy.`, { facts: { modelDir } })
  }
  return written
}

/** The model with its weights inside, in standard operators only: any runtime may load it. */
async function embedWeights(graph: Graph, weights: WeightTable): Promise<Uint8Array> {
  const bytes = new Map<string, Uint8Array>()
  for (const weight of graph.weights) {
    const [name, { source, offsetBytes, sizeBytes }] = findWeight(weight, weights)
    bytes.set(
      name,
      typeof source === 'string' ? await readRange(source, offsetBytes, sizeBytes) : source.subarray(offsetBytes, offsetBytes + sizeBytes),
    )
  }
  const canonical = specialise(graph, { contrib: false, externalData: false })
  return formatModel(emitModel(canonical, weights, (name) => bytes.get(name) as Uint8Array))
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset)
    if (bytesRead !== length)
      throw new ConfigError('export-truncated', `${path} ends within a weight; fetch it again.`, { facts: { path } })
    return buffer
  } finally {
    await file.close()
  }
}
