/** The most memory a run of a graph takes, from the life of its values: known before anything runs. */
import { ELEMENT_BYTES } from '../tensor/tensor.ts'
import { evaluateDim } from './dims.ts'
import type { Graph, OpName, Value } from './ir.ts'

/** Their output may take the place of an input of its size that nothing else needs. */
const IN_PLACE: ReadonlySet<OpName> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Neg',
  'Sqrt',
  'Relu',
  'Step',
  'Log',
  'Sigmoid',
  'Clip',
  'Softmax',
])
/** Their output is their input, seen in another shape. */
const VIEWS: ReadonlySet<OpName> = new Set(['Reshape'])

/**
 * Bytes of the values made in between at their peak, where nodes run in order and each value is given back after its last use; weights and inputs are not counted.
 * @param symbols what each axis is, as `symbolValues` gives it
 */
export function peakBytes(graph: Graph, symbols: ReadonlyMap<string, number>): number {
  const size = ({ dtype, shape }: Value): number =>
    shape.reduce<number>((product, dim) => product * evaluateDim(dim, symbols), ELEMENT_BYTES[dtype])
  /** The buffer that a value lies in, by the value that made it. */
  const buffer = new Map<number, number>()
  const bytes = new Map<number, number>()
  const uses = new Map<number, number>()
  const use = (id: number): void => void uses.set(id, (uses.get(id) ?? 0) + 1)
  for (const { op, inputs, outputs } of graph.nodes) {
    const [made, from] = [outputs[0] as Value, inputs[0]]
    for (const { id } of outputs) buffer.set(id, id)
    if (VIEWS.has(op) && from && buffer.has(from.id)) buffer.set(made.id, buffer.get(from.id) as number)
    for (const { id } of inputs) if (buffer.has(id)) use(buffer.get(id) as number)
  }
  for (const { value } of graph.outputs) if (buffer.has(value.id)) use(buffer.get(value.id) as number)
  let live = 0
  let peak = 0
  for (const { op, inputs, outputs } of graph.nodes) {
    for (const value of outputs) {
      if (buffer.get(value.id) !== value.id) continue
      const own = size(value)
      bytes.set(value.id, own)
      const reused =
        IN_PLACE.has(op) && inputs.some(({ id }) => uses.get(buffer.get(id) ?? -1) === 1 && bytes.get(buffer.get(id) as number) === own)
      peak = Math.max(peak, live + (reused ? 0 : own))
      live += own
    }
    for (const { id } of inputs) {
      const at = buffer.get(id)
      if (at === undefined) continue
      const left = (uses.get(at) as number) - 1
      uses.set(at, left)
      if (left === 0) live -= bytes.get(at) as number
    }
    // What nothing reads goes at once.
    for (const { id } of outputs) if (!uses.has(buffer.get(id) as number)) live -= bytes.get(id) as number
  }
  return peak
}
