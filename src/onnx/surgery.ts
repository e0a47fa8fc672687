/** Gives an encoder a second way to embed: token ids >= V select rows of a new input `soft_prompt_rows` [N, D]. */
import { FormatError, UnsupportedError } from '../errors.ts'
import { DATA_TYPE, type GraphProto, type ModelProto, type NodeProto, type TensorProto } from './schema.ts'
import { makeNode, makeTensor, makeValueInfo } from './tensors.ts'

/** The added input: the virtual tokens' embeddings, F32 whatever the model computes in. */
export const ROWS_INPUT = 'soft_prompt_rows'

export interface Patched {
  readonly model: ModelProto
  /** V: rows of the model's own table; id V + n is row n of `soft_prompt_rows`. */
  readonly vocabSize: number
  /** D */
  readonly width: number
  /** Activations share one scale over the batch, so rows of a batch influence each other. */
  readonly dynamicallyQuantized: boolean
}

/** Where ids become vectors. */
interface Lookup {
  /** The Gather or GatherBlockQuantized. */
  readonly gather: NodeProto
  /** dtype of the ids that reach it. */
  readonly idType: number
  /** The node whose output is the float embedding: the gather or the DequantizeLinear behind it. */
  readonly last: NodeProto
  readonly embeddedType: number
  readonly vocabSize: number
  readonly width: number
}

/** Ops that hand token ids on as they are. */
const HANDS_IDS_ON: ReadonlySet<string | undefined> = new Set(['Reshape', 'Cast', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten'])
const FLOATS: ReadonlySet<number> = new Set([DATA_TYPE.FLOAT, DATA_TYPE.FLOAT16, DATA_TYPE.BFLOAT16, DATA_TYPE.DOUBLE])
const DYNAMIC: ReadonlySet<string | undefined> = new Set(['DynamicQuantizeLinear', 'MatMulInteger', 'DynamicQuantizeMatMul'])

/**
 * Rewrites a T5 encoder so that it takes soft prompts; with no id >= V a float model computes the same bits as before.
 * @throws {UnsupportedError} `onnx-patched` | `onnx-decoder` | `onnx-no-lookup` | `onnx-several-lookups` | `onnx-table`
 */
export function addSoftPromptInput(model: ModelProto): Patched {
  const graph = model.graph
  if (graph === undefined) throw new FormatError('onnx-empty', 'This ONNX model has no graph.')
  refuseOthers(graph)
  const lookup = findLookup(graph)
  const nodes = graph.nodes.flatMap((node) => {
    const before = node === lookup.gather ? idNodes(lookup) : []
    const patched = rewire(node, lookup)
    return [...before, patched, ...(node === lookup.last ? joinNodes(lookup) : [])]
  })
  const rows = makeValueInfo(ROWS_INPUT, DATA_TYPE.FLOAT, ['soft_prompt_count', lookup.width])
  return {
    model: { ...model, graph: { ...graph, nodes, inputs: [...graph.inputs, rows] } },
    vocabSize: lookup.vocabSize,
    width: lookup.width,
    dynamicallyQuantized: graph.nodes.some(({ opType }) => DYNAMIC.has(opType)),
  }
}

function refuseOthers({ inputs }: GraphProto): void {
  const names = inputs.map(({ name }) => name)
  const refuse = (code: string, message: string): never => {
    throw new UnsupportedError(code, message, { facts: { inputs: names } })
  }
  if (names.includes(ROWS_INPUT))
    refuse('onnx-patched', `This model already has the input ${ROWS_INPUT}: attach prompts to it once, or give the original file.`)
  if (names.includes('encoder_hidden_states') || names.includes('use_cache_branch')) {
    refuse('onnx-decoder', 'This is a decoder. Soft prompts go into the encoder: give encoder_model.onnx.')
  }
  if (!names.includes('input_ids'))
    refuse('onnx-no-lookup', `This model has no input "input_ids" (it has: ${names.join(', ')}); give the encoder of a T5.`)
}

const attribute = (node: NodeProto, name: string): number | undefined => {
  const found = node.attributes.find((each) => each.name === name)?.i
  return found === undefined ? undefined : Number(found)
}

function findLookup(graph: GraphProto): Lookup {
  const ids = new Map<string, number>([
    ['input_ids', graph.inputs.find(({ name }) => name === 'input_ids')?.type?.tensorType?.elemType ?? DATA_TYPE.INT64],
  ])
  const found: Lookup[] = []
  const values = new Values(graph)
  // ONNX nodes stand in topological order, so one pass follows the ids.
  for (const node of graph.nodes) {
    const from = ids.get(node.inputs[0] ?? '')
    if (from !== undefined && HANDS_IDS_ON.has(node.opType)) {
      const to = node.opType === 'Cast' ? (attribute(node, 'to') ?? from) : from
      if (to === DATA_TYPE.INT64 || to === DATA_TYPE.INT32) ids.set(node.outputs[0] ?? '', to)
    }
    const idType = ids.get(node.inputs[1] ?? '')
    if (idType !== undefined && (node.opType === 'Gather' || node.opType === 'GatherBlockQuantized'))
      found.push(values.lookup(node, idType))
  }
  const [lookup, ...more] = found
  if (lookup === undefined) {
    throw new UnsupportedError(
      'onnx-no-lookup',
      'No Gather in this model is fed by input_ids, so there is no embedding to extend; give the encoder of a T5.',
    )
  }
  if (more.length > 0) {
    const names = found.map(({ gather }) => gather.name ?? gather.outputs[0])
    throw new UnsupportedError(
      'onnx-several-lookups',
      `input_ids feed ${found.length} lookups (${names.join(', ')}); a T5 encoder has one.`,
      { facts: { names } },
    )
  }
  return lookup
}

interface Matrix {
  readonly dims: readonly number[]
  readonly dataType: number
}

/** What is known of values by name: constants, who makes them, who uses them. */
class Values {
  readonly #constants = new Map<string, TensorProto>()
  readonly #makers = new Map<string, NodeProto>()
  readonly #graph: GraphProto

  constructor(graph: GraphProto) {
    this.#graph = graph
    for (const tensor of graph.initializers) this.#constants.set(tensor.name ?? '', tensor)
    for (const node of graph.nodes) {
      for (const output of node.outputs) this.#makers.set(output, node)
      const held = node.opType === 'Constant' ? node.attributes.find(({ name }) => name === 'value')?.t : undefined
      if (held !== undefined) this.#constants.set(node.outputs[0] ?? '', held)
    }
  }

  /** Shape and dtype of a constant, seen through what may stand between a stored table and its lookup. */
  matrix(name: string | undefined, depth = 0): Matrix | undefined {
    const tensor = this.#constants.get(name ?? '')
    if (tensor !== undefined) return { dims: tensor.dims, dataType: tensor.dataType ?? 0 }
    const maker = this.#makers.get(name ?? '')
    const inner = maker !== undefined && depth < 8 ? this.matrix(maker.inputs[0], depth + 1) : undefined
    if (maker === undefined || inner === undefined) return undefined
    if (maker.opType === 'Identity') return inner
    if (maker.opType === 'Cast') return { ...inner, dataType: attribute(maker, 'to') ?? 0 }
    if (maker.opType === 'Transpose' && inner.dims.length === 2) {
      const perm = maker.attributes.find((each) => each.name === 'perm')?.ints ?? []
      return { ...inner, dims: perm.length === 0 || perm[0] === 1n ? inner.dims.toReversed() : inner.dims }
    }
    if (maker.opType === 'DequantizeLinear') return { ...inner, dataType: this.matrix(maker.inputs[1], depth + 1)?.dataType ?? 0 }
    return undefined
  }

  lookup(gather: NodeProto, idType: number): Lookup {
    const blocks = gather.opType === 'GatherBlockQuantized'
    const table = this.matrix(gather.inputs[0])
    const refuse = (why: string): never => {
      throw new UnsupportedError(
        'onnx-table',
        `The embedding lookup "${gather.name ?? gather.outputs[0]}" ${why}; export the encoder again with optimum.`,
      )
    }
    if (table === undefined || table.dims.length !== 2)
      return refuse(`reads no stored [V, D] table (shape: ${table?.dims.join(' x ') ?? 'unknown'})`)
    const axis = attribute(gather, blocks ? 'gather_axis' : 'axis') ?? 0
    if (axis !== 0 && axis !== -2) return refuse(`gathers along axis ${axis}`)
    const [vocabSize = 0, columns = 0] = table.dims
    // 4-bit values in a uint8 table stand two to a byte.
    const packed = blocks && table.dataType === DATA_TYPE.UINT8 && (attribute(gather, 'bits') ?? 4) === 4
    const found = { gather, idType, vocabSize, width: packed ? 2 * columns : columns }
    if (blocks) return { ...found, last: gather, embeddedType: this.#float(gather.inputs[2]) ?? refuse('has scales of an unknown type') }
    if (FLOATS.has(table.dataType)) return { ...found, last: gather, embeddedType: table.dataType }
    const users = this.#graph.nodes.filter(({ inputs }) => inputs.includes(gather.outputs[0] ?? ''))
    const last = users[0]
    if (users.length !== 1 || last?.opType !== 'DequantizeLinear')
      return refuse(`has a table of data type ${table.dataType} with no DequantizeLinear behind it`)
    return { ...found, last, embeddedType: this.#float(last.inputs[1]) ?? refuse('has scales of an unknown type') }
  }

  #float(name: string | undefined): number | undefined {
    const dataType = this.matrix(name)?.dataType ?? 0
    return FLOATS.has(dataType) ? dataType : undefined
  }
}

const PREFIX = 'soft_prompt/'

/** The lookup reads ids below V only, and its result moves aside for the joined one. */
function rewire(node: NodeProto, { gather, last }: Lookup): NodeProto {
  const inputs = node === gather ? node.inputs.map((name, index) => (index === 1 ? `${PREFIX}token_ids` : name)) : node.inputs
  const outputs = node === last ? node.outputs.map((name, index) => (index === 0 ? `${PREFIX}embedded_tokens` : name)) : node.outputs
  return node === gather || node === last ? { ...node, inputs, outputs } : node
}

/** A Constant node: an initializer would have to be a graph input as well in IR version 3. */
function constant(name: string, dataType: number, dims: readonly number[], value: bigint): NodeProto {
  const raw =
    dataType === DATA_TYPE.INT32
      ? new Uint8Array(new Int32Array([Number(value)]).buffer)
      : new Uint8Array(new BigInt64Array([value]).buffer)
  return makeNode('Constant', [], [PREFIX + name], { value: makeTensor(PREFIX + name, dataType, dims, raw) })
}

const node = (opType: string, inputs: readonly string[], output: string, attributes: Parameters<typeof makeNode>[3] = {}): NodeProto =>
  makeNode(opType, inputs, [PREFIX + output], attributes, { name: `${PREFIX}${output}_${opType}` })

function idNodes({ gather, idType, vocabSize }: Lookup): NodeProto[] {
  const ids = gather.inputs[1] as string
  const [size, zero, isToken] = [`${PREFIX}vocab_size`, `${PREFIX}zero`, `${PREFIX}is_token`]
  return [
    constant('vocab_size', idType, [], BigInt(vocabSize)),
    constant('zero', idType, [], 0n),
    node('Less', [ids, size], 'is_token'),
    node('Where', [isToken, ids, zero], 'token_ids'),
    node('Sub', [ids, size], 'shifted_ids'),
    node('Where', [isToken, zero, `${PREFIX}shifted_ids`], 'row_ids'),
  ]
}

function joinNodes({ last, embeddedType }: Lookup): NodeProto[] {
  const cast = embeddedType !== DATA_TYPE.FLOAT
  const isToken = `${PREFIX}is_token`
  return [
    ...(cast ? [node('Cast', [ROWS_INPUT], 'rows', { to: BigInt(embeddedType) })] : []),
    node('Gather', [cast ? `${PREFIX}rows` : ROWS_INPUT, `${PREFIX}row_ids`], 'embedded_rows', { axis: 0n }),
    // is_token gets one more axis, whatever its rank: ids may have been flattened before the lookup.
    constant('one', DATA_TYPE.INT64, [1], 1n),
    node('Shape', [isToken], 'ids_shape'),
    node('Concat', [`${PREFIX}ids_shape`, `${PREFIX}one`], 'choice_shape', { axis: 0n }),
    node('Reshape', [isToken, `${PREFIX}choice_shape`], 'choice'),
    makeNode(
      'Where',
      [`${PREFIX}choice`, `${PREFIX}embedded_tokens`, `${PREFIX}embedded_rows`],
      [last.outputs[0] as string],
      {},
      { name: `${PREFIX}join` },
    ),
  ]
}
