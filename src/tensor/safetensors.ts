/** safetensors, read strictly (https://github.com/huggingface/safetensors, format 0.4; stricter than the reference reader where that is lenient). */
import { FormatError, UnsupportedError } from '../errors.ts'
import { isObject, parseStrictJson, type Json } from './strict-json.ts'
import { ELEMENT_BYTES, sizeOf, tensor, type DataOf, type Dtype, type Tensor } from './tensor.ts'

/** The reference reader's cap. The largest header seen on a T5 (XXL, one file) is about 60 kB. */
export const MAX_HEADER_BYTES = 100_000_000
/** Bytes before the header: its length. */
export const LENGTH_BYTES = 8

/** Where a tensor lies in the file. */
export interface TensorEntry {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** From the start of the file. */
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/** A tensor that is not read. */
export interface LeftOut {
  readonly dtype: string
  readonly shape: readonly number[]
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>
  /** Tensors of dtypes that nothing here computes with, where `leaveOut` let them pass. */
  readonly leftOut: ReadonlyMap<string, LeftOut>
  readonly metadata: Readonly<Record<string, string>>
  /** Length prefix and header together: where tensor bytes begin. */
  readonly headerBytes: number
}

export interface SafetensorsLimits {
  /** Default MAX_HEADER_BYTES. A prompt's header has about 100 bytes, so its readers take far less. */
  readonly maxHeaderBytes?: number
  /** Leaves tensors of other dtypes of the format out instead of refusing the file; their places are checked all the same. */
  readonly leaveOut?: boolean
}

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly leftOut: ReadonlyMap<string, LeftOut>
  readonly metadata: Readonly<Record<string, string>>
}

/** Dtypes of the format that nothing here computes with, in bits. */
const OTHER_BITS: Readonly<Record<string, number>> = {
  U16: 16,
  U32: 32,
  U64: 64,
  I16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  C64: 64,
}
/** A place in the file with the dtype as it is written. */
type AnyEntry = Omit<TensorEntry, 'dtype'> & { readonly dtype: string }
const isRead = (dtype: string): dtype is Dtype => Object.hasOwn(ELEMENT_BYTES, dtype)

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const broken = (code: string, problem: string, facts: Record<string, unknown> = {}): FormatError =>
  new FormatError(code, `This is not a sound safetensors file: ${problem}. Fetch or save it again.`, { facts })

/**
 * Length of the header in bytes, from the file's first 8.
 * @throws {FormatError} `safetensors-truncated` | `safetensors-header-size`
 */
export function headerLength(prefix: Uint8Array, fileSizeBytes: number, maxHeaderBytes: number = MAX_HEADER_BYTES): number {
  if (prefix.length < LENGTH_BYTES) throw broken('safetensors-truncated', `${prefix.length} bytes, at least ${LENGTH_BYTES} are needed`)
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
  if (length > maxHeaderBytes) throw broken('safetensors-header-size', `a header of ${length} bytes, at most ${maxHeaderBytes} are allowed`)
  if (LENGTH_BYTES + Number(length) > fileSizeBytes) {
    throw broken('safetensors-truncated', `a header of ${length} bytes in a file of ${fileSizeBytes}`)
  }
  return Number(length)
}

/**
 * Reads the header alone; `prefix` has to hold the length and the header, the tensors may lie beyond it.
 * @throws {FormatError} `safetensors-*`, `json-*`
 * @throws {UnsupportedError} `safetensors-dtype`
 */
export function parseSafetensorsHeader(
  prefix: Uint8Array,
  fileSizeBytes: number,
  { maxHeaderBytes, leaveOut = false }: SafetensorsLimits = {},
): SafetensorsHeader {
  const length = headerLength(prefix, fileSizeBytes, maxHeaderBytes)
  const headerBytes = LENGTH_BYTES + length
  if (prefix.length < headerBytes) throw broken('safetensors-truncated', `${prefix.length} bytes of a ${headerBytes}-byte header`)
  if (prefix[LENGTH_BYTES] !== 0x7b) throw broken('safetensors-header-start', 'the header does not start with {')
  let text: string
  try {
    text = UTF8.decode(prefix.subarray(LENGTH_BYTES, headerBytes))
  } catch {
    throw broken('safetensors-text', 'the header is not UTF-8')
  }
  const json = parseStrictJson(text, 'The safetensors header')
  if (!isObject(json)) throw broken('safetensors-header-start', 'the header is no object')
  const { __metadata__, ...rest } = json
  const metadata = parseMetadata(__metadata__)
  const all = new Map(Object.entries(rest).map(([name, entry]) => [name, parseEntry(name, entry, headerBytes)]))
  checkCover(all, headerBytes, fileSizeBytes)
  const entries = new Map<string, TensorEntry>()
  const leftOut = new Map<string, LeftOut>()
  for (const [name, entry] of all) {
    const { dtype, shape } = entry
    if (isRead(dtype)) entries.set(name, { ...entry, dtype })
    else if (leaveOut) leftOut.set(name, { dtype, shape })
    else throw unread(name, dtype)
  }
  return { entries, leftOut, metadata, headerBytes }
}

/** @returns {UnsupportedError} `safetensors-dtype` */
export const unread = (name: string, dtype: string): UnsupportedError =>
  new UnsupportedError(
    'safetensors-dtype',
    `Tensor ${JSON.stringify(name.slice(0, 80))} is ${dtype}; read here are ${Object.keys(ELEMENT_BYTES).join(', ')}. Convert it first.`,
  )

function parseMetadata(value: Json | undefined): Record<string, string> {
  // The reference reader takes null for none.
  if (value === undefined || value === null) return {}
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    throw broken('safetensors-metadata', '__metadata__ has to hold strings only')
  }
  return { ...value } as Record<string, string>
}

const isCount = (value: Json | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

const bitsOf = (dtype: string): number | undefined => (Object.hasOwn(OTHER_BITS, dtype) ? OTHER_BITS[dtype] : undefined)

function parseEntry(name: string, entry: Json, headerBytes: number): AnyEntry {
  const shown = JSON.stringify(name.slice(0, 80))
  if (!isObject(entry)) throw broken('safetensors-entry', `tensor ${shown} is no object`)
  const { dtype, shape, data_offsets: offsets, ...extra } = entry
  if (Object.keys(extra).length > 0)
    throw broken('safetensors-entry', `tensor ${shown} has an unknown field ${Object.keys(extra)[0]?.slice(0, 40)}`)
  const bits = typeof dtype !== 'string' ? undefined : isRead(dtype) ? 8 * ELEMENT_BYTES[dtype] : bitsOf(dtype)
  if (typeof dtype !== 'string' || bits === undefined) {
    throw broken('safetensors-entry', `tensor ${shown} has the dtype ${JSON.stringify(dtype)?.slice(0, 40)}`)
  }
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isCount))
    throw broken('safetensors-entry', `tensor ${shown} has no sound shape`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw broken('safetensors-entry', `tensor ${shown} has no sound data_offsets`)
  }
  const [begin, end] = offsets as [number, number]
  const expected = (sizeOf(shape as number[]) * bits) / 8
  // An axis of zero must not hide a product that overflowed before it met it.
  const filled = sizeOf((shape as number[]).filter((axis) => axis > 0)) * bits
  if (!Number.isSafeInteger(Math.ceil(filled / 8))) throw broken('safetensors-entry', `tensor ${shown} has a shape beyond 2^53 bytes`)
  if (end < begin || end - begin !== expected) {
    throw broken(
      'safetensors-entry-size',
      `tensor ${shown} (${dtype} [${shape.join(', ')}]) takes ${expected} bytes, its offsets span ${end - begin}`,
    )
  }
  return { dtype, shape: shape as number[], offsetBytes: headerBytes + begin, sizeBytes: expected }
}

/** Tensors have to cover the rest of the file exactly: no overlap, no hole, nothing behind. */
function checkCover(entries: ReadonlyMap<string, AnyEntry>, headerBytes: number, fileSizeBytes: number): void {
  const ordered = [...entries].toSorted(([, a], [, b]) => a.offsetBytes - b.offsetBytes || a.sizeBytes - b.sizeBytes)
  let end = headerBytes
  for (const [name, { offsetBytes, sizeBytes }] of ordered) {
    const shown = JSON.stringify(name.slice(0, 80))
    if (offsetBytes < end) throw broken('safetensors-overlap', `tensor ${shown} begins inside another`)
    if (offsetBytes > end) throw broken('safetensors-hole', `${offsetBytes - end} bytes before tensor ${shown} belong to none`)
    end = offsetBytes + sizeBytes
  }
  if (end > fileSizeBytes) throw broken('safetensors-truncated', `tensors need ${end} bytes, the file has ${fileSizeBytes}`)
  if (end < fileSizeBytes) throw broken('safetensors-trailing', `${fileSizeBytes - end} bytes after the last tensor`)
}

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

/** Bytes (little-endian) as the values of a dtype: a view where the alignment allows it, else a copy (`Buffer.slice` would be no copy). */
export function viewAs<T extends Dtype>(dtype: T, bytes: Uint8Array): DataOf<T> {
  const aligned = bytes.byteOffset % ELEMENT_BYTES[dtype] === 0 ? bytes : new Uint8Array(bytes)
  return new ARRAYS[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.length / ELEMENT_BYTES[dtype]) as DataOf<T>
}

/**
 * Reads a whole file; tensors are views into `bytes` where their alignment allows it.
 * @throws {FormatError} `safetensors-*`, `json-*`
 */
export function parseSafetensors(bytes: Uint8Array, limits: SafetensorsLimits = {}): Safetensors {
  const { entries, leftOut, metadata } = parseSafetensorsHeader(bytes, bytes.length, limits)
  const tensors = new Map<string, Tensor>()
  for (const [name, { dtype, shape, offsetBytes, sizeBytes }] of entries) {
    tensors.set(name, tensor(dtype, shape, viewAs(dtype, bytes.subarray(offsetBytes, offsetBytes + sizeBytes))))
  }
  return { tensors, leftOut, metadata }
}

/** A file's bytes: tensors in the order given, the header padded with spaces to 8 bytes, as the reference writer pads it. */
export function formatSafetensors(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  let end = 0
  const header: Record<string, unknown> = {}
  if (Object.keys(metadata).length > 0) header['__metadata__'] = metadata
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] }
    end += data.byteLength
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = Math.ceil(text.length / 8) * 8
  const bytes = new Uint8Array(LENGTH_BYTES + length + end).fill(0x20, LENGTH_BYTES, LENGTH_BYTES + length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(text, LENGTH_BYTES)
  let offset = LENGTH_BYTES + length
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    offset += data.byteLength
  }
  return bytes
}
