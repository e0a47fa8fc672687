/** Encoders of every kind, made from the tiny float one by rewriting its embedding table; and the same graphs cut at the embedding. */
import { readFileSync } from 'node:fs'
import { formatModel, parseModel } from '../../src/onnx/model.ts'
import {
  DATA_TYPE,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../src/onnx/schema.ts'
import { addSoftPromptInput } from '../../src/onnx/surgery.ts'
import { makeNode, makeTensor, makeValueInfo } from '../../src/onnx/tensors.ts'
import { encoderOf } from './fixtures.ts'

const V = 512
const D = 64

/** A model with other parts of its graph. */
export const withGraph = (model: ModelProto, change: (graph: GraphProto) => Partial<GraphProto>): ModelProto => {
  const graph = model.graph as GraphProto
  return { ...model, graph: { ...graph, ...change(graph) } }
}

export const floatModel = (): ModelProto => parseModel(new Uint8Array(readFileSync(encoderOf('tiny-t5-v11'))))

const rawOf = (tensor: TensorProto): Float32Array => new Float32Array((tensor.rawData as Uint8Array).slice().buffer)
const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

interface Table {
  readonly tensors: readonly TensorProto[]
  /** Nodes from the stored tensors and the ids to the embedding; `ids` and `out` are the old lookup's. */
  readonly nodes: (ids: string, out: string) => readonly NodeProto[]
  readonly opsets?: ModelProto['opsetImports']
}

/** The float encoder with another embedding. */
function withTable(build: (table: Float32Array) => Table): ModelProto {
  const model = floatModel()
  const stored = model.graph?.initializers.find(({ name }) => name === 'embed_tokens.weight') as TensorProto
  const { tensors, nodes, opsets = [] } = build(rawOf(stored))
  const changed = withGraph(model, (graph) => ({
    initializers: [...graph.initializers.filter((tensor) => tensor !== stored), ...tensors],
    nodes: graph.nodes.flatMap((node) =>
      node.inputs[0] === stored.name ? nodes(node.inputs[1] as string, node.outputs[0] as string) : [node],
    ),
  }))
  return { ...changed, opsetImports: [...changed.opsetImports, ...opsets] }
}

const halfBits = (values: Float32Array): Uint16Array =>
  Uint16Array.from(values, (value) => {
    // Rounded towards zero, and small enough numbers to zero: any half will do here.
    const bits = new Uint32Array(Float32Array.of(value).buffer)[0] as number
    const exponent = ((bits >>> 23) & 0xff) - 112
    return exponent <= 0 ? 0 : ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff)
  })

const scaleOf = (values: Float32Array, top: number): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / top
const int8 = (values: Float32Array): { data: Int8Array; scale: number } => {
  const scale = scaleOf(values, 127)
  return { data: Int8Array.from(values, (value) => Math.round(value / scale)), scale }
}
const scalar = (name: string, value: number): TensorProto => makeTensor(name, DATA_TYPE.FLOAT, [], bytesOf(Float32Array.of(value)))

/** Blocks of 32 columns; 4 bits stand two to a byte, the first in the low half. */
function blocks(bits: 4 | 8, zeroPoints: boolean): ModelProto {
  return withTable((table) => {
    const [size, top, zero] = [32, bits === 4 ? 7 : 127, bits === 4 ? 8 : 128]
    const scales = Float32Array.from({ length: (V * D) / size }, (_, block) =>
      scaleOf(table.subarray(block * size, (block + 1) * size), top),
    )
    const values = Uint8Array.from(table, (value, index) => Math.round(value / (scales[Math.floor(index / size)] as number)) + zero)
    const packed =
      bits === 8
        ? values
        : Uint8Array.from({ length: (V * D) / 2 }, (_, pair) => (values[2 * pair] as number) | ((values[2 * pair + 1] as number) << 4))
    const points = bits === 8 ? new Uint8Array((V * D) / size).fill(zero) : new Uint8Array((V * D) / size / 2).fill(zero | (zero << 4))
    const tensors = [
      makeTensor('table', DATA_TYPE.UINT8, [V, packed.length / V], packed),
      makeTensor('scales', DATA_TYPE.FLOAT, [V, D / size], bytesOf(scales)),
      ...(zeroPoints ? [makeTensor('zeros', DATA_TYPE.UINT8, [V, points.length / V], points)] : []),
    ]
    const attributes = { bits: BigInt(bits), block_size: BigInt(size), gather_axis: 0n, quantize_axis: 1n }
    const node = (ids: string, out: string): NodeProto =>
      makeNode('GatherBlockQuantized', ['table', ids, 'scales', ...(zeroPoints ? ['zeros'] : [])], [out], attributes, {
        domain: 'com.microsoft',
      })
    return { tensors, nodes: (ids, out) => [node(ids, out)], opsets: [{ domain: 'com.microsoft', version: 1 }] }
  })
}

/** Every kind of encoder that the surgery says it takes, by name. */
export const VARIANTS: Readonly<Record<string, () => ModelProto>> = {
  'float v1.0': () => parseModel(new Uint8Array(readFileSync(encoderOf('tiny-t5-v10')))),
  'float v1.1': floatModel,
  'dynamically quantised v1.0': () => parseModel(new Uint8Array(readFileSync(encoderOf('tiny-t5-v10', 'q8')))),
  'dynamically quantised v1.1': () => parseModel(new Uint8Array(readFileSync(encoderOf('tiny-t5-v11', 'q8')))),
  'float16 table': () =>
    withTable((table) => ({
      tensors: [makeTensor('table', DATA_TYPE.FLOAT16, [V, D], bytesOf(halfBits(table)))],
      nodes: (ids, out) => [
        makeNode('Gather', ['table', ids], ['half']),
        makeNode('Cast', ['half'], [out], { to: BigInt(DATA_TYPE.FLOAT) }),
      ],
    })),
  'int8 table, DequantizeLinear before the lookup': () =>
    withTable((table) => {
      const { data, scale } = int8(table)
      return {
        tensors: [makeTensor('table', DATA_TYPE.INT8, [V, D], bytesOf(data)), scalar('scale', scale)],
        nodes: (ids, out) => [makeNode('DequantizeLinear', ['table', 'scale'], ['floats']), makeNode('Gather', ['floats', ids], [out])],
      }
    }),
  'int8 table, DequantizeLinear behind the lookup': () =>
    withTable((table) => {
      const { data, scale } = int8(table)
      return {
        tensors: [makeTensor('table', DATA_TYPE.INT8, [V, D], bytesOf(data)), scalar('scale', scale)],
        nodes: (ids, out) => [makeNode('Gather', ['table', ids], ['bytes']), makeNode('DequantizeLinear', ['bytes', 'scale'], [out])],
      }
    }),
  'transposed table': () =>
    withTable((table) => {
      const turned = Float32Array.from({ length: V * D }, (_, index) => table[(index % V) * D + Math.floor(index / V)] as number)
      return {
        tensors: [makeTensor('table', DATA_TYPE.FLOAT, [D, V], bytesOf(turned))],
        nodes: (ids, out) => [makeNode('Transpose', ['table'], ['turned'], { perm: [1n, 0n] }), makeNode('Gather', ['turned', ids], [out])],
      }
    }),
  'ids flattened before the lookup': () =>
    withTable((table) => ({
      tensors: [
        makeTensor('table', DATA_TYPE.FLOAT, [V, D], bytesOf(table)),
        makeTensor('flat', DATA_TYPE.INT64, [1], bytesOf(BigInt64Array.of(-1n))),
        makeTensor('width', DATA_TYPE.INT64, [1], bytesOf(BigInt64Array.of(BigInt(D)))),
      ],
      nodes: (ids, out) => [
        makeNode('Reshape', [ids, 'flat'], ['flat_ids']),
        makeNode('Gather', ['table', 'flat_ids'], ['flat_rows']),
        makeNode('Shape', [ids], ['ids_shape']),
        makeNode('Concat', ['ids_shape', 'width'], ['rows_shape'], { axis: 0n }),
        makeNode('Reshape', ['flat_rows', 'rows_shape'], [out]),
      ],
    })),
  'int32 input_ids': () =>
    withGraph(floatModel(), ({ inputs }) => ({
      inputs: inputs.map((input) =>
        input.name === 'input_ids' ? makeValueInfo('input_ids', DATA_TYPE.INT32, ['batch_size', 'sequence_length']) : input,
      ),
    })),
  'blocks of 4 bits': () => blocks(4, false),
  'blocks of 4 bits with zero points': () => blocks(4, true),
  'blocks of 8 bits with zero points': () => blocks(8, true),
}

const anyRank = (name: string): ValueInfoProto => ({ name, type: { tensorType: { elemType: DATA_TYPE.FLOAT } } })

/**
 * The graph in two halves, cut where the vectors are: ids -> embedding (F32), and embedding -> the model's outputs.
 * @param embedding the value the cut goes through, of `dataType`
 */
export function cut(model: ModelProto, embedding: string, dataType: number): { readonly head: Uint8Array; readonly tail: Uint8Array } {
  const float = BigInt(DATA_TYPE.FLOAT)
  const head = withGraph(model, ({ nodes }) => ({
    nodes: [...nodes, makeNode('Cast', [embedding], ['cut_out'], { to: float })],
    outputs: [anyRank('cut_out')],
  }))
  const tail = withGraph(model, ({ nodes, inputs }) => ({
    inputs: [...inputs, anyRank('cut_in')],
    nodes: [
      makeNode('Cast', ['cut_in'], [embedding], { to: BigInt(dataType) }),
      ...nodes.map((node) =>
        node.outputs.includes(embedding) ? { ...node, outputs: node.outputs.map((name) => (name === embedding ? 'cut_off' : name)) } : node,
      ),
    ],
  }))
  return { head: formatModel(head), tail: formatModel(tail) }
}

/** Name and dtype of the value that the surgery joins. */
export function embeddingOf(model: ModelProto): { readonly name: string; readonly dataType: number; readonly flat: boolean } {
  const nodes = addSoftPromptInput(model).model.graph?.nodes ?? []
  const name = nodes.find((node) => node.name === 'soft_prompt/join')?.outputs[0] as string
  const cast = nodes.find((node) => node.opType === 'Cast' && node.inputs[0] === 'soft_prompt_rows')
  return { name, dataType: Number(cast?.attributes[0]?.i ?? DATA_TYPE.FLOAT), flat: name === 'flat_rows' }
}
