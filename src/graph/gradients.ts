/** Reverse-mode differentiation: one rule for each operator and one walk. */
import { UnsupportedError } from '../errors.ts'
import { tensor } from '../tensor/tensor.ts'
import type { Builder } from './builder.ts'
import { times } from './dims.ts'
import { describeNode } from './infer.ts'
import type { Dim, Node, OpName, Shape, Value } from './ir.ts'
import {
  add,
  apply,
  cast,
  div,
  expand,
  greater,
  matMul,
  mul,
  oneHot,
  permute,
  reduceSum,
  reshape,
  scale,
  slice,
  sub,
  swapLast,
} from './ops.ts'

/** What a rule sees: the node, and the gradient of its first output. */
export interface RuleInput<K extends OpName = OpName> {
  readonly g: Builder
  readonly node: Node<K>
  readonly inputs: readonly [Value, Value, Value]
  readonly outputs: readonly [Value, Value]
  /** Gradient of the loss with respect to the first output, of its shape. */
  readonly d: Value
}

/**
 * Gradients with respect to each input, as thunks: one is called only if something trainable feeds that input, so that frozen
 * weights leave no dead products. A thunk may return the broadcast shape: the walk sums it down.
 */
export type Rule<K extends OpName> = (rule: RuleInput<K>) => readonly (() => Value)[]

/** Labels [N] as a column of indices, ignored ones as 0, and 1 or 0 for whether they count: both [N, 1]. */
export function labelsOf(g: Builder, labels: Value): { readonly label: Value; readonly isLabel: Value } {
  const column = reshape(g, labels, [labels.shape[0] as Dim, 1])
  const ignored = g.constant(tensor('I64', [], BigInt64Array.of(-1n)))
  return {
    label: apply(g, 'Clip', [column], { min: 0, max: Number.MAX_SAFE_INTEGER }),
    isLabel: cast(g, greater(g, column, ignored), 'F32'),
  }
}

/** log Σ exp(logits) [N, 1]: from the most likely token, whose probability never underflows. */
export const logSumOf = (g: Builder, logits: Value, probabilities: Value): Value =>
  sub(g, apply(g, 'ReduceMax', [logits], {}), apply(g, 'Log', [apply(g, 'ReduceMax', [probabilities], {})], {}))

/** Marks operators through which no gradient is asked for (comparisons, indices, operators that only gradients use). */
export const NOT_DIFFERENTIABLE: unique symbol = Symbol('not differentiable')

/** gelu(x) ≈ x·σ(2c(x + a·x³)), the same function as ½x(1 + tanh(c(x + a·x³))). */
export const GELU_C: number = Math.sqrt(2 / Math.PI)
export const GELU_A = 0.044715

const gemm = (g: Builder, a: Value, b: Value, transA: boolean, transB: boolean): Value => apply(g, 'Gemm', [a, b], { transA, transB })
const lastAxis = (value: Value): number => value.shape.length - 1
const oneMinus = (g: Builder, x: Value): Value => sub(g, g.scalar(1), x)

export const RULES: { readonly [K in OpName]: Rule<K> | typeof NOT_DIFFERENTIABLE } = {
  Add: ({ d }) => [() => d, () => d],
  Sub: ({ g, d }) => [() => d, () => apply(g, 'Neg', [d], {})],
  Mul: ({ g, inputs: [a, b], d }) => [() => mul(g, d, b), () => mul(g, d, a)],
  Div: ({ g, inputs: [, b], outputs: [y], d }) => [() => div(g, d, b), () => apply(g, 'Neg', [div(g, mul(g, d, y), b)], {})],
  Greater: NOT_DIFFERENTIABLE,
  Where: NOT_DIFFERENTIABLE,
  Neg: ({ g, d }) => [() => apply(g, 'Neg', [d], {})],
  Sqrt: ({ g, outputs: [y], d }) => [() => div(g, d, scale(g, y, 2))],
  Relu: ({ g, outputs: [y], d }) => [() => mul(g, apply(g, 'Step', [y], {}), d)],
  Step: NOT_DIFFERENTIABLE,
  Log: ({ g, inputs: [x], d }) => [() => div(g, d, x)],
  Sigmoid: ({ g, outputs: [y], d }) => [() => mul(g, d, mul(g, y, oneMinus(g, y)))],
  Clip: NOT_DIFFERENTIABLE,
  Cast: NOT_DIFFERENTIABLE,
  Gemm: ({ g, node: { attributes }, inputs: [a, b], d }) => {
    const { transA, transB } = attributes
    return [
      () => (transA ? gemm(g, b, d, transB, true) : gemm(g, d, b, false, !transB)),
      () => (transB ? gemm(g, d, a, true, transA) : gemm(g, a, d, !transA, false)),
    ]
  },
  MatMul: ({ g, inputs: [a, b], d }) => [() => matMul(g, d, swapLast(g, b)), () => matMul(g, swapLast(g, a), d)],
  ReduceSum: ({ g, node: { attributes }, inputs: [x], d }) => [
    () =>
      expand(
        g,
        reshape(
          g,
          d,
          x.shape.map((dim, axis) => (attributes.axes.includes(axis) ? 1 : dim)),
        ),
        x.shape,
      ),
  ],
  ReduceMax: ({ g, inputs: [x], outputs: [y], d }) => [() => mul(g, d, oneMinus(g, cast(g, greater(g, y, x), 'F32')))],
  Softmax: ({ g, outputs: [p], d }) => [() => mul(g, p, sub(g, d, reduceSum(g, mul(g, d, p), [lastAxis(p)], true)))],
  CrossEntropy: ({ g, node: { attributes }, inputs: [logits, labels], outputs: [, probabilities], d }) => [
    () => {
      // (p − 1 at the label + 2z·log Σ exp · p) · d, and nothing where the label is ignored
      const column: Shape = [logits.shape[0] as Dim, 1]
      const { label, isLabel } = labelsOf(g, labels)
      const weight = mul(g, reshape(g, d, column), isLabel)
      const { zLoss } = attributes
      const share = zLoss === 0 ? weight : mul(g, weight, add(g, scale(g, logSumOf(g, logits, probabilities), 2 * zLoss), g.scalar(1)))
      return apply(g, 'ScatterAdd', [mul(g, probabilities, share), label, apply(g, 'Neg', [weight], {})], {})
    },
  ],
  RmsNorm: ({ g, inputs: [x, weight], outputs: [, inverse], d }) => [
    () => {
      // y = x·r·w, r = (mean(x²) + ε)^-1/2:  dx = r·(dw − x·r²·mean(x·dw))
      const dw = mul(g, d, weight)
      const mean = scale(g, reduceSum(g, mul(g, x, dw), [lastAxis(x)], true), 1 / (weight.shape[0] as number))
      return mul(g, inverse, sub(g, dw, mul(g, x, mul(g, mul(g, inverse, inverse), mean))))
    },
    () => mul(g, d, mul(g, x, inverse)),
  ],
  Gelu: ({ g, inputs: [x], outputs: [y, gate], d }) => [
    () => {
      // y = x·σ(2c(x + a·x³)):  dy/dx = σ + y·(1 − σ)·2c(1 + 3a·x²)
      const slope = add(g, scale(g, mul(g, x, x), 6 * GELU_C * GELU_A), g.scalar(2 * GELU_C))
      return mul(g, d, add(g, gate, mul(g, mul(g, y, oneMinus(g, gate)), slope)))
    },
  ],
  Reshape: ({ g, inputs: [x], d }) => [() => reshape(g, d, x.shape)],
  Expand: ({ d }) => [() => d],
  Transpose: ({ g, node: { attributes }, d }) => [
    () =>
      permute(
        g,
        d,
        attributes.perm.map((_, axis) => attributes.perm.indexOf(axis)),
      ),
  ],
  Concat: ({ g, node: { attributes }, inputs: [a, b], d }) => {
    const { axis } = attributes
    const [first, second] = [a.shape[axis] ?? 0, b.shape[axis] ?? 0]
    return [() => slice(g, d, { axis, start: 0, end: first, size: first }), () => slice(g, d, { axis, start: first, size: second })]
  },
  Slice: NOT_DIFFERENTIABLE,
  Gather: ({ g, inputs: [data, indices], d }) => [
    () => {
      // a product with a one-hot matrix adds rows that share an index, in one fixed order
      const [rows, ...rest] = data.shape as [Shape[number], ...Shape]
      const width = rest.length === 0 ? 1 : times(...rest)
      const picked = times(...indices.shape)
      const chosen = oneHot(g, reshape(g, indices, [picked]), rows) // [rows, picked]
      return reshape(g, matMul(g, chosen, reshape(g, d, [picked, width])), data.shape)
    },
  ],
  Take: ({ g, inputs: [data, indices, inverse], d }) => [
    () => {
      const rows = reshape(g, d, [times(...indices.shape), ...data.shape.slice(1)])
      return reshape(g, apply(g, 'Take', [rows, inverse, indices], {}), data.shape)
    },
  ],
  OneHot: NOT_DIFFERENTIABLE,
  Pick: NOT_DIFFERENTIABLE,
  ScatterAdd: NOT_DIFFERENTIABLE,
  Range: NOT_DIFFERENTIABLE,
}

/** Sums a gradient down to the shape of the value it belongs to. */
function unbroadcast(g: Builder, d: Value, shape: Shape): Value {
  const extra = d.shape.length - shape.length
  const axes = d.shape.flatMap((dim, axis) => (axis < extra || (shape[axis - extra] === 1 && dim !== 1) ? [axis] : []))
  return axes.length === 0 ? d : reshape(g, reduceSum(g, d, axes, true), shape)
}

/**
 * Gradients of `Σ seed·output` with respect to each of `trainables`; visits only what leads from one of them to the output.
 * @throws {UnsupportedError} `graph-not-differentiable` when such a path goes through an operator without a gradient
 */
export function gradients(g: Builder, output: Value, seed: Value, trainables: readonly Value[]): Value[] {
  const forward = [...g.nodes]
  const leads = new Set(trainables.map(({ id }) => id))
  for (const { inputs, outputs } of forward) {
    if (inputs.some(({ id }) => leads.has(id))) for (const { id } of outputs) leads.add(id)
  }
  const found = new Map<number, Value>([[output.id, seed]])
  for (const node of forward.toReversed()) {
    const d = node.outputs[0] && found.get(node.outputs[0].id)
    if (!d || !node.outputs.some(({ id }) => leads.has(id))) continue
    const rule = RULES[node.op] as Rule<OpName> | typeof NOT_DIFFERENTIABLE
    if (rule === NOT_DIFFERENTIABLE) {
      throw new UnsupportedError(
        'graph-not-differentiable',
        `${describeNode(node)} lies between a trainable and the loss and has no gradient.`,
        {
          facts: { op: node.op },
        },
      )
    }
    const { inputs, outputs } = node
    const thunks = rule({
      g,
      node,
      d,
      inputs: inputs as unknown as RuleInput['inputs'],
      outputs: outputs as unknown as RuleInput['outputs'],
    })
    for (const [index, input] of inputs.entries()) {
      const thunk = leads.has(input.id) && thunks[index]
      if (!thunk) continue
      const share = unbroadcast(g, thunk(), input.shape)
      const before = found.get(input.id)
      found.set(input.id, before ? add(g, before, share) : share)
    }
  }
  return trainables.map((value) => found.get(value.id) ?? expand(g, g.scalar(0), value.shape))
}
