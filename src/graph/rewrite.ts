/** Makes a graph anew, node by node: the frame in which passes are written. */
import { createBuilder, type Builder } from './builder.ts'
import type { Graph, Node, Value } from './ir.ts'

/** What stands in a node's place, on the new graph: its outputs, or undefined to keep the node. */
export type Replace = (g: Builder, node: Node, inputs: readonly Value[]) => readonly Value[] | undefined

/** Copies a graph with some nodes replaced; names, inputs, outputs and weights stay. */
export function rewrite(graph: Graph, replace: Replace): Graph {
  const g = createBuilder(graph.name)
  const now = new Map<number, Value>()
  for (const [symbol, source] of graph.symbols) g.symbol(symbol, source)
  for (const { name, value } of graph.inputs) now.set(value.id, g.input(name, value.dtype, value.shape))
  for (const { names, value } of graph.weights) now.set(value.id, g.weight(names, value.shape as readonly number[]))
  for (const { tensor, value } of graph.constants) now.set(value.id, g.constant(tensor))
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(({ id }) => now.get(id) as Value)
    const outputs = replace(g, node, inputs) ?? g.apply(node.op, inputs, node.attributes as never)
    for (const [index, { id }] of node.outputs.entries()) now.set(id, outputs[index] as Value)
  }
  return g.finish(Object.fromEntries(graph.outputs.map(({ name, value }) => [name, now.get(value.id) as Value])))
}
