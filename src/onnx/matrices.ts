/** The matrix that an ONNX node multiplies by, however it is stored: turned round, in F16, in 8 bits with scales, in blocks of 4 bits. */
import type { LayerWeight } from '../prompt/layers.ts'
import type { NodeProto } from './schema.ts'
import { FLOATS, intAttribute, type Stored, type Values } from './stored.ts'

/** A weight without its name; `key` tells stored tensors apart. */
export type Matrix = Omit<LayerWeight, 'name'> & { readonly key: string }

export interface Found {
  readonly matrix: Matrix
  /** Name of the tensor that holds it. */
  readonly stored: string
}

const one = (tensor: Stored, at: number): number => tensor.range(at, 1)[0] as number
const sizeOf = (dims: readonly number[]): number => dims.reduce((product, axis) => product * axis, 1)

/** The float tensor that a value is, as it is stored. */
export function plainOf(value: string, values: Values): Matrix | undefined {
  const way = wayTo(value, values)
  if (!way || way.dequantize || way.transposed || !FLOATS.has(way.stored.dataType) || way.stored.dims.includes(0)) return undefined
  const { name, stored: tensor } = way
  return { key: name, size: sizeOf(tensor.dims), values: (places) => Float32Array.from(places, (place) => one(tensor, place)) }
}

/** Operators that read a matrix as [in, out], and where it is among their inputs, with its scale and zero point. */
const PRODUCTS: Readonly<Record<string, readonly [matrix: number, scale?: number | undefined, zero?: number]>> = {
  MatMul: [1],
  FusedMatMul: [1],
  Gemm: [1],
  MatMulInteger: [1, undefined, 3],
  DynamicQuantizeMatMul: [1, 2, 3],
  MatMulIntegerToFloat: [1, 3, 5],
  QLinearMatMul: [3, 4, 5],
}

/**
 * The matrix that a node multiplies by, or looks up the rows of.
 * @returns undefined where the node does neither, or the matrix is computed or stored in a way unknown here
 */
export function matrixOf(node: NodeProto, values: Values): Found | undefined {
  const op = node.opType ?? ''
  if (op === 'MatMulNBits') return blocksOf(node, values)
  if (op === 'Gather') return rowsOf(node, values)
  const [matrixAt, scaleAt, zeroAt] = PRODUCTS[op] ?? []
  const way = matrixAt === undefined ? undefined : wayTo(node.inputs[matrixAt], values)
  if (way?.stored.dims.length !== 2) return undefined
  const turned = ['Gemm', 'FusedMatMul'].includes(op) && intAttribute(node, 'transB', 0) === 1
  // PyTorch's order is [out, in].
  const flip = way.transposed === turned
  if (op !== 'MatMulInteger' && scaleAt === undefined)
    return stored(way, flip, way.dequantize && dequantization(way.dequantize, way, values))
  const scale = scaleAt === undefined ? scaleBehind(node, values) : values.readable(node.inputs[scaleAt])
  return stored(way, flip, quantisation(way.stored, scale, zeroOf(node.inputs[zeroAt ?? -1], values), 1))
}

/** A table whose rows are gathered; dequantised before or behind that. */
function rowsOf(node: NodeProto, values: Values): Found | undefined {
  const way = wayTo(node.inputs[0], values)
  if (way?.stored.dims.length !== 2 || ![0, -2].includes(intAttribute(node, 'axis', 0))) return undefined
  const dequantize = way.dequantize ?? dequantizedBehind(node, values)
  return stored(way, way.transposed, dequantize && dequantization(dequantize, way, values))
}

/** Nodes that a quantiser leaves whole numbers to, for their result to be dequantised. */
const MOVING: ReadonlySet<string> = new Set(['Transpose', 'Reshape', 'Unsqueeze', 'Squeeze', 'Identity'])

/** The node behind that turns rows into floats. Where they were moved on the way, one scale for all holds. */
function dequantizedBehind({ outputs }: NodeProto, values: Values): NodeProto | undefined {
  let value = outputs[0]
  for (let depth = 0; depth < 4; depth++) {
    const users = values.users(value)
    const found = users.find(({ opType }) => opType === 'DequantizeLinear')
    const scale = values.readable(found?.inputs[1])
    if (found) return depth === 0 || (scale && sizeOf(scale.dims) === 1) ? found : undefined
    value = users.find(({ opType }) => MOVING.has(opType ?? ''))?.outputs[0]
  }
  return undefined
}

// ---- what is stored as floats, or as whole numbers with a scale ----

/** Scale and zero point of the element [row, column] of a stored tensor. */
interface Quantisation {
  scale(row: number, column: number): number
  zero(row: number, column: number): number
}

/** @param flip stored as [in, out] */
function stored(way: Way, flip: boolean, quantised: Quantisation | undefined): Found | undefined {
  const { stored: tensor, name } = way
  if ((quantised === undefined && !FLOATS.has(tensor.dataType)) || tensor.dims.includes(0)) return undefined
  const [rows = 0, columns = 0] = tensor.dims
  const at = (place: number): [row: number, column: number] =>
    flip ? [place % rows, Math.floor(place / rows)] : [Math.floor(place / columns), place % columns]
  const value = (place: number): number => {
    const [row, column] = at(place)
    const element = one(tensor, row * columns + column)
    return quantised ? (element - quantised.zero(row, column)) * quantised.scale(row, column) : element
  }
  return {
    stored: name,
    matrix: {
      key: name,
      size: rows * columns,
      values: (places) => Float32Array.from(places, value),
      ...(quantised ? { steps: (places) => Float32Array.from(places, (place) => Math.abs(quantised.scale(...at(place)))) } : {}),
    },
  }
}

/** A zero point: absent, or stored; `none` where it is there and cannot be read. */
const zeroOf = (name: string | undefined, values: Values): Stored | 'absent' | 'none' =>
  name === undefined || name === '' ? 'absent' : (values.readable(name) ?? 'none')

function dequantization(node: NodeProto, { stored: tensor }: Way, values: Values): Quantisation | undefined {
  const scale = values.readable(node.inputs[1])
  const axis = intAttribute(node, 'axis', 1)
  return quantisation(tensor, scale, zeroOf(node.inputs[2], values), axis < 0 ? axis + 2 : axis, intAttribute(node, 'block_size', 0))
}

/** One scale for all, one for each row (axis 0) or column (axis 1), or one for each block along an axis. */
function quantisation(
  { dims }: Stored,
  scale: Stored | undefined,
  zero: Stored | 'absent' | 'none',
  axis: number,
  block = 0,
): Quantisation | undefined {
  if (!scale || zero === 'none') return undefined
  const count = sizeOf(scale.dims)
  const blocks = block > 0 && scale.dims.length === 2 ? scale.dims : undefined
  if (!blocks && count !== 1 && count !== dims[axis]) return undefined
  const index = (row: number, column: number): number => {
    if (blocks) {
      const [r, c] = axis === 0 ? [Math.floor(row / block), column] : [row, Math.floor(column / block)]
      return r * (blocks[1] as number) + c
    }
    return axis === 0 ? row : column
  }
  const read = (from: Stored, row: number, column: number): number => one(from, sizeOf(from.dims) === 1 ? 0 : index(row, column))
  return {
    scale: (row, column) => read(scale, row, column),
    zero: (row, column) => (zero === 'absent' ? 0 : read(zero, row, column)),
  }
}

/** The matrix's scale where whole numbers are multiplied: it comes in behind, `Cast(product) · (scale of the input · scale of the matrix)`. */
function scaleBehind(node: NodeProto, values: Values): Stored | undefined {
  let value = values.users(node.outputs[0]).find(({ opType }) => opType === 'Cast')?.outputs[0]
  for (let depth = 0; depth < 2; depth++) {
    const product = values.users(value).find(({ opType }) => opType === 'Mul')
    const other = product?.inputs.find((input) => input !== value)
    const maker = values.maker(other)
    const found = [other, ...(maker?.opType === 'Mul' ? maker.inputs : [])].map((name) => values.readable(name)).find((each) => each)
    if (found) return found
    value = product?.outputs[0]
  }
  return undefined
}

// ---- com.microsoft MatMulNBits: [N, blocks, bytes of a block], N = out; small numbers first in a byte ----

function blocksOf(node: NodeProto, values: Values): Found | undefined {
  const [, name, scalesName, zerosName, order] = node.inputs
  const [data, scales, zeros] = [values.readable(name), values.readable(scalesName), zeroOf(zerosName, values)]
  const [inner, outer] = [intAttribute(node, 'K', 0), intAttribute(node, 'N', 0)]
  const [bits, block] = [intAttribute(node, 'bits', 4), intAttribute(node, 'block_size', 32)]
  if (!data || !scales || zeros === 'none' || (order !== undefined && order !== '') || ![2, 4, 8].includes(bits)) return undefined
  if (inner < 1 || outer < 1 || block < 1) return undefined
  const blocks = Math.ceil(inner / block)
  const blockBytes = (block * bits) / 8
  if (sizeOf(data.dims) !== outer * blocks * blockBytes || sizeOf(scales.dims) !== outer * blocks) return undefined
  const packed = (from: Stored, byte: number, index: number): number =>
    (one(from, byte + Math.floor((index * bits) / 8)) >> ((index * bits) % 8)) & (2 ** bits - 1)
  const zeroBytes = Math.ceil((blocks * bits) / 8)
  const zero = (row: number, group: number): number => {
    if (zeros === 'absent') return 2 ** (bits - 1)
    return FLOATS.has(zeros.dataType) ? one(zeros, row * blocks + group) : packed(zeros, row * zeroBytes, group)
  }
  const at = (place: number): [row: number, group: number, index: number] => {
    const column = place % inner
    return [Math.floor(place / inner), Math.floor(column / block), column % block]
  }
  const value = (place: number): number => {
    const [row, group, index] = at(place)
    return (packed(data, (row * blocks + group) * blockBytes, index) - zero(row, group)) * one(scales, row * blocks + group)
  }
  const step = (place: number): number => {
    const [row, group] = at(place)
    return Math.abs(one(scales, row * blocks + group))
  }
  return {
    stored: name ?? '',
    matrix: {
      key: name ?? '',
      size: outer * inner,
      values: (places) => Float32Array.from(places, value),
      steps: (places) => Float32Array.from(places, step),
    },
  }
}

// ---- from a value to what is stored ----

interface Way {
  readonly name: string
  readonly stored: Stored
  readonly transposed: boolean
  readonly dequantize?: NodeProto
}

/** Follows a value back to the tensor it is made of; undefined where it is computed, or stored in a way that is not read. */
function wayTo(value: string | undefined, values: Values): Way | undefined {
  let name = value
  let transposed = false
  let dequantize: NodeProto | undefined
  for (let depth = 0; depth < 8; depth++) {
    const found = values.readable(name)
    if (found) return { name: name ?? '', stored: found, transposed, ...(dequantize ? { dequantize } : {}) }
    const maker = values.maker(name)
    if (maker?.opType === 'Transpose' && !dequantize) {
      const perm = maker.attributes.find((each) => each.name === 'perm')?.ints
      if (perm && perm.join() !== '1,0') return undefined
      transposed = !transposed
    } else if (maker?.opType === 'DequantizeLinear' && !dequantize) dequantize = maker
    else if (maker?.opType !== 'Cast' && maker?.opType !== 'Identity') return undefined
    name = maker.inputs[0]
  }
  return undefined
}
