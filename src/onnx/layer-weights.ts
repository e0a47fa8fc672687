/** The weights of a T5's layers in an ONNX encoder or decoder, by their PyTorch names: found by the names that exporters leave, else by their order. */
import type { LayerWeight } from '../prompt/layers.ts'
import { matrixOf, plainOf, type Matrix } from './matrices.ts'
import type { GraphProto, ModelProto, NodeProto } from './schema.ts'
import { valuesOf, type ReadExternal, type Values } from './stored.ts'

/** Which half of the model a file holds: exporters leave out that part of its names. */
export type Half = 'encoder' | 'decoder'

/** What exporters, mergers and quantisers put behind a weight's name. */
const SUFFIXES = /(?:_merged_\d+|_quantized|_transposed|_fp16|_Q\d+\w*)+$/
const BY_NAME = /^(?:(?:encoder|decoder)\.)?((?:block\.\d+\.layer\.\d+\.[\w.]+|final_layer_norm)\.weight)$/
/** Modules as the exporter of PyTorch writes them into names of nodes and values: `/decoder/block.0/layer.1/EncDecAttention/q/MatMul`. */
const BY_PATH =
  /(?:^|\/)(block\.\d+\/layer\.\d+\/\w+Attention\/(?:[qkvo]|relative_attention_bias)|block\.\d+\/layer\.\d+\/\w+\/w[io](?:_[01])?|lm_head)\//

/**
 * The layers' weights that can be seen; what is fused, packed or stored in ways unknown here is left out.
 * @param read bytes of external data; only called for tensors that have any
 */
export function onnxLayerWeights(model: ModelProto, half: Half, read: ReadExternal): LayerWeight[] {
  const graphs = model.graph ? withinAll(model.graph) : []
  const values = valuesOf(graphs, read)
  const nodes = graphs.flatMap((graph) => graph.nodes)
  const products = nodes.flatMap((node) => productOf(node, values))
  const named = products.flatMap(({ node, matrix, stored }) => {
    const name = nameOf(stored, half) ?? pathOf(node, half)
    return name === undefined ? [] : [{ name, ...matrix }]
  })
  const isNamed = named.some(({ name }) => /\.(?:[qkvo]|w[io](?:_[01])?)\.weight$/.test(name))
  return distinct([...named, ...(isNamed ? [] : byOrder(products, nodes, half)), ...plain(nodes, values, half)])
}

/** A graph and those inside its nodes: the branches of a merged decoder. */
function withinAll(graph: GraphProto): GraphProto[] {
  const inner = graph.nodes.flatMap(({ attributes }) => attributes.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...graphs]))
  return [graph, ...inner.flatMap(withinAll)]
}

type Named = Matrix & { readonly name: string }

interface Product {
  readonly node: NodeProto
  readonly matrix: Matrix
  /** Name of the tensor that holds the matrix. */
  readonly stored: string
}

/** A node that multiplies by a stored matrix or looks up its rows. */
function productOf(node: NodeProto, values: Values): Product[] {
  const found = matrixOf(node, values)
  return found ? [{ node, ...found }] : []
}

function nameOf(stored: string, half: Half): string | undefined {
  const name = stored.replace(SUFFIXES, '')
  if (name === 'lm_head.weight') return name
  const found = BY_NAME.exec(name)?.[1]
  return found && `${half}.${found}`
}

function pathOf({ name = '', outputs }: NodeProto, half: Half): string | undefined {
  const found = [name, ...outputs].map((text) => BY_PATH.exec(text)?.[1]).find((path) => path !== undefined)
  return found && `${found === 'lm_head' ? '' : `${half}.`}${found.replaceAll('/', '.')}.weight`
}

const PLAIN = /(?:layer_norm|relative_attention_bias)\.weight/

/** Norms and position biases under their own names, whatever reads them; also where the exporter stores equal ones once. */
function plain(nodes: readonly NodeProto[], values: Values, half: Half): Named[] {
  const names = new Set(nodes.flatMap(({ inputs }) => inputs.filter((input) => PLAIN.test(input))))
  return [...names].flatMap((input) => {
    const name = nameOf(input, half)
    const found = name === undefined ? undefined : plainOf(input, values)
    return name !== undefined && found ? [{ name, ...found }] : []
  })
}

/**
 * Files without names of modules: a block multiplies by q, k, v, o, in a decoder by those of its second attention, then by wi (or wi_0 and wi_1) and wo,
 * in this order; v1.0 and v1.1 differ in their number. Taken only where the numbers fit, and where q, k and v read the same input.
 */
function byOrder(products: readonly Product[], nodes: readonly NodeProto[], half: Half): Named[] {
  const linear = products.filter(({ node }) => node.opType !== 'Gather')
  const norms = nodes.flatMap(({ inputs }) =>
    inputs.flatMap((input) => /block\.(\d+)\.layer\.0\.layer_norm\.weight/.exec(input)?.[1] ?? []),
  )
  const blocks = new Set(norms).size
  const attentions = half === 'encoder' ? ['0.SelfAttention'] : ['0.SelfAttention', '1.EncDecAttention']
  const head = half === 'encoder' ? 0 : 1
  for (const inner of [
    ['wi', 'wo'],
    ['wi_0', 'wi_1', 'wo'],
  ]) {
    const forward = `${attentions.length}.DenseReluDense`
    const order = [
      ...attentions.flatMap((part) => ['q', 'k', 'v', 'o'].map((weight) => `${part}.${weight}`)),
      ...inner.map((weight) => `${forward}.${weight}`),
    ]
    if (blocks === 0 || linear.length !== blocks * order.length + head) continue
    const input = (index: number): string | undefined => linear[index]?.node.inputs[0]
    const fits = Array.from({ length: blocks }, (_, block) => block * order.length).every(
      (at) => input(at) === input(at + 1) && input(at) === input(at + 2) && input(at) !== input(at + 3),
    )
    if (!fits) return []
    return linear.slice(0, blocks * order.length).map(({ matrix }, index) => ({
      name: `${half}.block.${Math.floor(index / order.length)}.layer.${order[index % order.length]}.weight`,
      ...matrix,
    }))
  }
  return []
}

/** Branches of a merged decoder use the same tensors: each is looked at once. */
function distinct(weights: readonly Named[]): LayerWeight[] {
  return [...new Map(weights.map((weight) => [`${weight.name} ${weight.key}`, weight])).values()]
}
