/** The embedding rows of an ONNX encoder, float or quantised, without a runtime (Gather, DequantizeLinear, com.microsoft GatherBlockQuantized). */
import { FormatError, UnsupportedError } from '../errors.ts'
import type { EmbeddingTable } from '../prompt/fingerprint.ts'
import { DATA_TYPE, type GraphProto, type ModelProto, type NodeProto } from './schema.ts'
import { FLOATS, intAttribute, storedOf, valuesOf, type ReadExternal, type Stored, type Values } from './stored.ts'

/**
 * The table that `input_ids` look up.
 * @param read bytes of external data; only called for tensors that have any
 * @throws {UnsupportedError} `onnx-table` where there is no lookup of a kind named above
 * @throws {FormatError} `onnx-table-size` where a tensor has fewer bytes than its shape needs
 */
export function onnxEmbeddingTable(model: ModelProto, read: ReadExternal): EmbeddingTable {
  const graph = model.graph
  if (!graph) throw new FormatError('onnx-empty', 'This ONNX model has no graph.')
  const values = valuesOf([graph], read)
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
