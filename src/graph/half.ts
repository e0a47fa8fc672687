/** Matrix products in F16, all else in F32: the residual stream, norms, softmax, loss, and the products that are too large for F16 (Micikevicius et al. 2018, mixed precision). */
import type { Graph, Value } from './ir.ts'
import { cast } from './ops.ts'
import { rewrite } from './rewrite.ts'

/**
 * Names of the weights whose products stay in F32: what the loss reads (logits need more than F16's three digits), and what sums a long axis into the residual stream (a
 * feed-forward output passes 65,504 in real T5s). Read from the canonical graph.
 */
export function wideWeights(graph: Graph): ReadonlySet<string> {
  const logits = new Set(graph.nodes.flatMap(({ op, inputs }) => (op === 'CrossEntropy' ? [inputs[0]?.id] : [])))
  const head = new Set(graph.nodes.flatMap(({ inputs, outputs }) => (logits.has(outputs[0]?.id) ? inputs.map(({ id }) => id) : [])))
  const wide = graph.weights.filter(
    ({ value: { id, shape } }) => head.has(id) || (shape.length === 2 && Number(shape[0]) < Number(shape[1])),
  )
  return new Set(wide.map(({ names }) => names[0] as string))
}

/** Every product of F32 matrices in F16, but those with a weight of `wide`. Its result is F32 again. */
export function halveProducts(graph: Graph, wide: ReadonlySet<string>): Graph {
  const kept = new Set(graph.weights.filter(({ names }) => wide.has(names[0] as string)).map(({ value }) => value.id))
  return rewrite(graph, (g, node, inputs) => {
    if ((node.op !== 'Gemm' && node.op !== 'MatMul') || node.inputs.some(({ id, dtype }) => kept.has(id) || dtype !== 'F32'))
      return undefined
    const [a, b] = inputs as [Value, Value]
    const [half] = g.apply(node.op, [cast(g, a, 'F16'), cast(g, b, 'F16')], node.attributes as never)
    return [cast(g, half as Value, 'F32')]
  })
}
