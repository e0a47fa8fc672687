/** The protobuf wire format: varints, tags and length-delimited ranges over a cursor. https://protobuf.dev/programming-guides/encoding */
import { FormatError } from '../errors.ts'

/** A range of bytes being read; `offset` moves, `end` is exclusive. Nothing is copied. */
export interface Cursor {
  readonly bytes: Uint8Array
  offset: number
  readonly end: number
}

export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
export const FIXED32 = 5

/** 64 bits at 7 a byte. */
export const MAX_VARINT_BYTES = 10
/** Largest field number of the format. */
const MAX_FIELD = 2 ** 29 - 1

/** A cursor over all of `bytes`. */
export const cursor = (bytes: Uint8Array): Cursor => ({ bytes, offset: 0, end: bytes.length })

export function malformed(code: string, at: number, what: string): FormatError {
  return new FormatError(code, `This is not a sound ONNX file: ${what} at byte ${at}. Download or export it again.`, {
    facts: { offset: at },
  })
}

/** The bytes of the next varint as two unsigned 32-bit halves, in `LOW` and `HIGH`. */
let LOW = 0
let HIGH = 0
function readHalves(from: Cursor): void {
  const { bytes, end } = from
  const start = from.offset
  LOW = 0
  HIGH = 0
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    if (start + index >= end) throw malformed('onnx-truncated', start, 'a number is cut off')
    const byte = bytes[start + index] as number
    const low7 = byte & 0x7f
    if (index < 4) LOW |= low7 << (7 * index)
    else if (index === 4) {
      LOW |= low7 << 28
      HIGH = low7 >>> 4
    } else HIGH |= low7 << (7 * index - 32)
    if (byte < 0x80) {
      if (index === MAX_VARINT_BYTES - 1 && byte > 1) break
      LOW >>>= 0
      HIGH >>>= 0
      from.offset = start + index + 1
      return
    }
  }
  throw malformed('onnx-varint', start, 'a number has more than 64 bits')
}

/** Reads an int64. */
export function readInt64(from: Cursor): bigint {
  readHalves(from)
  return BigInt.asIntN(64, (BigInt(HIGH) << 32n) | BigInt(LOW))
}

/** Reads an int64 that has to be a safe integer: dims, versions. */
export function readInteger(from: Cursor): number {
  const at = from.offset
  readHalves(from)
  const value = (HIGH | 0) * 2 ** 32 + LOW
  if (!Number.isSafeInteger(value)) throw malformed('onnx-integer', at, `the integer ${value} is beyond 2^53`)
  return value
}

/** Reads a tag. @throws {FormatError} `onnx-tag` for field 0 and for groups, which ONNX never uses. */
export function readTag(from: Cursor): { readonly field: number; readonly wireType: number } {
  const at = from.offset
  readHalves(from)
  const field = HIGH === 0 ? LOW >>> 3 : 0
  const wireType = LOW & 7
  if (field === 0 || field > MAX_FIELD || (wireType > BYTES && wireType !== FIXED32)) {
    throw malformed('onnx-tag', at, `field ${field} of wire type ${wireType} cannot be`)
  }
  return { field, wireType }
}

/** Steps over a length-delimited value and returns its range. */
export function readRange(from: Cursor): Cursor {
  const at = from.offset
  const length = readInteger(from)
  const start = from.offset
  if (length < 0 || length > from.end - start) {
    throw malformed('onnx-truncated', at, `a field of ${length} bytes does not fit in the ${from.end - start} left`)
  }
  from.offset = start + length
  return { bytes: from.bytes, offset: start, end: start + length }
}

/** The bytes of a range, as a view. */
export const viewOf = (range: Cursor): Uint8Array => range.bytes.subarray(range.offset, range.end)

/** Steps over one value of any wire type. */
export function skip(from: Cursor, wireType: number): void {
  if (wireType === VARINT) readHalves(from)
  else if (wireType === BYTES) readRange(from)
  else readFixed(from, wireType === FIXED32 ? 4 : 8)
}

function readFixed(from: Cursor, size: number): number {
  const at = from.offset
  if (size > from.end - at) throw malformed('onnx-truncated', at, 'a fixed-size number is cut off')
  from.offset = at + size
  return at
}

/** Reads a float. */
export function readFloat(from: Cursor): number {
  const at = readFixed(from, 4)
  return new DataView(from.bytes.buffer, from.bytes.byteOffset + at, 4).getFloat32(0, true)
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads the text of a range; short ASCII, which nearly every name is, without the decoder's set-up cost. */
export function readText(range: Cursor): string {
  const { bytes, offset, end } = range
  if (end - offset <= 96) {
    let text = ''
    let index = offset
    for (; index < end; index++) {
      const byte = bytes[index] as number
      if (byte >= 0x80) break
      text += String.fromCharCode(byte)
    }
    if (index === end) return text
  }
  try {
    return UTF8.decode(viewOf(range))
  } catch {
    throw malformed('onnx-text', offset, 'a name is not UTF-8')
  }
}

/** Bytes a varint takes. */
export function varintSize(value: number | bigint): number {
  if (typeof value === 'number' && value >= 0 && value < 2 ** 31) {
    return value < 2 ** 7 ? 1 : value < 2 ** 14 ? 2 : value < 2 ** 21 ? 3 : value < 2 ** 28 ? 4 : 5
  }
  let rest = BigInt.asUintN(64, BigInt(value)) >> 7n
  let size = 1
  for (; rest > 0n; rest >>= 7n) size++
  return size
}

/** Where bytes are written; `out` is as long as the whole. */
export interface Sink {
  readonly out: Uint8Array
  offset: number
}

export function writeVarint(to: Sink, value: number | bigint): void {
  if (typeof value === 'number' && value >= 0 && value < 2 ** 31) {
    let rest = value
    for (; rest >= 0x80; rest >>>= 7) to.out[to.offset++] = (rest & 0x7f) | 0x80
    to.out[to.offset++] = rest
    return
  }
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest >= 0x80n; rest >>= 7n) to.out[to.offset++] = Number(rest & 0x7fn) | 0x80
  to.out[to.offset++] = Number(rest)
}

export function writeFloat(to: Sink, value: number): void {
  new DataView(to.out.buffer, to.out.byteOffset + to.offset, 4).setFloat32(0, value, true)
  to.offset += 4
}

export function writeBytes(to: Sink, value: Uint8Array): void {
  to.out.set(value, to.offset)
  to.offset += value.length
}
