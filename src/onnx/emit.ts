/** Graph -> ONNX model (opset 18). Weights stay where they are: external data wherever `place` says. */
import { MismatchError, UnsupportedError } from '../errors.ts'
import { formatShape, splitDim } from '../graph/dims.ts'
import type { Dim, Graph, Node, OpName, Shape, Value, Weight } from '../graph/ir.ts'
import type { Elementary } from '../graph/passes.ts'
import type { Dtype, Tensor } from '../tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../tensor/weights.ts'
import { DATA_TYPE, type ModelProto, type NodeProto, type TensorProto } from './schema.ts'
import { makeNode, makeTensor, makeValueInfo, withExternalData, type ExternalData } from './tensors.ts'

/** ONNX's number of each dtype. */
export const ONNX_TYPE: Readonly<Record<Dtype, number>> = {
  F64: DATA_TYPE.DOUBLE,
  F32: DATA_TYPE.FLOAT,
  F16: DATA_TYPE.FLOAT16,
  BF16: DATA_TYPE.BFLOAT16,
  I64: DATA_TYPE.INT64,
  I32: DATA_TYPE.INT32,
  I8: DATA_TYPE.INT8,
  U8: DATA_TYPE.UINT8,
  BOOL: DATA_TYPE.BOOL,
}
const OPSET = 18
const IR_VERSION = 9
const INT64_MAX = 2n ** 63n - 1n

/** Where a weight's bytes are for the model file: outside it, or to be copied into it. */
export type Place = (name: string, ref: WeightRef) => ExternalData | Uint8Array

/** Operators that ONNX, or onnxruntime among its own, has one for. */
type Emitted = Elementary | 'RmsNorm'

/**
 * Writes a graph, as `specialise` makes it, as an ONNX model.
 * @throws {MismatchError} `weight-missing` | `weight-shape` when the checkpoint is not the graph's
 * @throws {UnsupportedError} `engine-op` for an operator that is to be taken apart before
 */
export function emitModel(graph: Graph<Emitted>, weights: WeightTable, place: Place): ModelProto {
  const emitter = createEmitter(graph)
  const initializers = new Map<string, TensorProto>()
  for (const weight of graph.weights) {
    const [name, ref] = findWeight(weight, weights)
    const at = place(name, ref)
    const header = makeTensor(name, ONNX_TYPE[ref.dtype], ref.shape, new Uint8Array())
    initializers.set(name, at instanceof Uint8Array ? { ...header, rawData: at } : withExternalData(header, at))
    emitter.names.set(weight.value.id, ref.dtype === 'F32' ? name : emitter.castWeight(name))
  }
  for (const { tensor, value } of graph.constants) emitter.names.set(value.id, emitter.constant(tensor))
  for (const node of graph.nodes) {
    const emit = EMIT[node.op] as Emit<Emitted> | undefined
    if (!emit)
      throw new UnsupportedError('engine-op', `${node.op} was not taken apart for ONNX: give emitModel what specialise returns.`, {
        facts: { op: node.op },
      })
    emit(node, emitter)
  }
  for (const { name, value } of graph.outputs) {
    if (emitter.name(value) !== name) emitter.node('Identity', [emitter.name(value)], [name])
  }
  return {
    irVersion: IR_VERSION,
    producerName: 'soft-prompts',
    opsetImports: [{ domain: '', version: OPSET }],
    metadataProps: [],
    graph: {
      name: graph.name,
      nodes: emitter.nodes,
      initializers: [...initializers.values(), ...emitter.constants],
      inputs: graph.inputs.map(({ name, value }) => makeValueInfo(name, ONNX_TYPE[value.dtype], value.shape)),
      outputs: graph.outputs.map(({ name, value }) => makeValueInfo(name, ONNX_TYPE[value.dtype], value.shape)),
      valueInfos: [],
    },
  }
}

/** The stored weight a graph means, with the name the checkpoint has it under. @throws {MismatchError} */
export function findWeight({ names, value }: Weight, weights: WeightTable): [name: string, ref: WeightRef] {
  const name = names.find((candidate) => weights.has(candidate))
  const ref = name === undefined ? undefined : weights.get(name)
  if (name === undefined || ref === undefined) {
    throw new MismatchError('weight-missing', `The checkpoint has no tensor ${names.join(' or ')}; is config.json from another model?`, {
      facts: { names },
    })
  }
  if (ref.shape.join() !== value.shape.join()) {
    const got = formatShape(ref.shape)
    throw new MismatchError('weight-shape', `${name} is ${got}, config.json asks for ${formatShape(value.shape)}.`, {
      facts: { name, got: ref.shape, expected: value.shape },
    })
  }
  return [name, ref]
}

interface Emitter {
  readonly nodes: NodeProto[]
  readonly constants: TensorProto[]
  /** ONNX names by value id. */
  readonly names: Map<number, string>
  name(value: Value): string
  node(op: string, inputs: readonly string[], outputs: readonly string[], attributes?: Parameters<typeof makeNode>[3]): void
  /** The names of a node's outputs, cut behind the last that something reads. */
  outputs(node: Pick<Node, 'outputs'>): string[]
  constant(tensor: Tensor): string
  ints(values: readonly (number | bigint)[]): string
  floats(values: readonly number[]): string
  /** Axes as a [n] i64 tensor, computed from the inputs' shapes where they are symbolic. */
  shape(dims: Shape): string
  castWeight(name: string): string
}

function createEmitter(graph: Graph): Emitter {
  const nodes: NodeProto[] = []
  const constants: TensorProto[] = []
  const names = new Map(graph.inputs.map(({ name, value }) => [value.id, name]))
  const made = new Map<string, string>()
  const read = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ value }) => value)].map(({ id }) => id))
  const wanted = new Map(graph.outputs.map(({ name, value }) => [value.id, name]))
  const once = (key: string, make: (name: string) => void): string => {
    const found = made.get(key)
    if (found !== undefined) return found
    made.set(key, key)
    make(key)
    return key
  }
  const emitter: Emitter = {
    nodes,
    constants,
    names,
    name: ({ id }) => names.get(id) ?? `v${id}`,
    node: (op, inputs, outputs, attributes = {}) => {
      nodes.push(makeNode(op, inputs, outputs, attributes, { name: `${op}_${nodes.length}` }))
    },
    outputs: (node) => {
      const used = node.outputs.map(({ id }) => read.has(id))
      return node.outputs.slice(0, Math.max(1, used.lastIndexOf(true) + 1)).map((value) => {
        if (!names.has(value.id)) names.set(value.id, wanted.get(value.id) ?? `v${value.id}`)
        return emitter.name(value)
      })
    },
    constant: ({ dtype, shape, data }) => {
      const name = `constant_${constants.length}`
      constants.push(makeTensor(name, ONNX_TYPE[dtype], shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)))
      return name
    },
    ints: (values) => {
      const key = `ints_${values.join('_')}`
      const data = BigInt64Array.from(values.map(BigInt))
      return once(key, () => constants.push(makeTensor(key, DATA_TYPE.INT64, [values.length], new Uint8Array(data.buffer))))
    },
    floats: (values) => {
      const key = `floats_${values.join('_')}`
      const data = Float32Array.from(values)
      return once(key, () => constants.push(makeTensor(key, DATA_TYPE.FLOAT, [values.length], new Uint8Array(data.buffer))))
    },
    shape: (dims) => {
      if (dims.every((dim) => typeof dim === 'number')) return emitter.ints(dims)
      if (dims.length === 1) return axis(dims[0] as Dim)
      return once(`shape_${dims.join('_')}`, (name) => emitter.node('Concat', dims.map(axis), [name], { axis: 0n }))
    },
    castWeight: (name) => once(`${name}_f32`, (cast) => emitter.node('Cast', [name], [cast], { to: BigInt(DATA_TYPE.FLOAT) })),
  }
  /** One axis as a [1] i64 tensor. */
  const axis = (dim: Dim): string => {
    if (typeof dim === 'number') return emitter.ints([dim])
    const { coefficient, symbols } = splitDim(dim)
    const factors = [...(coefficient === 1 ? [] : [emitter.ints([coefficient])]), ...symbols.map(symbol)]
    return factors.reduce((product, factor, index) =>
      once(`axis_${dim}_${index}`, (name) => emitter.node('Mul', [product, factor], [name])),
    )
  }
  const symbol = (name: string): string =>
    once(`axis_${name}`, (key) => {
      for (const input of graph.inputs) {
        const at = input.value.shape.indexOf(name)
        if (at >= 0) return emitter.node('Shape', [input.name], [key], { start: BigInt(at), end: BigInt(at + 1) })
      }
      const source = graph.symbols.get(name)
      if (source && 'input' in source) return emitter.node('Cast', [source.input], [key], { to: BigInt(DATA_TYPE.INT64) })
      if (!source) throw new MismatchError('graph-symbol', `The axis ${name} is on no input of graph ${graph.name}.`, { facts: { name } })
      const last = source.sum.length - 1
      source.sum.map(axis).reduce((total, term, index) => {
        const sum = index === last ? key : `${key}_${index}`
        emitter.node('Add', [total, term], [sum])
        return sum
      })
    })
  return emitter
}

type Emit<K extends OpName> = (node: Node<K>, emitter: Emitter) => void
type Attributes = Parameters<typeof makeNode>[3]

/** An operator that ONNX has under its own name, with these attributes. */
const plain =
  <K extends OpName>(attributes: (of: Node<K>['attributes']) => Attributes = () => ({}), op?: string): Emit<K> =>
  (node, emitter) =>
    emitter.node(op ?? node.op, node.inputs.map(emitter.name), emitter.outputs(node), attributes(node.attributes))

/** An operator whose attributes are ONNX inputs. */
const withInputs =
  <K extends OpName>(
    more: (node: Node<K>, emitter: Emitter) => readonly string[],
    attributes: (of: Node<K>['attributes']) => Attributes = () => ({}),
  ): Emit<K> =>
  (node, emitter) =>
    emitter.node(node.op, [...node.inputs.map(emitter.name), ...more(node, emitter)], emitter.outputs(node), attributes(node.attributes))

const flag = (value: boolean): bigint => (value ? 1n : 0n)
const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)

const EMIT: { readonly [K in Emitted]: Emit<K> } = {
  Add: plain(),
  Sub: plain(),
  Mul: plain(),
  Div: plain(),
  Greater: plain(),
  Where: plain(),
  Neg: plain(),
  Sqrt: plain(),
  Relu: plain(),
  // max(0, min(1, x·2^126)): one pass, where comparing and casting are two slow ones
  Step: plain(() => ({ alpha: 2 ** 126, beta: 0 }), 'HardSigmoid'),
  Log: plain(),
  Sigmoid: plain(),
  Clip: withInputs(({ inputs: [x], attributes: { min, max } }, emitter) =>
    [min, max].map((limit) => {
      const data = x?.dtype === 'I64' ? BigInt64Array.of(BigInt(limit)) : Float32Array.of(limit)
      return emitter.constant({ dtype: x?.dtype === 'I64' ? 'I64' : 'F32', shape: [], data } as Tensor)
    }),
  ),
  Cast: plain(({ to }) => ({ to: BigInt(ONNX_TYPE[to]) })),
  Gemm: plain(({ transA, transB }) => ({ transA: flag(transA), transB: flag(transB) })),
  MatMul: plain(),
  ReduceSum: withInputs(
    ({ attributes }, emitter) => [emitter.ints(attributes.axes)],
    ({ keep }) => ({ keepdims: flag(keep) }),
  ),
  ReduceMax: withInputs(
    (_, emitter) => [emitter.ints([-1])],
    () => ({ keepdims: 1n }),
  ),
  Softmax: plain(() => ({ axis: -1n })),
  RmsNorm: plain(({ epsilon }) => ({ axis: -1n, epsilon, stash_type: 1n }), 'SimplifiedLayerNormalization'),
  Reshape: (node, emitter) => {
    const target = reshapeTarget(node)
    // computed axes may be empty: there 0 is a length
    const allowzero = flag(target.some((dim) => typeof dim === 'string'))
    emitter.node('Reshape', [...node.inputs.map(emitter.name), emitter.shape(target)], emitter.outputs(node), { allowzero })
  },
  Expand: withInputs(({ attributes }, emitter) => [emitter.shape(attributes.shape)]),
  Transpose: plain(({ perm }) => ({ perm: bigints(perm) })),
  Concat: plain(({ axis }) => ({ axis: BigInt(axis) })),
  Slice: withInputs(({ attributes: { axis, start, end } }, emitter) => [
    emitter.shape([start]),
    end === undefined ? emitter.ints([INT64_MAX]) : emitter.shape([end]),
    emitter.ints([axis]),
  ]),
  Gather: plain(),
  Take: (node, emitter) => emitter.node('Gather', node.inputs.slice(0, 2).map(emitter.name), emitter.outputs(node)),
  OneHot: withInputs(
    ({ attributes }, emitter) => [emitter.shape([attributes.depth]), emitter.floats([0, 1])],
    () => ({ axis: 0n }),
  ),
  Pick: plain(() => ({ axis: 1n }), 'GatherElements'),
  ScatterAdd: (node, emitter) => {
    const [data, indices, updates] = node.inputs.map(emitter.name) as [string, string, string]
    emitter.node('ScatterElements', [data, indices, updates], emitter.outputs(node), { axis: 1n, reduction: 'add' })
  },
  Range: (node, emitter) => {
    const [output] = emitter.outputs(node) as [string]
    emitter.node('Squeeze', [emitter.shape([node.attributes.size])], [`${output}_limit`])
    const scalar = (value: bigint): string => emitter.constant({ dtype: 'I64', shape: [], data: BigInt64Array.of(value) })
    emitter.node('Range', [scalar(0n), `${output}_limit`, scalar(1n)], [output])
  },
}

/** ONNX's shorthand saves computing axes: 0 keeps the axis, one -1 takes what is left. */
function reshapeTarget({ inputs: [input], attributes: { shape } }: Node<'Reshape'>): Shape {
  const target = shape.map((dim, axis) => (typeof dim === 'string' && dim === input?.shape[axis] ? 0 : dim))
  const open = target.filter((dim) => typeof dim === 'string')
  return open.length === 1 ? target.map((dim) => (typeof dim === 'string' ? -1 : dim)) : target.includes(0) ? shape : target
}
