/** `.onnx_adapter`, ONNX Runtime's adapter file: FlatBuffers, `adapter_schema.fbs` of onnxruntime 1.30 (`core/session/lora_adapters`), written by hand. */
import { UnsupportedError } from '../../src/errors.ts'
import { ROWS_INPUT } from '../../src/onnx/surgery.ts'
import { DATA_TYPE } from '../../src/onnx/schema.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { Dtype, Tensor } from '../../src/tensor/tensor.ts'

/** The file identifier, at byte 4. */
const IDENTIFIER = 'TORT'
const FORMAT_VERSION = 1

/** TensorDataType of the schema: ONNX's own numbers. */
const DATA_TYPES: Readonly<Partial<Record<Dtype, number>>> = { F32: DATA_TYPE.FLOAT, F16: DATA_TYPE.FLOAT16, BF16: DATA_TYPE.BFLOAT16 }

export interface OnnxAdapterOptions {
  /** The graph input that the rows are for. */
  readonly input?: string
  /** Versions that the file carries for the app's own use. */
  readonly adapterVersion?: number
  readonly modelVersion?: number
}

/**
 * A prompt as the bytes of an adapter file with one parameter [P, D].
 * For runtimes with an adapter API (Python, C++, C#): onnxruntime-node has none.
 */
export function formatOnnxAdapter(prompt: SoftPrompt, options: OnnxAdapterOptions = {}): Uint8Array {
  return formatAdapter(new Map([[options.input ?? ROWS_INPUT, prompt.embeddings]]), options)
}

/** Bytes growing by parts, each at its alignment; offsets are filled in when their targets are known. */
class Layout {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = []
  size = 0

  /** Appends bytes so that byte `lead` of them lies on a multiple of `align`; returns where they begin. */
  add(bytes: Uint8Array, align: number, lead = 0): number {
    const at = Math.ceil((this.size + lead) / align) * align - lead
    this.#parts.push({ at, bytes })
    this.size = at + bytes.length
    return at
  }

  finish(): Uint8Array {
    const out = new Uint8Array(Math.ceil(this.size / 8) * 8)
    for (const { at, bytes } of this.#parts) out.set(bytes, at)
    return out
  }
}

const u32 = (...values: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(4 * values.length)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) view.setUint32(4 * index, value, true)
  return bytes
}

/** A vtable of four 4-byte fields behind the table's own 4 bytes: both tables of this schema look so. */
const VTABLE = Uint8Array.of(12, 0, 20, 0, 4, 0, 8, 0, 12, 0, 16, 0)
const TABLE_BYTES = 20

interface Patch {
  readonly table: Uint8Array
  readonly at: number
}

/** Points a field of a table at a place behind it: offsets count from the field itself. */
function point({ table, at }: Patch, field: number, target: number): void {
  new DataView(table.buffer).setUint32(field, target - (at + field), true)
}

/** An adapter file of named tensors. @throws {UnsupportedError} `onnx-adapter-dtype` */
export function formatAdapter(parameters: ReadonlyMap<string, Tensor>, options: Omit<OnnxAdapterOptions, 'input'> = {}): Uint8Array {
  const out = new Layout()
  const head = u32(0, 0)
  for (const [index, letter] of [...IDENTIFIER].entries()) head[4 + index] = letter.charCodeAt(0)
  out.add(head, 4)
  // A table's first field counts back to its vtable, which lies right before it.
  out.add(VTABLE, 4)
  const adapter = u32(VTABLE.length, FORMAT_VERSION, options.adapterVersion ?? 1, options.modelVersion ?? 1, 0)
  const root = { table: adapter, at: out.add(adapter, 4) }
  new DataView(head.buffer).setUint32(0, root.at, true)

  const list = u32(parameters.size, ...[...parameters].map(() => 0))
  const listed = { table: list, at: out.add(list, 4) }
  point(root, 16, listed.at)
  let slot = 4
  for (const [name, tensor] of parameters) {
    point(listed, slot, addParameter(out, name, tensor))
    slot += 4
  }
  return out.finish()
}

/** Adds name, dims, data type and bytes of one tensor; returns where its table is. */
function addParameter(out: Layout, name: string, { dtype, shape, data }: Tensor): number {
  const dataType = DATA_TYPES[dtype]
  if (dataType === undefined) throw new UnsupportedError('onnx-adapter-dtype', `An adapter file takes F32, F16 or BF16 here, got ${dtype}.`)
  out.add(VTABLE, 4)
  const table = new Uint8Array(TABLE_BYTES)
  table.set(u32(VTABLE.length, 0, 0, dataType, 0))
  const patch = { table, at: out.add(table, 4) }
  const text = new TextEncoder().encode(name)
  point(patch, 4, out.add(concat(u32(text.length), text, Uint8Array.of(0)), 4))
  const dims = new Uint8Array(BigInt64Array.from(shape, BigInt).buffer)
  point(patch, 8, out.add(concat(u32(shape.length), dims), 8, 4))
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  point(patch, 16, out.add(concat(u32(raw.length), raw), 8, 4))
  return patch.at
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
