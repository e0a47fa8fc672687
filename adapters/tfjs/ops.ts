/** Every elementary operator in tfjs ops: one table. Composite ones are taken apart by passes before a graph comes here. */
import type { Dim, Node } from '../../src/graph/ir.ts'
import type { Elementary } from '../../src/graph/passes.ts'
import type { Dtype } from '../../src/tensor/tensor.ts'
import type { TfDtype, TfTensor, Tfjs } from './runtime.ts'

/** tfjs has no 64-bit numbers: integers here are token ids, positions and masks, all far below 2³¹. */
export const TF_DTYPE: Readonly<Record<Dtype, TfDtype>> = {
  F64: 'float32',
  F32: 'float32',
  F16: 'float32',
  BF16: 'float32',
  I64: 'int32',
  I32: 'int32',
  I8: 'int32',
  U8: 'int32',
  BOOL: 'bool',
}
const INT32_MAX = 2 ** 31 - 1

export interface Call<K extends Elementary> {
  readonly tf: Tfjs
  readonly inputs: readonly [TfTensor, TfTensor, TfTensor?]
  readonly attributes: Node<K>['attributes']
  /** The output's shape. */
  readonly shape: readonly number[]
  readonly size: (dim: Dim) => number
}

type Run<K extends Elementary> = (call: Call<K>) => TfTensor

/** [N, 1] column numbers as [N, 2] pairs of row and column. */
const pairs = (tf: Tfjs, columns: TfTensor): TfTensor =>
  tf.stack([tf.range(0, columns.shape[0] as number, 1, 'int32'), tf.reshape(columns, [-1])], 1)

export const RUN: { readonly [K in Elementary]: Run<K> } = {
  Add: ({ tf, inputs: [a, b] }) => tf.add(a, b),
  Sub: ({ tf, inputs: [a, b] }) => tf.sub(a, b),
  Mul: ({ tf, inputs: [a, b] }) => tf.mul(a, b),
  Div: ({ tf, inputs: [a, b] }) => tf.div(a, b),
  Greater: ({ tf, inputs: [a, b] }) => tf.greater(a, b),
  Where: ({ tf, inputs: [condition, a, b] }) => tf.where(condition, a, b as TfTensor),
  Neg: ({ tf, inputs: [x] }) => tf.neg(x),
  Sqrt: ({ tf, inputs: [x] }) => tf.sqrt(x),
  Relu: ({ tf, inputs: [x] }) => tf.relu(x),
  Step: ({ tf, inputs: [x] }) => tf.step(x),
  Log: ({ tf, inputs: [x] }) => tf.log(x),
  Sigmoid: ({ tf, inputs: [x] }) => tf.sigmoid(x),
  // clipByValue takes floats only on some backends
  Clip: ({ tf, inputs: [x], attributes: { min, max } }) => {
    const type = x.dtype as TfDtype
    const limit = (value: number): TfTensor => tf.scalar(type === 'int32' ? Math.max(-INT32_MAX, Math.min(INT32_MAX, value)) : value, type)
    return tf.minimum(tf.maximum(x, limit(min)), limit(max))
  },
  Cast: ({ tf, inputs: [x], attributes: { to } }) => tf.cast(x, TF_DTYPE[to]),
  Gemm: ({ tf, inputs: [a, b], attributes: { transA, transB } }) => tf.matMul(a, b, transA, transB),
  MatMul: ({ tf, inputs: [a, b] }) => tf.matMul(a, b),
  ReduceMax: ({ tf, inputs: [x] }) => tf.max(x, -1, true),
  ReduceSum: ({ tf, inputs: [x], attributes: { axes, keep } }) => tf.sum(x, [...axes], keep),
  Softmax: ({ tf, inputs: [x] }) => tf.softmax(x, -1),
  Reshape: ({ tf, inputs: [x], shape }) => tf.reshape(x, [...shape]),
  // broadcastTo refuses empty axes
  Expand: ({ tf, inputs: [x], shape }) => (shape.includes(0) ? tf.zeros([...shape], x.dtype as TfDtype) : tf.broadcastTo(x, [...shape])),
  Transpose: ({ tf, inputs: [x], attributes: { perm } }) => tf.transpose(x, [...perm]),
  Concat: ({ tf, inputs: [a, b], attributes: { axis } }) => tf.concat([a, b], axis),
  Slice: ({ tf, inputs: [x], attributes: { axis, start }, shape, size }) =>
    tf.slice(
      x,
      shape.map((_, each) => (each === axis ? size(start) : 0)),
      [...shape],
    ),
  Gather: ({ tf, inputs: [data, indices] }) => tf.gather(data, indices),
  Take: ({ tf, inputs: [data, indices] }) => tf.gather(data, indices),
  // tf.oneHot wants a depth of at least 2
  OneHot: ({ tf, inputs: [indices], attributes: { depth }, size }) => {
    const rows = tf.reshape(tf.range(0, size(depth), 1, 'int32'), [size(depth), ...indices.shape.map(() => 1)])
    return tf.cast(tf.equal(rows, indices), 'float32')
  },
  Pick: ({ tf, inputs: [data, indices] }) => tf.reshape(tf.gatherND(data, pairs(tf, indices)), indices.shape),
  ScatterAdd: ({ tf, inputs: [data, indices, updates] }) =>
    tf.add(data, tf.scatterND(pairs(tf, indices), tf.reshape(updates as TfTensor, [-1]), data.shape as [number, number])),
  Range: ({ tf, attributes, size }) => tf.range(0, size(attributes.size), 1, 'int32'),
}
