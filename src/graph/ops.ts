/** Short names for applying operators, so that a model reads like its formulas. */
import type { Dtype } from '../tensor/tensor.ts'
import type { Builder } from './builder.ts'
import type { Dim, OpAttributes, OpName, Shape, Value } from './ir.ts'

/** Applies an operator of one output (or takes the first of several). */
export const apply = <K extends OpName>(g: Builder, op: K, inputs: readonly Value[], attributes: OpAttributes[K]): Value =>
  g.apply(op, inputs, attributes)[0] as Value

type Unary = (g: Builder, x: Value) => Value
type Binary = (g: Builder, a: Value, b: Value) => Value

export const add: Binary = (g, a, b) => apply(g, 'Add', [a, b], {})
export const sub: Binary = (g, a, b) => apply(g, 'Sub', [a, b], {})
export const mul: Binary = (g, a, b) => apply(g, 'Mul', [a, b], {})
export const div: Binary = (g, a, b) => apply(g, 'Div', [a, b], {})
export const greater: Binary = (g, a, b) => apply(g, 'Greater', [a, b], {})
export const where = (g: Builder, condition: Value, a: Value, b: Value): Value => apply(g, 'Where', [condition, a, b], {})
export const relu: Unary = (g, x) => apply(g, 'Relu', [x], {})
export const sigmoid: Unary = (g, x) => apply(g, 'Sigmoid', [x], {})
export const gelu: Unary = (g, x) => apply(g, 'Gelu', [x], {})
export const softmax: Unary = (g, x) => apply(g, 'Softmax', [x], {})
export const matMul: Binary = (g, a, b) => apply(g, 'MatMul', [a, b], {})
export const gather: Binary = (g, data, indices) => apply(g, 'Gather', [data, indices], {})
export const take = (g: Builder, data: Value, indices: Value, inverse: Value): Value => apply(g, 'Take', [data, indices, inverse], {})
export const scale = (g: Builder, x: Value, factor: number): Value => (factor === 1 ? x : mul(g, x, g.scalar(factor)))
export const cast = (g: Builder, x: Value, to: Dtype): Value => (x.dtype === to ? x : apply(g, 'Cast', [x], { to }))

/** x [N, in] · weight [out, in]ᵀ -> [N, out]: PyTorch's linear layer on its own stored matrix. */
export const linear: Binary = (g, x, weight) => apply(g, 'Gemm', [x, weight], { transA: false, transB: true })
export const rmsNorm = (g: Builder, x: Value, weight: Value, epsilon: number): Value => apply(g, 'RmsNorm', [x, weight], { epsilon })

const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, axis) => dim === b[axis])

/** Another shape of the same elements; of two in a row, the last. */
export function reshape(g: Builder, x: Value, shape: Shape): Value {
  const before = g.nodes.findLast((node) => node.op === 'Reshape' && node.outputs[0]?.id === x.id)
  const source = before?.inputs[0] ?? x
  return sameShape(source.shape, shape) ? source : apply(g, 'Reshape', [source], { shape })
}
export const expand = (g: Builder, x: Value, shape: Shape): Value => (sameShape(x.shape, shape) ? x : apply(g, 'Expand', [x], { shape }))

/** Reorders axes; two in a row become one, or none. */
export function transpose(g: Builder, x: Value, perm: readonly number[]): Value {
  const before = g.nodes.find((node) => node.op === 'Transpose' && node.outputs[0]?.id === x.id)
  const [source, order] =
    before?.op === 'Transpose' ? [before.inputs[0] as Value, perm.map((axis) => before.attributes.perm[axis] as number)] : [x, perm]
  return order.every((from, to) => from === to) ? source : apply(g, 'Transpose', [source], { perm: order })
}

/** Swaps the last two axes; of a product, those of its factors. */
export function swapLast(g: Builder, x: Value): Value {
  const rank = x.shape.length
  const product = g.nodes.findLast((node) => node.op === 'MatMul' && node.outputs[0]?.id === x.id)
  if (product) return matMul(g, swapLast(g, product.inputs[1] as Value), swapLast(g, product.inputs[0] as Value))
  return transpose(g, x, [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2])
}

/** Reorders axes; where the last two change places, by `swapLast`. */
export function permute(g: Builder, x: Value, perm: readonly number[]): Value {
  const last = perm.length - 1
  const swaps = last > 0 && perm.every((from, to) => from === (to < last - 1 ? to : 2 * last - 1 - to))
  return swaps ? swapLast(g, x) : transpose(g, x, perm)
}

export const reduceSum = (g: Builder, x: Value, axes: readonly number[], keep: boolean): Value =>
  axes.length === 0 ? x : apply(g, 'ReduceSum', [x], { axes, keep })
/** `size` is the sum of both axes. */
export const concat = (g: Builder, a: Value, b: Value, axis: number, size: Dim): Value => apply(g, 'Concat', [a, b], { axis, size })
export const slice = (g: Builder, x: Value, attributes: OpAttributes['Slice']): Value => apply(g, 'Slice', [x], attributes)
export const range = (g: Builder, size: Dim): Value => apply(g, 'Range', [], { size })
export const oneHot = (g: Builder, indices: Value, depth: Dim): Value => apply(g, 'OneHot', [indices], { depth })
