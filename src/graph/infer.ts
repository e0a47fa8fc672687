/** The type of every operator's outputs, from its inputs: one table, exhaustive at compile time. */
import { ShapeError } from '../errors.ts'
import { broadcast, formatShape, times } from './dims.ts'
import type { Dim, Node, OpAttributes, OpName, Shape, Value, ValueType } from './ir.ts'

type Infer<K extends OpName> = (inputs: readonly Value[], attributes: OpAttributes[K]) => readonly ValueType[]

const at = (inputs: readonly Value[], index: number): Value => {
  const value = inputs[index]
  if (!value) throw new ShapeError('graph-inputs', `An operator lacks its input ${index}.`, { facts: { index } })
  return value
}
const axisOf = (value: Value, axis: number): Dim => value.shape[axis < 0 ? axis + value.shape.length : axis] as Dim

const elementwise = (inputs: readonly Value[]): readonly ValueType[] => [
  { dtype: at(inputs, 0).dtype, shape: broadcast(...inputs.map((value) => value.shape)) },
]
const compare = (inputs: readonly Value[]): readonly ValueType[] => [
  { dtype: 'BOOL', shape: broadcast(...inputs.map((value) => value.shape)) },
]
const same = (inputs: readonly Value[]): readonly ValueType[] => [{ dtype: at(inputs, 0).dtype, shape: at(inputs, 0).shape }]
const reshaped = (inputs: readonly Value[], shape: Shape): readonly ValueType[] => [{ dtype: at(inputs, 0).dtype, shape }]
const replaceAxis = (shape: Shape, axis: number, dim: Dim): Shape => shape.map((old, index) => (index === axis ? dim : old))

function agree(what: string, left: Dim, right: Dim): void {
  if (left !== right) {
    throw new ShapeError('graph-inner-axis', `${what} joins axes that must be equal, got ${left} and ${right}.`, { facts: { left, right } })
  }
}

export const INFER: { readonly [K in OpName]: Infer<K> } = {
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Greater: compare,
  Where: (inputs) => reshaped([at(inputs, 1)], broadcast(...inputs.map(({ shape }) => shape))),
  Neg: same,
  Sqrt: same,
  Relu: same,
  Step: same,
  Log: same,
  Sigmoid: same,
  Clip: same,
  Cast: (inputs, { to }) => [{ dtype: to, shape: at(inputs, 0).shape }],
  Gemm: (inputs, { transA, transB }) => {
    const [a, b] = [at(inputs, 0), at(inputs, 1)]
    agree('Gemm', axisOf(a, transA ? 0 : 1), axisOf(b, transB ? 1 : 0))
    return [{ dtype: a.dtype, shape: [axisOf(a, transA ? 1 : 0), axisOf(b, transB ? 0 : 1)] }]
  },
  MatMul: (inputs) => {
    const [a, b] = [at(inputs, 0), at(inputs, 1)]
    agree('MatMul', axisOf(a, -1), axisOf(b, -2))
    return [{ dtype: a.dtype, shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), axisOf(a, -2), axisOf(b, -1)] }]
  },
  ReduceSum: (inputs, { axes, keep }) => {
    const { dtype, shape } = at(inputs, 0)
    return [
      { dtype, shape: keep ? shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) : shape.filter((_, axis) => !axes.includes(axis)) },
    ]
  },
  ReduceMax: (inputs) => reshaped(inputs, [...at(inputs, 0).shape.slice(0, -1), 1]),
  Softmax: same,
  CrossEntropy: (inputs) => {
    const logits = at(inputs, 0)
    agree('CrossEntropy', axisOf(logits, 0), axisOf(at(inputs, 1), 0))
    return [
      { dtype: logits.dtype, shape: logits.shape.slice(0, 1) },
      { dtype: logits.dtype, shape: logits.shape },
    ]
  },
  RmsNorm: (inputs) => {
    const { dtype, shape } = at(inputs, 0)
    agree('RmsNorm', axisOf(at(inputs, 0), -1), axisOf(at(inputs, 1), 0))
    return [
      { dtype, shape },
      { dtype, shape: [...shape.slice(0, -1), 1] },
    ]
  },
  Gelu: (inputs) => [...same(inputs), ...same(inputs)],
  Reshape: (inputs, { shape }) => {
    agree(`Reshape of ${formatShape(at(inputs, 0).shape)} to ${formatShape(shape)}`, times(...at(inputs, 0).shape), times(...shape))
    return reshaped(inputs, shape)
  },
  Expand: (inputs, { shape }) => reshaped(inputs, broadcast(at(inputs, 0).shape, shape)),
  Transpose: (inputs, { perm }) =>
    reshaped(
      inputs,
      perm.map((axis) => axisOf(at(inputs, 0), axis)),
    ),
  Concat: (inputs, { axis, size }) => reshaped(inputs, replaceAxis(at(inputs, 0).shape, axis, size)),
  Slice: (inputs, { axis, size }) => reshaped(inputs, replaceAxis(at(inputs, 0).shape, axis, size)),
  Gather: (inputs) => reshaped(inputs, [...at(inputs, 1).shape, ...at(inputs, 0).shape.slice(1)]),
  Take: (inputs) => reshaped(inputs, [...at(inputs, 1).shape, ...at(inputs, 0).shape.slice(1)]),
  OneHot: (inputs, { depth }) => [{ dtype: 'F32', shape: [depth, ...at(inputs, 0).shape] }],
  Pick: (inputs) => reshaped(inputs, at(inputs, 1).shape),
  ScatterAdd: same,
  Range: (_, { size }) => [{ dtype: 'I64', shape: [size] }],
}

/** Output types of one node. @throws {ShapeError} when its inputs do not fit */
export const inferNode = <K extends OpName>(op: K, inputs: readonly Value[], attributes: OpAttributes[K]): readonly ValueType[] =>
  INFER[op](inputs, attributes)

/** What a node reads and makes, in words, for messages. */
export const describeNode = (node: Pick<Node, 'op' | 'inputs'>): string =>
  `${node.op}(${node.inputs.map((value) => formatShape(value.shape)).join(', ')})`
