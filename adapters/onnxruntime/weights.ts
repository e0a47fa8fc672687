/** Where onnxruntime finds a graph's weights: in the checkpoint's files in place, or copied into the model. */
import { UnsupportedError } from '../../src/errors.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { findWeight, type Place } from '../../src/onnx/emit.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { readRange } from '../disk/ranges.ts'
import { builtins, type Builtins } from './builtin.ts'
import { commonFolder } from './common-folder.ts'

export interface Placement {
  readonly place: Place
  /** The folder that external locations are relative to. */
  readonly folder?: string
}

/**
 * With `external`, files are pointed into: locations are relative to the deepest folder that holds them all, symbolic links resolved (the
 * Hugging Face cache is made of links, and onnxruntime refuses locations that leave the folder). Without it, and for weights in memory,
 * bytes are copied into the model.
 * @throws {UnsupportedError} `onnx-scattered` for files on several drives
 * @throws {FormatError} `weights-truncated`
 */
export async function placeWeights(graph: Graph, weights: WeightTable, external: boolean): Promise<Placement> {
  const used = new Map(graph.weights.map((weight) => findWeight(weight, weights)))
  const inMemory = new Map<string, Uint8Array>()
  const inFiles = new Map<string, WeightRef & { readonly source: string }>()
  for (const [name, ref] of used) {
    const { source, offsetBytes, sizeBytes } = ref
    if (typeof source !== 'string') inMemory.set(name, source.subarray(offsetBytes, offsetBytes + sizeBytes))
    else if (external) inFiles.set(name, { ...ref, source })
    else inMemory.set(name, await readRange(source, offsetBytes, sizeBytes))
  }
  const bytes: Place = (name) => inMemory.get(name) as Uint8Array
  if (inFiles.size === 0) return { place: bytes }

  const { fs, path } = nodeModules()
  const real = new Map<string, string>()
  for (const { source } of inFiles.values()) if (!real.has(source)) real.set(source, await fs.realpath(source))
  const folder = commonFolder([...real.values()].map(path.dirname), path)
  const place: Place = (name, ref) => {
    const file = inFiles.get(name)
    if (!file) return bytes(name, ref)
    const location = path.relative(folder, real.get(file.source) as string)
    return { location: location.split(path.sep).join('/'), offset: file.offsetBytes, length: file.sizeBytes }
  }
  return { place, folder }
}

/** @throws {UnsupportedError} `path-no-node` */
function nodeModules(): Builtins {
  const found = builtins()
  if (found) return found
  throw new UnsupportedError('path-no-node', 'Weights can be read from files in Node only; here give their bytes.')
}
