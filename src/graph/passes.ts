/** Passes between the canonical graph and an engine: decompositions of what it lacks, fusions of what it does better in one. */
import type { Builder } from './builder.ts'
import type { Capabilities } from './engine.ts'
import { GELU_A, GELU_C, labelsOf, logSumOf } from './gradients.ts'
import type { Graph, Node, Value } from './ir.ts'
import { add, apply, div, mul, reduceSum, reshape, scale, sigmoid, softmax, sub } from './ops.ts'
import { rewrite } from './rewrite.ts'

/** The graph as an engine with these capabilities runs it best. */
export function specialise(graph: Graph, capabilities: Capabilities): Graph {
  return fuseSums(decompose(graph, capabilities.contrib ? ['Gelu', 'CrossEntropy'] : ['Gelu', 'CrossEntropy', 'RmsNorm']))
}

/** Operators that engines may lack, written in elementary ones by `decompose`. */
export type Composite = 'Gelu' | 'CrossEntropy' | 'RmsNorm'

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

export function decompose(graph: Graph, ops: readonly Composite[]): Graph {
  return rewrite(graph, (g, node, inputs) =>
    (ops as readonly string[]).includes(node.op) ? DECOMPOSE[node.op as Composite](g, inputs, node as never) : undefined,
  )
}

/** x + a·b as one Gemm, where the product is used nowhere else: residual sums and sums of gradients cost no pass over memory. */
export function fuseSums(graph: Graph): Graph {
  const uses = new Map<number, number>()
  for (const { id } of [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ value }) => value)]) {
    uses.set(id, (uses.get(id) ?? 0) + 1)
  }
  return rewrite(graph, (g, node, inputs) => {
    if (node.op !== 'Add') return undefined
    for (const index of [1, 0]) {
      const product = inputs[index] as Value
      const other = inputs[1 - index] as Value
      const gemm = g.nodes.findLast(({ outputs }) => outputs[0]?.id === product.id)
      const once = uses.get((node.inputs[index] as Value).id) === 1
      const alike = product.shape.length === other.shape.length && product.shape.every((dim, axis) => dim === other.shape[axis])
      if (gemm?.op === 'Gemm' && gemm.inputs.length === 2 && once && alike) return g.apply('Gemm', [...gemm.inputs, other], gemm.attributes)
    }
    return undefined
  })
}
