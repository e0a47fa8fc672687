/** Stored tensors of an ONNX model, read by ranges of elements, wherever their bytes lie. */
import { FormatError, UnsupportedError } from '../errors.ts'
import { fromBF16, fromF16 } from '../tensor/half.ts'
import { DATA_TYPE, type GraphProto, type NodeProto, type TensorProto } from './schema.ts'
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

/** Data types of real numbers: others need a scale to mean one. */
export const FLOATS: ReadonlySet<number> = new Set([DATA_TYPE.FLOAT, DATA_TYPE.DOUBLE, DATA_TYPE.FLOAT16, DATA_TYPE.BFLOAT16])

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
export interface Stored {
  readonly dims: readonly number[]
  readonly dataType: number
  /** Elements [from, from + count). */
  range(from: number, count: number): Float32Array
}

/** An integer attribute of a node. */
export const intAttribute = (node: NodeProto, name: string, fallback: number): number => {
  const found = node.attributes.find((each) => each.name === name)?.i
  return found === undefined ? fallback : Number(found)
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

/**
 * A tensor's elements.
 * @throws {UnsupportedError} `onnx-table` for a data type that is not read; its ranges throw {FormatError} `onnx-table-size`
 */
export function storedOf(tensor: TensorProto, read: ReadExternal): Stored {
  const { dims, dataType = 0 } = tensor
  const bits = BITS[dataType]
  const element = ELEMENT[dataType]
  if (bits === undefined || element === undefined) {
    throw new UnsupportedError(
      'onnx-table',
      `Tensor "${tensor.name ?? ''}" is stored as data type ${dataType}; give a file that optimum or this library exported.`,
    )
  }
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

/** The stored tensors and the makers of a graph's values, by name. */
export interface Values {
  /** @throws as `storedOf` */
  stored(name: string | undefined): Stored | undefined
  /** The same, but undefined where the data type is none that is read. */
  readable(name: string | undefined): Stored | undefined
  maker(name: string | undefined): NodeProto | undefined
  /** Nodes that read a value. */
  users(name: string | undefined): readonly NodeProto[]
}

/** @param graphs a graph, or one with those inside its nodes: they see its names */
export function valuesOf(graphs: readonly Pick<GraphProto, 'nodes' | 'initializers'>[], read: ReadExternal): Values {
  const constants = new Map<string, TensorProto>()
  const makers = new Map<string, NodeProto>()
  const users = new Map<string, NodeProto[]>()
  for (const { nodes, initializers } of graphs) {
    for (const tensor of initializers) constants.set(tensor.name ?? '', tensor)
    for (const node of nodes) {
      for (const output of node.outputs) makers.set(output, node)
      for (const input of node.inputs) {
        const list = users.get(input)
        if (list) list.push(node)
        else users.set(input, [node])
      }
      const held = node.opType === 'Constant' ? node.attributes.find(({ name }) => name === 'value')?.t : undefined
      if (held) constants.set(node.outputs[0] ?? '', held)
    }
  }
  // Kept, as many nodes may read one tensor.
  const opened = new Map<TensorProto, Stored>()
  const open = (tensor: TensorProto): Stored => {
    const found = opened.get(tensor) ?? storedOf(tensor, read)
    opened.set(tensor, found)
    return found
  }
  return {
    stored: (name) => {
      const tensor = constants.get(name ?? '')
      return tensor && open(tensor)
    },
    readable: (name) => {
      const tensor = constants.get(name ?? '')
      return tensor && (tensor.dataType ?? 0) in ELEMENT ? open(tensor) : undefined
    },
    maker: (name) => makers.get(name ?? ''),
    users: (name) => users.get(name ?? '') ?? [],
  }
}
