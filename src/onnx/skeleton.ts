/** Reads an ONNX file without its payloads: large raw_data fields become external data that points into the file itself. */
import { FormatError } from '../errors.ts'
import { parseMessage } from './model.ts'
import { SCHEMA, type GraphProto, type ModelProto, type TensorProto } from './schema.ts'
import { withExternalData } from './tensors.ts'
import * as wire from './wire.ts'

/** Bytes that are read in parts: a file, a Blob, an array. */
export interface ByteSource {
  readonly sizeBytes: number
  /** Exactly `length` bytes from `offset`. */
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>
}

/** Payloads up to this size stay inside: shapes, scales and axes, which runtimes want at hand. It is onnxruntime's own limit. */
export const INLINE_BYTES = 1024
/** Everything but payloads, at most: the headers of the largest T5 encoders take 4 MB. */
export const MAX_HEADER_BYTES: number = 256 * 2 ** 20
const WINDOW_BYTES = 64 * 2 ** 10

const [GRAPH] = SCHEMA.ModelProto.graph
const [INITIALIZER] = SCHEMA.GraphProto.initializers
const [RAW_DATA] = SCHEMA.TensorProto.rawData

/**
 * Reads a model's headers; raw data larger than INLINE_BYTES is given as external data of `location`, never read.
 * @throws {FormatError} the codes of `parseModel`, and `onnx-header-size` where the model is nearly all header.
 */
export async function readSkeleton(source: ByteSource, location: string): Promise<ModelProto> {
  const window = new Window(source)
  const model: Uint8Array[] = []
  let graph: GraphProto | undefined
  await eachField(window, 0, source.sizeBytes, async (field, start, body, end) => {
    if (field !== GRAPH) model.push(await window.take(start, end - start))
    else if (graph === undefined) graph = await readGraph(window, body, end, location)
    else throw wire.malformed('onnx-field', start, 'graph stands twice')
  })
  if (graph === undefined) {
    throw new FormatError('onnx-empty', `No graph in these ${source.sizeBytes} bytes: this is not an ONNX model.`, {
      facts: { sizeBytes: source.sizeBytes },
    })
  }
  return { ...parseMessage('ModelProto', wire.cursor(concat(model))), graph }
}

async function readGraph(window: Window, start: number, end: number, location: string): Promise<GraphProto> {
  const rest: Uint8Array[] = []
  const initializers: TensorProto[] = []
  await eachField(window, start, end, async (field, at, body, next) => {
    if (field === INITIALIZER) initializers.push(await readTensor(window, body, next, location))
    else rest.push(await window.take(at, next - at))
  })
  return { ...parseMessage('GraphProto', wire.cursor(concat(rest)), 1), initializers }
}

async function readTensor(window: Window, start: number, end: number, location: string): Promise<TensorProto> {
  if (end - start <= INLINE_BYTES) return parseMessage('TensorProto', wire.cursor(await window.take(start, end - start)), 2)
  const rest: Uint8Array[] = []
  let payload: { offset: number; length: number } | undefined
  await eachField(window, start, end, async (field, at, body, next) => {
    if (field === RAW_DATA && next - body > INLINE_BYTES) payload = { offset: body, length: next - body }
    else rest.push(await window.take(at, next - at))
  })
  const tensor = parseMessage('TensorProto', wire.cursor(concat(rest)), 2)
  return payload === undefined ? tensor : withExternalData(tensor, { location, ...payload })
}

/** Calls back with each field of a message: its number, where its tag, its body and the next field start. */
async function eachField(
  window: Window,
  start: number,
  end: number,
  visit: (field: number, start: number, body: number, next: number) => Promise<void>,
): Promise<void> {
  for (let at = start; at < end;) {
    // A tag and a length take at most 20 bytes, a fixed or varint value fewer.
    const head = wire.cursor(await window.peek(at, Math.min(2 * wire.MAX_VARINT_BYTES, end - at)))
    const { field, wireType } = wire.readTag(head)
    let body = at + head.offset
    let next: number
    if (wireType === wire.BYTES) {
      const length = wire.readInteger(head)
      body = at + head.offset
      next = body + length
      if (length < 0 || next > end)
        throw wire.malformed('onnx-truncated', at, `a field of ${length} bytes does not fit in the ${end - body} left`)
    } else {
      wire.skip(head, wireType)
      next = at + head.offset
    }
    await visit(field, at, body, next)
    at = next
  }
}

/** A source read through one buffer, so that thousands of small fields cost few reads. */
class Window {
  readonly #source: ByteSource
  #offset = 0
  #bytes: Uint8Array = new Uint8Array()
  #taken = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  async peek(offset: number, length: number): Promise<Uint8Array> {
    if (offset < this.#offset || offset + length > this.#offset + this.#bytes.length) {
      this.#bytes = await this.#source.read(offset, Math.min(Math.max(length, WINDOW_BYTES), this.#source.sizeBytes - offset))
      this.#offset = offset
    }
    return this.#bytes.subarray(offset - this.#offset, offset - this.#offset + length)
  }

  /** The same, counted against the header limit. */
  async take(offset: number, length: number): Promise<Uint8Array> {
    this.#taken += length
    if (this.#taken > MAX_HEADER_BYTES) {
      throw new FormatError(
        'onnx-header-size',
        `This ONNX file has more than ${MAX_HEADER_BYTES} bytes beside raw tensor data. Export it with raw or external data.`,
      )
    }
    return this.peek(offset, length)
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}
