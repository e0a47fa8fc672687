/** A plain f64 interpreter of graphs, for oracles: one case for each operator, no speed. */
import { evaluateDim } from '../../src/graph/dims.ts'
import { GELU_A, GELU_C } from '../../src/graph/gradients.ts'
import type { Dim, Graph, Node, OpName, Shape } from '../../src/graph/ir.ts'
import { sizeOf } from '../../src/tensor/tensor.ts'

/** Integers and truth values are numbers too. */
export interface Array64 {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

export const array = (shape: readonly number[], data: readonly number[]): Array64 => ({ shape, data })

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)))
const indexOf = (flat: number, shape: readonly number[]): number[] =>
  stridesOf(shape).map((stride, axis) => Math.floor(flat / stride) % shape[axis]!)
const flatOf = (index: readonly number[], shape: readonly number[]): number =>
  stridesOf(shape).reduce((total, stride, axis) => total + stride * index[axis]!, 0)

/** Element of a broadcast array at an index of the larger shape. */
function at({ shape, data }: Array64, index: readonly number[]): number {
  const own = index.slice(index.length - shape.length).map((position, axis) => (shape[axis] === 1 ? 0 : position))
  return data[flatOf(own, shape)]!
}
const fill = (shape: readonly number[], make: (index: number[]) => number): Array64 =>
  array(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, flat) => make(indexOf(flat, shape))),
  )

type Run<K extends OpName> = (
  inputs: Array64[],
  attributes: Node<K>['attributes'],
  shapes: number[][],
  size: (dim: Dim) => number,
) => Array64[]

const unary =
  (f: (x: number) => number): Run<any> =>
  ([x], _, [shape]) => [fill(shape!, (index) => f(at(x!, index)))]
const binary =
  (f: (a: number, b: number) => number): Run<any> =>
  ([a, b], _, [shape]) => [fill(shape!, (index) => f(at(a!, index), at(b!, index)))]

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const lastRow = ({ shape, data }: Array64, index: readonly number[]): number[] => {
  const start = flatOf([...index.slice(0, -1), 0], shape)
  return data.slice(start, start + shape.at(-1)!)
}
const logSumExp = (values: readonly number[]): number => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0))
const get = (x: Array64, index: number[], transposed: boolean): number => at(x, transposed ? swap(index) : index)
const swap = ([a, b]: readonly number[]): number[] => [b!, a!]

const RUN: { readonly [K in OpName]: Run<K> } = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Greater: binary((a, b) => Number(a > b)),
  Where: ([condition, a, b], _, [shape]) => [fill(shape!, (index) => at(at(condition!, index) ? a! : b!, index))],
  Neg: unary((x) => -x),
  Sqrt: unary(Math.sqrt),
  Log: unary(Math.log),
  Relu: unary((x) => Math.max(0, x)),
  Step: unary((x) => (x > 0 ? 1 : 0)),
  Sigmoid: unary(sigmoid),
  Clip: ([x], { min, max }, [shape]) => [fill(shape!, (index) => Math.min(max, Math.max(min, at(x!, index))))],
  Cast: ([x]) => [x!],
  Gemm: ([a, b], { transA, transB }, [shape]) => {
    const inner = a!.shape[transA ? 0 : 1]!
    return [
      fill(shape!, ([row, column]) => {
        let sum = 0
        for (let k = 0; k < inner; k++) sum += get(a!, [row!, k], transA) * get(b!, [k, column!], transB)
        return sum
      }),
    ]
  },
  MatMul: ([a, b], _, [shape]) => [
    fill(shape!, (index) => {
      const [row, column] = index.slice(-2) as [number, number]
      const batch = index.slice(0, -2)
      let sum = 0
      for (let k = 0; k < a!.shape.at(-1)!; k++) sum += at(a!, [...batch, row, k]) * at(b!, [...batch, k, column])
      return sum
    }),
  ],
  ReduceSum: ([x], { axes, keep }, [shape]) => {
    const kept = x!.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    const sums = Array<number>(sizeOf(kept)).fill(0)
    for (const [flat, value] of x!.data.entries()) {
      sums[
        flatOf(
          indexOf(flat, x!.shape).map((position, axis) => (axes.includes(axis) ? 0 : position)),
          kept,
        )
      ]! += value
    }
    return [array(keep ? kept : shape!, sums)]
  },
  ReduceMax: ([x], _, [shape]) => [fill(shape!, (index) => Math.max(...lastRow(x!, index)))],
  Softmax: ([x], _, [shape]) => [fill(shape!, (index) => Math.exp(at(x!, index) - logSumExp(lastRow(x!, index))))],
  CrossEntropy: ([logits, labels], { zLoss }, [lossShape, shape]) => {
    const logs = fill(shape!, (index) => at(logits!, index) - logSumExp(lastRow(logits!, index)))
    return [
      fill(lossShape!, ([row]) =>
        labels!.data[row!]! < 0 ? 0 : -at(logs, [row!, labels!.data[row!]!]) + zLoss * logSumExp(lastRow(logits!, [row!, 0])) ** 2,
      ),
      fill(shape!, (index) => Math.exp(at(logs, index))),
    ]
  },
  RmsNorm: ([x, weight], { epsilon }, [shape, inverseShape]) => {
    const inverse = fill(inverseShape!, (index) => {
      const row = lastRow(x!, index)
      return 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + epsilon)
    })
    return [fill(shape!, (index) => at(x!, index) * at(inverse, index) * at(weight!, index)), inverse]
  },
  Gelu: ([x], _, [shape]) => {
    const gate = fill(shape!, (index) => sigmoid(2 * GELU_C * (at(x!, index) + GELU_A * at(x!, index) ** 3)))
    return [fill(shape!, (index) => at(x!, index) * at(gate, index)), gate]
  },
  Reshape: ([x], _, [shape]) => [array(shape!, x!.data)],
  Expand: ([x], _, [shape]) => [fill(shape!, (index) => at(x!, index))],
  Transpose: ([x], { perm }, [shape]) => [
    fill(shape!, (index) =>
      at(
        x!,
        perm.map((_, axis) => index[perm.indexOf(axis)]!),
      ),
    ),
  ],
  Concat: ([a, b], { axis }, [shape]) => {
    const cut = a!.shape[axis]!
    return [fill(shape!, (index) => (index[axis]! < cut ? at(a!, index) : at(b!, index.with(axis, index[axis]! - cut))))]
  },
  Slice: ([x], { axis, start }, [shape], size) => [fill(shape!, (index) => at(x!, index.with(axis, index[axis]! + size(start))))],
  Gather: ([data, indices], _, [shape]) => {
    const rank = indices!.shape.length
    return [fill(shape!, (index) => at(data!, [at(indices!, index.slice(0, rank)), ...index.slice(rank)]))]
  },
  Take: (...call) => RUN.Gather(...call),
  OneHot: ([indices], _, [shape]) => [fill(shape!, ([row, ...rest]) => Number(at(indices!, rest) === row))],
  Pick: ([data, indices], _, [shape]) => [fill(shape!, ([row]) => at(data!, [row!, indices!.data[row!]!]))],
  ScatterAdd: ([data, indices, updates]) => {
    const out = [...data!.data]
    for (const [row, column] of indices!.data.entries()) out[row * data!.shape[1]! + column]! += updates!.data[row]!
    return [array(data!.shape, out)]
  },
  Range: (_, __, [shape]) => [fill(shape!, ([position]) => position!)],
}

/** Runs a graph on f64 numbers; weights by the first name that is given. */
export function interpret(
  graph: Graph,
  feeds: Readonly<Record<string, Array64>>,
  weights: Readonly<Record<string, Array64>> = {},
): Record<string, Array64> {
  const symbols = new Map<string, number>()
  const values = new Map<number, Array64>()
  for (const { name, value } of graph.inputs) {
    const fed = feeds[name]!
    values.set(value.id, fed)
    value.shape.forEach((dim, axis) => typeof dim === 'string' && symbols.set(dim, fed.shape[axis]!))
  }
  for (const [name, source] of graph.symbols) {
    if (symbols.has(name)) continue
    const size =
      'input' in source ? feeds[source.input]!.data[0]! : source.sum.reduce<number>((sum, dim) => sum + evaluateDim(dim, symbols), 0)
    symbols.set(name, size)
  }
  for (const { names, value } of graph.weights) values.set(value.id, weights[names.find((name) => weights[name])!]!)
  for (const { tensor, value } of graph.constants)
    values.set(value.id, array(tensor.shape, Array.from(tensor.data as ArrayLike<number | bigint>, Number)))
  const size = (dim: Dim): number => evaluateDim(dim, symbols)
  const sizes = (shape: Shape): number[] => shape.map(size)
  for (const { op, inputs, outputs, attributes } of graph.nodes) {
    const made = (RUN[op] as Run<any>)(
      inputs.map(({ id }) => values.get(id)!),
      attributes,
      outputs.map(({ shape }) => sizes(shape)),
      size,
    )
    outputs.forEach(({ id }, index) => values.set(id, made[index]!))
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, values.get(value.id)!]))
}
