/** Builds a graph node by node; equal nodes are made once, and what no output needs is left out. */
import { tensor, type Dtype, type Tensor } from '../tensor/tensor.ts'
import { inferNode } from './infer.ts'
import type { Constant, Dim, Graph, Named, Node, OpAttributes, OpName, Shape, SymbolSource, Value, Weight } from './ir.ts'

export interface Builder {
  input(name: string, dtype: Dtype, shape: Shape): Value
  /** A frozen F32 weight; `names` are the checkpoint names it may have, the wanted one first. */
  weight(names: string | readonly string[], shape: readonly number[]): Value
  /** A small constant; equal ones are one. */
  constant(value: Tensor): Value
  /** An F32 constant without axes. */
  scalar(value: number): Value
  /** Declares what a symbol stands for that is no axis of an input. */
  symbol(name: string, source: SymbolSource): Dim
  /** Applies an operator; all its outputs. */
  apply<K extends OpName>(op: K, inputs: readonly Value[], attributes: OpAttributes[K]): readonly Value[]
  /** The nodes made so far, each after what it reads. */
  readonly nodes: readonly Node[]
  finish(outputs: Readonly<Record<string, Value>>): Graph
}

export function createBuilder(name: string): Builder {
  const inputs: Named[] = []
  const weights = new Map<string, Weight>()
  const constants = new Map<string, Constant>()
  const nodes: Node[] = []
  const made = new Map<string, readonly Value[]>()
  const symbols = new Map<string, SymbolSource>()
  let nextId = 0
  const value = (dtype: Dtype, shape: Shape): Value => ({ id: nextId++, dtype, shape })

  const builder: Builder = {
    nodes,
    input: (inputName, dtype, shape) => {
      const found = value(dtype, shape)
      inputs.push({ name: inputName, value: found })
      return found
    },
    weight: (given, shape) => {
      const names = typeof given === 'string' ? [given] : given
      const key = names.join('|')
      const weight = weights.get(key) ?? { names, value: value('F32', shape) }
      weights.set(key, weight)
      return weight.value
    },
    constant: (given) => {
      const key = `${given.dtype} ${given.shape.join()} ${given.data.join()}`
      const constant = constants.get(key) ?? { tensor: given, value: value(given.dtype, given.shape) }
      constants.set(key, constant)
      return constant.value
    },
    scalar: (number) => builder.constant(tensor('F32', [], Float32Array.of(number))),
    symbol: (symbol, source) => {
      symbols.set(symbol, source)
      return symbol
    },
    apply: (op, operands, attributes) => {
      const key = `${op} ${operands.map(({ id }) => id).join(' ')} ${JSON.stringify(attributes)}`
      const found = made.get(key)
      if (found) return found
      const outputs = inferNode(op, operands, attributes).map(({ dtype, shape }) => value(dtype, shape))
      nodes.push({ op, inputs: operands, outputs, attributes } as unknown as Node)
      made.set(key, outputs)
      return outputs
    },
    finish: (outputs) => {
      const named = Object.entries(outputs).map(([outputName, found]) => ({ name: outputName, value: found }))
      return prune({ name, inputs, outputs: named, weights: [...weights.values()], constants: [...constants.values()], nodes, symbols })
    },
  }
  return builder
}

/** Leaves out nodes, weights and constants that no output needs. Inputs stay: they are the graph's contract. */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ value }) => value.id))
  const nodes = graph.nodes
    .toReversed()
    .filter((node) => {
      const used = node.outputs.some(({ id }) => needed.has(id))
      if (used) for (const { id } of node.inputs) needed.add(id)
      return used
    })
    .toReversed()
  return {
    ...graph,
    nodes,
    weights: graph.weights.filter(({ value }) => needed.has(value.id)),
    constants: graph.constants.filter(({ value }) => needed.has(value.id)),
  }
}
