/** Dropout by fed masks: the graph only multiplies, chance is drawn here from a seed, so that a resumed run is the same run. */
import type { Builder } from '../graph/builder.ts'
import { splitDim } from '../graph/dims.ts'
import type { Graph, Shape, Value } from '../graph/ir.ts'
import { cast, mul, reshape, scale } from '../graph/ops.ts'
import { createRandom } from '../tensor/random.ts'
import { sizeOf, tensor, type Tensor } from '../tensor/tensor.ts'

const PREFIX = 'dropout_'

/** Dropout of T5's places: each call is a place with an input of its own, `dropout_0`, `dropout_1`, … (1 = kept), in the order of transformers' `modeling_t5.py`. */
export function dropout(g: Builder, rate: number): (x: Value) => Value {
  let places = 0
  return (x) => {
    // An input's axes are single symbols.
    const shape = x.shape.flatMap((dim): Shape => (typeof dim === 'number' ? [dim] : splitDim(dim).symbols))
    const kept = cast(g, g.input(`${PREFIX}${places++}`, 'BOOL', shape), 'F32')
    return mul(g, x, scale(g, reshape(g, kept, x.shape), 1 / (1 - rate)))
  }
}

/** Draws that two numbers share. */
const HALF = 0x1_0000

/** Masks of one run of a graph, from a seed and the run's other feeds; to the nearest of 65,536 rates. */
export function dropoutFeeds(graph: Graph, feeds: Readonly<Record<string, Tensor>>, rate: number, seed: number): Record<string, Tensor> {
  const sizes = new Map<string, number>()
  for (const { name, value } of graph.inputs)
    for (const [axis, dim] of value.shape.entries())
      if (typeof dim === 'string' && feeds[name]) sizes.set(dim, feeds[name].shape[axis] as number)
  const random = createRandom(seed)
  const least = Math.round(rate * HALF)
  const masks = graph.inputs.filter(({ name }) => name.startsWith(PREFIX))
  return Object.fromEntries(
    masks.map(({ name, value }) => {
      const shape = value.shape.map((dim) => (typeof dim === 'number' ? dim : (sizes.get(dim) as number)))
      const data = new Uint8Array(sizeOf(shape))
      for (let index = 0; index < data.length; index += 2) {
        const bits = random.uniform() * 2 ** 32
        data[index] = bits % HALF >= least ? 1 : 0
        data[index + 1] = bits >= least * HALF ? 1 : 0 // past an odd end: not written
      }
      return [name, tensor('BOOL', shape, data)]
    }),
  )
}
