/** ONNX bytes <-> plain values, driven by the table in schema.ts. Payloads are views; unknown fields survive. */
import { FormatError } from '../errors.ts'
import { SCHEMA, type Messages, type ModelProto, type Scalars, type UnknownField } from './schema.ts'
import * as wire from './wire.ts'

/** Messages inside messages; protobuf's own limit. Real models with nested Ifs stay below 40. */
export const MAX_DEPTH = 100
/** Protobuf's limit: no reader takes a larger file. */
export const MAX_MODEL_BYTES: number = 2 ** 31 - 1

type Kind = keyof Messages | keyof Scalars
interface Row {
  readonly key: string
  readonly field: number
  readonly kind: Kind
  readonly repeated: boolean
}
type Value = Readonly<Record<string, unknown>> & { readonly unknown?: readonly UnknownField[] }

const ROWS: Readonly<Record<string, readonly Row[]>> = Object.fromEntries(
  Object.entries(SCHEMA).map(([message, fields]) => [
    message,
    Object.entries(fields as Record<string, readonly [number, Kind, 'repeated'?]>).map(([key, [field, kind, repeated]]) => ({
      key,
      field,
      kind,
      repeated: repeated !== undefined,
    })),
  ]),
)
/** Rows by field number. */
const BY_FIELD: Readonly<Record<string, readonly (Row | undefined)[]>> = Object.fromEntries(
  Object.entries(ROWS).map(([message, rows]) => {
    const table: (Row | undefined)[] = Array.from({ length: 32 })
    for (const row of rows) table[row.field] = row
    return [message, table]
  }),
)

const WIRE_TYPE: Readonly<Record<keyof Scalars, number>> = {
  integer: wire.VARINT,
  int64: wire.VARINT,
  float: wire.FIXED32,
  text: wire.BYTES,
  bytes: wire.BYTES,
}
const READ: { readonly [S in keyof Scalars]: (from: wire.Cursor) => Scalars[S] } = {
  integer: wire.readInteger,
  int64: wire.readInt64,
  float: wire.readFloat,
  text: (from) => wire.readText(wire.readRange(from)),
  bytes: (from) => wire.viewOf(wire.readRange(from)),
}

const isScalar = (kind: Kind): kind is keyof Scalars => kind in WIRE_TYPE
const wireTypeOf = (kind: Kind): number => (isScalar(kind) ? WIRE_TYPE[kind] : wire.BYTES)

/**
 * Reads a model. Tensor payloads and byte strings are views into `bytes`; time and memory grow with the headers only.
 * @throws {FormatError} `onnx-truncated` | `onnx-varint` | `onnx-integer` | `onnx-tag` | `onnx-text` | `onnx-depth` | `onnx-field` | `onnx-empty`
 */
export function parseModel(bytes: Uint8Array): ModelProto {
  const model = parseMessage('ModelProto', wire.cursor(bytes))
  if (model.graph === undefined) {
    throw new FormatError('onnx-empty', `No graph in these ${bytes.length} bytes: this is not an ONNX model.`, {
      facts: { sizeBytes: bytes.length },
    })
  }
  return model
}

/** Reads one message of any kind from a range. */
export function parseMessage<M extends keyof Messages>(message: M, from: wire.Cursor, depth = 0): Messages[M] {
  if (depth > MAX_DEPTH) throw wire.malformed('onnx-depth', from.offset, `messages nest deeper than ${MAX_DEPTH}`)
  const value: Record<string, unknown> = {}
  for (const row of ROWS[message] as readonly Row[]) if (row.repeated) value[row.key] = []
  const table = BY_FIELD[message] as readonly (Row | undefined)[]
  while (from.offset < from.end) {
    const start = from.offset
    const { field, wireType } = wire.readTag(from)
    const row = table[field]
    if (row === undefined) {
      wire.skip(from, wireType)
      const unknown = (value['unknown'] ??= []) as UnknownField[]
      unknown.push({ field, bytes: from.bytes.subarray(start, from.offset) })
    } else readField(value, row, from, start, wireType, depth)
  }
  return value as unknown as Messages[M]
}

function readField(value: Record<string, unknown>, row: Row, from: wire.Cursor, start: number, wireType: number, depth: number): void {
  const { key, kind, repeated } = row
  if (wireType === wireTypeOf(kind)) {
    const item = isScalar(kind) ? READ[kind](from) : parseMessage(kind, wire.readRange(from), depth + 1)
    if (repeated) (value[key] as unknown[]).push(item)
    else if (!isScalar(kind) && value[key] !== undefined) throw wire.malformed('onnx-field', start, `${key} stands twice`)
    else value[key] = item
  } else if (repeated && isScalar(kind) && wireType === wire.BYTES) {
    // Numbers packed into one range: readers must take both forms.
    for (const packed = wire.readRange(from); packed.offset < packed.end;) (value[key] as unknown[]).push(READ[kind](packed))
  } else throw wire.malformed('onnx-field', start, `${key} has wire type ${wireType}`)
}

/**
 * Writes a model: fields in ascending order, unknown ones where their numbers belong, which is protobuf's own order.
 * @throws {FormatError} `onnx-too-large` beyond 2 GiB: give the weights external data.
 */
export function formatModel(model: ModelProto): Uint8Array {
  return formatMessage('ModelProto', model)
}

/** Writes one message of any kind. */
export function formatMessage<M extends keyof Messages>(message: M, value: Messages[M]): Uint8Array {
  const sizes: number[] = []
  const total = measure(message, value as unknown as Value, sizes)
  if (total > MAX_MODEL_BYTES) {
    throw new FormatError(
      'onnx-too-large',
      `The model would take ${total} bytes; a protobuf ends at 2 GiB. Keep its weights in external data.`,
      {
        facts: { sizeBytes: total },
      },
    )
  }
  const to: wire.Sink = { out: new Uint8Array(total), offset: 0 }
  write(message, value as unknown as Value, { sizes, next: 0 }, to)
  return to.out
}

const tagOf = (row: Row): number => ((row.field << 3) | wireTypeOf(row.kind)) >>> 0

const itemsOf = (value: Value, row: Row): readonly unknown[] => {
  const held = value[row.key]
  return held === undefined ? [] : row.repeated ? (held as readonly unknown[]) : [held]
}

const UTF8 = new TextEncoder()

/** UTF-8 bytes of a text; ASCII is its own length. */
function textSize(text: string): number {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return UTF8.encode(text).length
  return text.length
}

/** Size of a message; the sizes of all length-delimited values below go to `sizes` in writing order. */
function measure(message: keyof Messages, value: Value, sizes: number[]): number {
  let total = 0
  for (const { bytes } of value.unknown ?? []) total += bytes.length
  for (const row of ROWS[message] as readonly Row[]) {
    for (const item of itemsOf(value, row)) total += wire.varintSize(tagOf(row)) + measureItem(row.kind, item, sizes)
  }
  return total
}

function measureItem(kind: Kind, item: unknown, sizes: number[]): number {
  if (kind === 'float') return 4
  if (kind === 'integer' || kind === 'int64') return wire.varintSize(item as number | bigint)
  const slot = sizes.push(0) - 1
  const size =
    kind === 'text' ? textSize(item as string) : kind === 'bytes' ? (item as Uint8Array).length : measure(kind, item as Value, sizes)
  sizes[slot] = size
  return wire.varintSize(size) + size
}

interface Sizes {
  readonly sizes: readonly number[]
  next: number
}

function write(message: keyof Messages, value: Value, sizes: Sizes, to: wire.Sink): void {
  const unknown = (value.unknown ?? []).toSorted((a, b) => a.field - b.field)
  let done = 0
  for (const row of ROWS[message] as readonly Row[]) {
    for (; done < unknown.length && (unknown[done] as UnknownField).field < row.field; done++)
      wire.writeBytes(to, (unknown[done] as UnknownField).bytes)
    for (const item of itemsOf(value, row)) {
      wire.writeVarint(to, tagOf(row))
      writeItem(row.kind, item, sizes, to)
    }
  }
  for (; done < unknown.length; done++) wire.writeBytes(to, (unknown[done] as UnknownField).bytes)
}

function writeItem(kind: Kind, item: unknown, sizes: Sizes, to: wire.Sink): void {
  if (kind === 'float') return wire.writeFloat(to, item as number)
  if (kind === 'integer' || kind === 'int64') return wire.writeVarint(to, item as number | bigint)
  const size = sizes.sizes[sizes.next++] as number
  wire.writeVarint(to, size)
  if (kind === 'bytes') wire.writeBytes(to, item as Uint8Array)
  else if (kind === 'text') to.offset += UTF8.encodeInto(item as string, to.out.subarray(to.offset)).written
  else write(kind, item as Value, sizes, to)
}
