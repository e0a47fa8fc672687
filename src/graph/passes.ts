/** Passes between the canonical graph and an engine: decompositions of what it lacks, fusions of what it does better in one. */
import type { Builder } from './builder.ts'
import type { Capabilities } from './engine.ts'
import { GELU_A, GELU_C, labelsOf, logSumOf } from './gradients.ts'
import { splitDim, times } from './dims.ts'
import { halveProducts, wideWeights } from './half.ts'
import type { Dim, Graph, Node, OpName, Value } from './ir.ts'
import {
  add,
  apply,
  div,
  gather,
  greater,
  mul,
  range,
  reduceSum,
  reshape,
  scale,
  sigmoid,
  softmax,
  sub,
  swapLast,
  transpose,
  where,
} from './ops.ts'
import { rewrite } from './rewrite.ts'

/** The graph as an engine with these capabilities runs it best: of operators that engines have. */
export function specialise(graph: Graph, capabilities: Capabilities & { readonly contrib: false }): Graph<Elementary>
export function specialise(graph: Graph, capabilities: Capabilities): Graph<Elementary | 'RmsNorm'>
export function specialise(graph: Graph, capabilities: Capabilities): Graph<Elementary | 'RmsNorm'> {
  const short = shortenRowSums(foldLabels(graph))
  const masked = capabilities.lean ? keepBits(short) : short
  const moved = capabilities.gathers ? gatherRows(masked) : masked
  const whole = capabilities.contrib ? decompose(moved, ['Gelu', 'CrossEntropy']) : decompose(moved, ['Gelu', 'CrossEntropy', 'RmsNorm'])
  // Halving adds products and casts, nothing composite.
  return capabilities.half ? (halveProducts(whole, wideWeights(graph)) as typeof whole) : whole
}

/** Operators that engines may lack, written in elementary ones by `decompose`. */
export type Composite = 'Gelu' | 'CrossEntropy' | 'RmsNorm'
/** Operators that every engine has. onnxruntime has RmsNorm too, among its own. */
export type Elementary = Exclude<OpName, Composite>

/** Composite operators in elementary ones. */
const DECOMPOSE: { readonly [K in Composite]: (g: Builder, inputs: readonly Value[], node: Node<K>) => readonly Value[] } = {
  Gelu: (g, [x]) => {
    const input = x as Value
    const cubic = add(g, scale(g, mul(g, input, input), 2 * GELU_C * GELU_A), g.scalar(2 * GELU_C))
    const gate = sigmoid(g, mul(g, input, cubic))
    return [mul(g, input, gate), gate]
  },
  CrossEntropy: (g, [x, labels], { attributes: { zLoss } }) => {
    // loss = log Σ exp(logits) − logit of the label
    const logits = x as Value
    const { label, isLabel } = labelsOf(g, labels as Value)
    const probabilities = softmax(g, logits)
    const logSum = logSumOf(g, logits, probabilities)
    const crossEntropy = sub(g, logSum, apply(g, 'Pick', [logits, label], {}))
    const whole = zLoss === 0 ? crossEntropy : add(g, crossEntropy, scale(g, mul(g, logSum, logSum), zLoss))
    const loss = mul(g, whole, isLabel) // [N, 1]
    return [reshape(g, loss, logits.shape.slice(0, 1)), probabilities]
  },
  RmsNorm: (g, [x, weight], { attributes }) => {
    const [input, gain] = [x as Value, weight as Value]
    const mean = scale(g, reduceSum(g, mul(g, input, input), [input.shape.length - 1], true), 1 / (gain.shape[0] as number))
    const inverse = div(g, g.scalar(1), apply(g, 'Sqrt', [add(g, mean, g.scalar(attributes.epsilon))], {}))
    return [mul(g, mul(g, input, inverse), gain), inverse]
  },
}

/** The graph without these operators. */
export function decompose<K extends Composite>(graph: Graph, ops: readonly K[]): Graph<Exclude<OpName, K>> {
  const apart = rewrite(graph, (g, node, inputs) =>
    (ops as readonly string[]).includes(node.op) ? DECOMPOSE[node.op as Composite](g, inputs, node as never) : undefined,
  )
  return apart as Graph<Exclude<OpName, K>>
}

/** The node of a graph under construction that made a value, if it is of this kind. */
function madeBy<K extends OpName>(g: Builder, value: Value | undefined, op: K): Node<K> | undefined {
  const node = g.nodes.findLast(({ outputs }) => outputs.some(({ id }) => id === value?.id))
  return node?.op === op ? (node as Node<K>) : undefined
}

/**
 * The gradient of the logits times the embedding matrix without ever being made: (p·s + u at the label)·E = s·(p·E) + u·E[label], which saves
 * three passes over [N, V].
 */
export function foldLabels(graph: Graph): Graph {
  return rewrite(graph, (g, node, [left, matrix]) => {
    const scatter = node.op === 'Gemm' && !node.attributes.transA && !node.attributes.transB ? madeBy(g, left, 'ScatterAdd') : undefined
    const [scaled, label, updates] = scatter?.inputs ?? []
    const [chances, share] = madeBy(g, scaled, 'Mul')?.inputs ?? []
    if (!chances || !share || !label || !updates || !matrix || share.shape[1] !== 1) return undefined
    const whole = mul(g, apply(g, 'Gemm', [chances, matrix], { transA: false, transB: false }), share)
    return [add(g, whole, mul(g, gather(g, matrix, reshape(g, label, label.shape.slice(0, 1))), updates))]
  })
}

/** Σ (dO·vᵀ)∘p over the keys is Σ dO∘(p·v) over the much fewer d: attention's gradient sums its output instead of its weights. */
export function shortenRowSums(graph: Graph): Graph {
  return rewrite(graph, (g, node, [product]) => {
    const [d, weights] = (node.op === 'ReduceSum' && node.attributes.keep && madeBy(g, product, 'Mul')?.inputs) || []
    if (!d || !weights || node.op !== 'ReduceSum' || node.attributes.axes.join() !== String(weights.shape.length - 1)) return undefined
    const [dOutput, turned] = madeBy(g, d, 'MatMul')?.inputs ?? []
    const output = g.nodes.find(
      ({ op, inputs: [a, b] }) => op === 'MatMul' && a?.id === weights.id && b && swapLast(g, b).id === turned?.id,
    )?.outputs[0]
    return dOutput && output && [reduceSum(g, mul(g, dOutput, output), node.attributes.axes, true)]
  })
}

/** What ReLU's gradient remembers until it comes, as truth values: a quarter of the memory, read in a slower pass. */
export function keepBits(graph: Graph): Graph {
  return rewrite(graph, (g, node, [step, d]) => {
    const [x] = (node.op === 'Mul' && madeBy(g, step, 'Step')?.inputs) || []
    return x && d && [where(g, greater(g, x, g.scalar(0)), d, g.scalar(0))]
  })
}

/** Elements below which a row costs more to find than to copy. */
const SMALL_ROW = 16

/** Transposed rows are gathered: onnxruntime gathers with all threads and transposes with one. A swap of the last two axes is left to the product that reads it. */
export function gatherRows(graph: Graph): Graph {
  return rewrite(graph, (g, node, [x]) => {
    if (node.op !== 'Transpose' || !x) return undefined
    const last = x.shape.length - 1
    const [before, after] = node.attributes.perm.slice(-2) as [number, number]
    const swapped = before === last
    const perm = swapped ? [...node.attributes.perm.slice(0, -2), after, before] : node.attributes.perm
    const moving = perm.findLastIndex((from, to) => from !== to) + 1
    const axes = x.shape.slice(0, moving)
    const row = times(...x.shape.slice(moving))
    if (moving === 0 || splitDim(row).coefficient < SMALL_ROW) return undefined
    const places = transpose(g, reshape(g, range(g, times(...axes)), axes), perm.slice(0, moving))
    const rows = gather(g, reshape(g, x, [times(...axes), row]), places)
    const moved = reshape(
      g,
      rows,
      perm.map((axis) => x.shape[axis] as Dim),
    )
    return [swapped ? swapLast(g, moved) : moved]
  })
}
