/** External data of a tensor as a value, and small makers for the messages that graphs are written with. */
import { FormatError } from '../errors.ts'
import { ATTRIBUTE_TYPE, type AttributeProto, type NodeProto, type TensorProto, type ValueInfoProto } from './schema.ts'

/** Where a tensor's bytes lie outside its model file. */
export interface ExternalData {
  /** A path relative to the model's folder, with `/`. */
  readonly location: string
  readonly offset: number
  /** Absent = to the end of the file. */
  readonly length?: number
}

/**
 * The external data of a tensor, or undefined where its bytes are in the model.
 * @throws {FormatError} `onnx-external-data` for a missing location or a number that is none.
 */
export function externalDataOf(tensor: TensorProto): ExternalData | undefined {
  if (tensor.dataLocation !== 1) return undefined
  const entry = (key: string): string | undefined => tensor.externalData.find((pair) => pair.key === key)?.value
  const count = (key: string): number | undefined => {
    const text = entry(key)
    if (text === undefined) return undefined
    if (/^\d{1,15}$/.test(text)) return Number(text)
    throw new FormatError('onnx-external-data', `External data of tensor "${tensor.name}": ${key} is "${text}", expected a whole number.`)
  }
  const location = entry('location')
  if (location === undefined) throw new FormatError('onnx-external-data', `External data of tensor "${tensor.name}" names no file.`)
  const length = count('length')
  return { location, offset: count('offset') ?? 0, ...(length === undefined ? {} : { length }) }
}

/** The same tensor with its bytes elsewhere: payload fields dropped. */
export function withExternalData(tensor: TensorProto, at: ExternalData): TensorProto {
  const { rawData: _, ...rest } = tensor
  const entries: [string, string][] = [
    ['location', at.location],
    ['offset', String(at.offset)],
  ]
  if (at.length !== undefined) entries.push(['length', String(at.length)])
  return { ...rest, externalData: entries.map(([key, value]) => ({ key, value })), dataLocation: 1 }
}

/** A node; `attributes` by name: bigint = int, number = float, arrays likewise (all bigint or all number), string, tensor. */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, bigint | number | string | readonly bigint[] | readonly number[] | TensorProto>> = {},
  extra: { readonly name?: string; readonly domain?: string } = {},
): NodeProto {
  return { inputs, outputs, opType, attributes: Object.entries(attributes).map(([name, value]) => makeAttribute(name, value)), ...extra }
}

const EMPTY = { floats: [], ints: [], strings: [], tensors: [], graphs: [] } as const

function makeAttribute(
  name: string,
  value: bigint | number | string | readonly bigint[] | readonly number[] | TensorProto,
): AttributeProto {
  if (typeof value === 'bigint') return { ...EMPTY, name, i: value, type: ATTRIBUTE_TYPE.INT }
  if (typeof value === 'number') return { ...EMPTY, name, f: value, type: ATTRIBUTE_TYPE.FLOAT }
  if (typeof value === 'string') return { ...EMPTY, name, s: new TextEncoder().encode(value), type: ATTRIBUTE_TYPE.STRING }
  if ('dims' in value) return { ...EMPTY, name, t: value, type: ATTRIBUTE_TYPE.TENSOR }
  // An empty list is taken for integers: axes, perm and the like.
  if (value.every((item) => typeof item === 'bigint'))
    return { ...EMPTY, name, ints: value as readonly bigint[], type: ATTRIBUTE_TYPE.INTS }
  return { ...EMPTY, name, floats: value as readonly number[], type: ATTRIBUTE_TYPE.FLOATS }
}

/** A tensor with its bytes inside (little-endian, row-major). */
export function makeTensor(name: string, dataType: number, dims: readonly number[], rawData: Uint8Array): TensorProto {
  return { name, dataType, dims, rawData, externalData: [] }
}

/** A graph input or output: a number is a fixed axis, a string a named one. */
export function makeValueInfo(name: string, elemType: number, shape: readonly (number | string)[]): ValueInfoProto {
  const dims = shape.map((axis) => (typeof axis === 'number' ? { dimValue: axis } : { dimParam: axis }))
  return { name, type: { tensorType: { elemType, shape: { dims } } } }
}
