/** Tensors as plain values: a dtype, a shape and a flat typed array in row-major (C) order. */
import { ShapeError } from '../errors.ts'

/** Each dtype, by its safetensors name, with its JavaScript storage (F16 and BF16 stay raw 16-bit words). */
export interface DtypeArrays {
  F64: Float64Array
  F32: Float32Array
  F16: Uint16Array
  BF16: Uint16Array
  I64: BigInt64Array
  I32: Int32Array
  I8: Int8Array
  U8: Uint8Array
  BOOL: Uint8Array
}

export type Dtype = keyof DtypeArrays
export type DataOf<T extends Dtype> = DtypeArrays[T]

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<Dtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I8: 1, U8: 1, BOOL: 1 }

/** A tensor value. `data.length` is the product of `shape`. */
export interface Tensor<T extends Dtype = Dtype> {
  readonly dtype: T
  readonly shape: readonly number[]
  readonly data: DataOf<T>
}

/** Number of elements of a shape; 1 for a scalar. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1)

/**
 * Makes a tensor and checks that the data fills the shape.
 * @throws {ShapeError} `tensor-size` when `data.length` is not the product of `shape`.
 */
export function tensor<T extends Dtype>(dtype: T, shape: readonly number[], data: DataOf<T>): Tensor<T> {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError('tensor-size', `A tensor of shape [${shape.join(', ')}] holds ${sizeOf(shape)} values, got ${data.length}.`, {
      facts: { shape, got: data.length },
    })
  }
  return { dtype, shape, data }
}
