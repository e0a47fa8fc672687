/** The embedding rows of an ONNX encoder, float or quantised, without a runtime (Gather, DequantizeLinear, com.microsoft GatherBlockQuantized). */
import { FormatError, UnsupportedError } from '../errors.ts'
import type { EmbeddingTable } from '../prompt/fingerprint.ts'
import { fromBF16, fromF16 } from '../tensor/half.ts'
import { DATA_TYPE, type GraphProto, type ModelProto, type NodeProto, type TensorProto } from './schema.ts'
import { externalDataOf } from './tensors.ts'
import * as wire from './wire.ts'

/** Bytes of a file that a tensor's external data names. */
export type ReadExternal = (location: string, offset: number, length: number) => Uint8Array

/** Bits of one stored element. */
const BITS: Readonly<Record<number, number>> = {
  [DATA_TYPE.FLOAT]: 32,
  [DATA_TYPE.DOUBLE]: 64,
  [DATA_TYPE.FLOAT16]: 16,
  [DATA_TYPE.BFLOAT16]: 16,
  [DATA_TYPE.INT8]: 8,
  [DATA_TYPE.UINT8]: 8,
  [DATA_TYPE.INT32]: 32,
  [DATA_TYPE.INT4]: 4,
  [DATA_TYPE.UINT4]: 4,
}

const FLOATS: ReadonlySet<number> = new Set([DATA_TYPE.FLOAT, DATA_TYPE.DOUBLE, DATA_TYPE.FLOAT16, DATA_TYPE.BFLOAT16])

type Element = (view: DataView, index: number) => number

const nibble = (view: DataView, index: number): number => (view.getUint8(index >> 1) >> (4 * (index & 1))) & 15

const ELEMENT: Readonly<Record<number, Element>> = {
  [DATA_TYPE.FLOAT]: (view, index) => view.getFloat32(4 * index, true),
  [DATA_TYPE.DOUBLE]: (view, index) => view.getFloat64(8 * index, true),
  [DATA_TYPE.FLOAT16]: (view, index) => fromF16(view.getUint16(2 * index, true)),
  [DATA_TYPE.BFLOAT16]: (view, index) => fromBF16(view.getUint16(2 * index, true)),
  [DATA_TYPE.INT8]: (view, index) => view.getInt8(index),
  [DATA_TYPE.UINT8]: (view, index) => view.getUint8(index),
  [DATA_TYPE.INT32]: (view, index) => view.getInt32(4 * index, true),
  [DATA_TYPE.INT4]: (view, index) => (nibble(view, index) << 28) >> 28,
  [DATA_TYPE.UINT4]: nibble,
}

/** A stored tensor, read by ranges of elements. */
interface Stored {
  readonly dims: readonly number[]
  readonly dataType: number
  /** Elements [from, from + count). */
  range(from: number, count: number): Float32Array
}

const intAttribute = (node: NodeProto, name: string, fallback: number): number => {
  const found = node.attributes.find((each) => each.name === name)?.i
  return found === undefined ? fallback : Number(found)
}

/**
 * The table that `input_ids` look up.
 * @param read bytes of external data; only called for tensors that have any
 * @throws {UnsupportedError} `onnx-table` where there is no lookup of a kind named above
 * @throws {FormatError} `onnx-table-size` where a tensor has fewer bytes than its shape needs
 */
export function onnxEmbeddingTable(model: ModelProto, read: ReadExternal): EmbeddingTable {
  const graph = model.graph
  if (!graph) throw new FormatError('onnx-empty', 'This ONNX model has no graph.')
  const values = valuesOf(graph, read)
  const gather = lookupOf(graph)
  return gather.opType === 'GatherBlockQuantized' ? blockTable(values, gather) : plainTable(graph, values, gather)
}

const refuse = (why: string): UnsupportedError =>
  new UnsupportedError('onnx-table', `The embedding of this ONNX model ${why}; give an encoder that optimum or this library exported.`)

/** The node that turns ids into rows: the ids reach it through nodes that only reshape or cast. */
function lookupOf(graph: GraphProto): NodeProto {
  const ids = new Set(['input_ids'])
  for (const node of graph.nodes) {
    if (ids.has(node.inputs[1] ?? '') && (node.opType === 'Gather' || node.opType === 'GatherBlockQuantized')) return node
    if (ids.has(node.inputs[0] ?? '') && ['Reshape', 'Cast', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten'].includes(node.opType ?? '')) {
      ids.add(node.outputs[0] ?? '')
    }
  }
  throw refuse('is not looked up by input_ids')
}

interface Values {
  stored(name: string | undefined): Stored | undefined
  maker(name: string | undefined): NodeProto | undefined
}

function valuesOf(graph: GraphProto, read: ReadExternal): Values {
  const constants = new Map<string, TensorProto>()
  const makers = new Map<string, NodeProto>()
  for (const tensor of graph.initializers) constants.set(tensor.name ?? '', tensor)
  for (const node of graph.nodes) {
    for (const output of node.outputs) makers.set(output, node)
    const held = node.opType === 'Constant' ? node.attributes.find(({ name }) => name === 'value')?.t : undefined
    if (held) constants.set(node.outputs[0] ?? '', held)
  }
  return {
    stored: (name) => {
      const tensor = constants.get(name ?? '')
      return tensor && storedOf(tensor, read)
    },
    maker: (name) => makers.get(name ?? ''),
  }
}

/** Values in `float_data` (4) and `int32_data` (5), where quantisers keep single scales and zero points. */
function typedValues(tensor: TensorProto): Float32Array {
  const values: number[] = []
  for (const { field, bytes } of tensor.unknown ?? []) {
    if (field !== 4 && field !== 5) continue
    const from = wire.cursor(bytes)
    const { wireType } = wire.readTag(from)
    const packed = wireType === wire.BYTES ? wire.readRange(from) : from
    while (packed.offset < packed.end) values.push(field === 4 ? wire.readFloat(packed) : wire.readInteger(packed))
  }
  const expected = tensor.dims.reduce((product, axis) => product * axis, 1)
  if (values.length !== expected) {
    throw new FormatError(
      'onnx-table-size',
      `Tensor "${tensor.name ?? ''}" holds ${values.length} values, [${tensor.dims.join(', ')}] needs ${expected}.`,
    )
  }
  return Float32Array.from(values)
}

function storedOf(tensor: TensorProto, read: ReadExternal): Stored {
  const { dims, dataType = 0 } = tensor
  const bits = BITS[dataType]
  const element = ELEMENT[dataType]
  if (bits === undefined || element === undefined) throw refuse(`is stored as data type ${dataType}`)
  const external = externalDataOf(tensor)
  const raw = tensor.rawData
  if (!external && !raw) {
    const typed = typedValues(tensor)
    return { dims, dataType, range: (from, count) => typed.slice(from, from + count) }
  }
  return {
    dims,
    dataType,
    range(from, count) {
      const start = Math.floor((from * bits) / 8)
      const skip = from - (start * 8) / bits
      const length = Math.ceil(((skip + count) * bits) / 8)
      const bytes = external
        ? read(external.location, external.offset + start, length)
        : (raw as Uint8Array).subarray(start, start + length)
      if (bytes.length < length) {
        throw new FormatError(
          'onnx-table-size',
          `Tensor "${tensor.name ?? ''}" ends before element ${from + count} of [${dims.join(', ')}].`,
        )
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      return Float32Array.from({ length: count }, (_, index) => element(view, skip + index))
    },
  }
}

/** The widest T5 has rows of 4096 values. */
const MAX_WIDTH = 2 ** 16

/** A [V, D] table with the function of one row and, where it is quantised, of its steps. */
function tableOf(vocabSize: number, width: number, row: (id: number) => Float32Array, step?: (id: number) => Float32Array): EmbeddingTable {
  if (!(width > 0 && width <= MAX_WIDTH)) throw refuse(`has rows of ${width} values; at most ${MAX_WIDTH} are read`)
  const gather =
    (one: (id: number) => Float32Array) =>
    (ids: readonly number[]): Float32Array => {
      const out = new Float32Array(ids.length * width)
      for (const [index, id] of ids.entries()) {
        if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabSize)) {
          throw new FormatError('onnx-table-row', `Row ${id} is outside an embedding of ${vocabSize} rows.`)
        }
        out.set(one(id), index * width)
      }
      return out
    }
  return { vocabSize, width, rows: gather(row), ...(step ? { steps: gather(step) } : {}) }
}

/** One value for all columns, or one for each. */
const at = (list: Float32Array, column: number): number => list[list.length === 1 ? 0 : column] as number

/** Gather of a float table; or of a quantised one with DequantizeLinear before or behind it. */
function plainTable(graph: GraphProto, values: Values, gather: NodeProto): EmbeddingTable {
  if (![0, -2].includes(intAttribute(gather, 'axis', 0))) throw refuse('is not gathered by rows')
  let name = gather.inputs[0]
  let dequantize = graph.nodes.find(({ opType, inputs }) => opType === 'DequantizeLinear' && inputs[0] === gather.outputs[0])
  let transposed = false
  let found = values.stored(name)
  for (let depth = 0; found === undefined && depth < 8; depth++) {
    const maker = values.maker(name)
    if (maker?.opType === 'DequantizeLinear') dequantize = maker
    else if (maker?.opType === 'Transpose') transposed = !transposed
    else if (maker?.opType !== 'Cast' && maker?.opType !== 'Identity') throw refuse(`comes from ${maker?.opType ?? 'an input'}`)
    name = maker.inputs[0]
    found = values.stored(name)
  }
  if (found?.dims.length !== 2 || found.dims.includes(0)) throw refuse('is no [V, D] table')
  const stored = found
  const [vocabSize, width] = (transposed ? stored.dims.toReversed() : stored.dims) as [number, number]
  const row = (id: number): Float32Array =>
    transposed
      ? Float32Array.from({ length: width }, (_, column) => stored.range(column * vocabSize + id, 1)[0] as number)
      : stored.range(id * width, width)
  if (!dequantize) {
    if (!FLOATS.has(stored.dataType)) throw refuse('holds whole numbers with no scale')
    return tableOf(vocabSize, width, row)
  }
  if (transposed) throw refuse('is quantised and transposed')
  const scale = values.stored(dequantize.inputs[1])
  const zero = values.stored(dequantize.inputs[2])
  if (!scale || (dequantize.inputs[2] && !zero)) throw refuse('is dequantised by a scale that is not stored')
  const count = scale.dims.reduce((product, axis) => product * axis, 1)
  // One scale for all; else one a row or one a column, as the axis says.
  const byRow = count === vocabSize && [0, -2].includes(intAttribute(dequantize, 'axis', 1))
  if (count !== 1 && !byRow && count !== width) throw refuse(`has ${count} scales for [${vocabSize}, ${width}]`)
  const perRow = (from: Stored, id: number): Float32Array =>
    count === 1 ? from.range(0, 1) : byRow ? from.range(id, 1) : from.range(0, width)
  const rowOf = (id: number): Float32Array => {
    const scales = perRow(scale, id)
    const zeros = zero ? perRow(zero, id) : new Float32Array(1)
    return row(id).map((value, column) => (value - at(zeros, column)) * at(scales, column))
  }
  const stepOf = (id: number): Float32Array => {
    const scales = perRow(scale, id)
    return Float32Array.from({ length: width }, (_, column) => Math.abs(at(scales, column)))
  }
  return tableOf(vocabSize, width, rowOf, stepOf)
}

/** GatherBlockQuantized: rows in blocks with one scale each; 4-bit values in a uint8 table stand two to a byte, low half first. */
function blockTable(values: Values, gather: NodeProto): EmbeddingTable {
  const [data, scales, zeros] = [values.stored(gather.inputs[0]), values.stored(gather.inputs[2]), values.stored(gather.inputs[3])]
  if (!data || data.dims.length !== 2 || !scales || (gather.inputs[3] && !zeros))
    throw refuse('is block-quantised, but not stored as [V, D]')
  const bits = intAttribute(gather, 'bits', 4)
  const block = intAttribute(gather, 'block_size', 128)
  const packed = data.dataType === DATA_TYPE.UINT8 && bits === 4
  const [vocabSize = 0, columns = 0] = data.dims
  const width = packed ? 2 * columns : columns
  const blocks = Math.ceil(width / block)
  if (![0, -2].includes(intAttribute(gather, 'gather_axis', 0)) || ![1, -1].includes(intAttribute(gather, 'quantize_axis', 1))) {
    throw refuse('is block-quantised along another axis than its rows')
  }
  if (scales.dims[0] !== vocabSize || scales.dims[1] !== blocks)
    throw refuse(`has scales [${scales.dims.join(', ')}], expected [${vocabSize}, ${blocks}]`)
  const unpack = (stored: Stored, id: number, length: number): Float32Array => {
    if (!(stored.dataType === DATA_TYPE.UINT8 && bits === 4)) return stored.range(id * length, length)
    const bytes = stored.range(id * Math.ceil(length / 2), Math.ceil(length / 2))
    return Float32Array.from({ length }, (_, index) => ((bytes[index >> 1] as number) >> (4 * (index & 1))) & 15)
  }
  // A uint8 table without zero points is centred; signed ones need none.
  const middle = data.dataType === DATA_TYPE.UINT8 ? 2 ** (bits - 1) : 0
  const rowOf = (id: number): Float32Array => {
    const scale = scales.range(id * blocks, blocks)
    const zero = zeros ? unpack(zeros, id, blocks) : new Float32Array(blocks).fill(middle)
    return unpack(data, id, width).map((value, column) => {
      const group = Math.floor(column / block)
      return (value - (zero[group] as number)) * (scale[group] as number)
    })
  }
  const stepOf = (id: number): Float32Array => {
    const scale = scales.range(id * blocks, blocks)
    return Float32Array.from({ length: width }, (_, column) => Math.abs(scale[Math.floor(column / block)] as number))
  }
  return tableOf(vocabSize, width, rowOf, stepOf)
}

/** The encoder's final norm vector, where the file names it as transformers does. */
export function onnxFinalNorm(model: ModelProto, read: ReadExternal): Float32Array | undefined {
  const found = model.graph?.initializers.find(
    ({ name, dims }) => dims.length === 1 && /(^|encoder\.)final_layer_norm\.weight$/.test(name ?? ''),
  )
  if (!found || !FLOATS.has(found.dataType ?? 0)) return undefined
  return storedOf(found, read).range(0, found.dims[0] ?? 0)
}
