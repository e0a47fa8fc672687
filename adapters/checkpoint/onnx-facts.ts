/** What a fingerprint needs of ONNX files on disk: headers are read, and of tables and matrices only the values that are asked for. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FormatError } from '../../src/errors.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { onnxLayerWeights } from '../../src/onnx/layer-weights.ts'
import type { ModelProto } from '../../src/onnx/schema.ts'
import type { ReadExternal } from '../../src/onnx/stored.ts'
import type { ModelFacts } from '../../src/prompt/fingerprint.ts'
import type { LayerWeight } from '../../src/prompt/layers.ts'

/** Stands for the model's own file; no name of external data can be empty. */
const OWN = ''

/**
 * Table, final norm and layers of an encoder, float or quantised.
 * @param decoder the merged decoder that belongs to it; without it its layers are not seen
 * @throws {FormatError} `onnx-*`; {UnsupportedError} `onnx-table`
 */
export async function openOnnxFacts(path: string, decoder?: string): Promise<ModelFacts> {
  const { model, external } = await openSkeleton(path)
  const finalNorm = onnxFinalNorm(model, external)
  const weights = [...onnxLayerWeights(model, 'encoder', external), ...(decoder === undefined ? [] : await decoderLayers(decoder))]
  return { table: onnxEmbeddingTable(model, external), ...(finalNorm ? { finalNorm } : {}), layers: { weights } }
}

async function decoderLayers(path: string): Promise<LayerWeight[]> {
  const { model, external } = await openSkeleton(path)
  return onnxLayerWeights(model, 'decoder', external)
}

async function openSkeleton(path: string): Promise<{ readonly model: ModelProto; readonly external: ReadExternal }> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    }
    return { model: await readSkeleton({ sizeBytes: size, read }, OWN), external: externalReader(await realpath(path), dirname(path)) }
  } finally {
    await handle.close()
  }
}

/** Reads the model's own file, and files beside it. */
function externalReader(own: string, folder: string): ReadExternal {
  return (location, offset, length) => {
    const file = openSync(location === OWN ? own : fileBeside(folder, location), 'r')
    try {
      const bytes = new Uint8Array(length)
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
    } finally {
      closeSync(file)
    }
  }
}

/**
 * The file in which a model of this folder keeps weights.
 * @throws {FormatError} `onnx-external-data` for a name that leaves the folder, `onnx-external-missing`
 */
export function fileBeside(folder: string, location: string): string {
  if (basename(location) !== location) {
    throw new FormatError(
      'onnx-external-data',
      `A model in ${folder} keeps weights in ${JSON.stringify(location)}, outside its own folder. Export it again.`,
    )
  }
  const path = join(folder, location)
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path
  throw new FormatError(
    'onnx-external-missing',
    `An ONNX model keeps weights in ${path}, and there is no such file; fetch it too, into the folder of the model.`,
    { facts: { path } },
  )
}
