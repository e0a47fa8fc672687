/** The paper's own prompts: NumPy `.npy` files, [P, D] (google-research/prompt-tuning; numpy `lib/format.py`, versions 1.0 to 3.0). Pure. */
import { FormatError, UnsupportedError } from '../../src/errors.ts'
import { fromF16 } from '../../src/tensor/half.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

/** numpy's own limit is 10,000; a prompt's header has 118 bytes. */
const MAX_HEADER_BYTES = 4096
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] // \x93NUMPY
/** numpy aligns the data to this. */
const ALIGN_BYTES = 64

/** How the numbers of a file are stored. */
export type NpyDtype = 'F32' | 'F16' | 'F64'
const DTYPES: Readonly<Record<string, NpyDtype>> = { '<f4': 'F32', '<f2': 'F16', '<f8': 'F64' }
const BYTES: Readonly<Record<NpyDtype, number>> = { F32: 4, F16: 2, F64: 8 }

export interface NpyPrompt {
  readonly embeddings: Tensor<'F32'> // [P, D]
  readonly dtype: NpyDtype
}

/** Whether bytes begin as a `.npy` file does. */
export const isNpy = (bytes: Uint8Array): boolean => MAGIC.every((byte, at) => bytes[at] === byte)

const broken = (code: string, problem: string, facts: Record<string, unknown> = {}): FormatError =>
  new FormatError(code, `This is not a sound .npy file: ${problem}. Save it again with numpy.save.`, { facts })

/**
 * Reads a prompt [P, D]; F64 is rounded to F32.
 * @throws {FormatError} `npy-magic` | `npy-truncated` | `npy-header` | `npy-size`
 * @throws {UnsupportedError} `npy-pickle` | `npy-dtype` | `npy-order` | `npy-shape`
 */
export function parseNpy(bytes: Uint8Array): NpyPrompt {
  if (!isNpy(bytes)) throw broken('npy-magic', 'it does not begin with \\x93NUMPY')
  const major = bytes[6] ?? 0
  if (bytes.length < 12) throw broken('npy-truncated', `${bytes.length} bytes`)
  if (major < 1 || major > 3 || bytes[7] !== 0) throw broken('npy-header', `version ${major}.${bytes[7]}, known are 1.0 to 3.0`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [begin, length] = major === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)]
  if (length > MAX_HEADER_BYTES) throw broken('npy-header', `a header of ${length} bytes, at most ${MAX_HEADER_BYTES} are read`)
  if (begin + length > bytes.length) throw broken('npy-truncated', `a header of ${length} bytes in a file of ${bytes.length}`)
  const { dtype, shape } = parseHeader(bytes.subarray(begin, begin + length))
  const [rows, width] = shape
  const data = bytes.subarray(begin + length)
  const expected = rows * width * BYTES[dtype]
  if (data.length !== expected) {
    throw broken('npy-size', `shape (${rows}, ${width}) of ${dtype} takes ${expected} bytes, ${data.length} follow the header`, {
      expected,
      got: data.length,
    })
  }
  return { embeddings: tensor('F32', [rows, width], floatsOf(dtype, data)), dtype }
}

function floatsOf(dtype: NpyDtype, data: Uint8Array): Float32Array {
  const aligned = new Uint8Array(data).buffer // `Buffer.slice` would be no copy
  if (dtype === 'F32') return new Float32Array(aligned)
  return dtype === 'F16' ? Float32Array.from(new Uint16Array(aligned), fromF16) : Float32Array.from(new Float64Array(aligned))
}

/** The header is a Python dictionary of three known keys: matched whole, never evaluated. */
const HEADER = /^\{([^{}]*)\}[ ]*\n?$/
const ITEM = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^'\\]{0,40}'|True|False|\([0-9, ]{0,80}\)|\[[^\]]{0,400}\])\s*(,|$)/y

function parseHeader(header: Uint8Array): { dtype: NpyDtype; shape: readonly [number, number] } {
  const text = String.fromCharCode(...header)
  const inner = HEADER.exec(text)?.[1]
  if (inner === undefined) throw broken('npy-header', `the header is no dictionary: ${JSON.stringify(text.slice(0, 60))}`)
  const items = new Map<string, string>()
  ITEM.lastIndex = 0
  while (inner.slice(ITEM.lastIndex).trim() !== '') {
    const at = ITEM.lastIndex
    const [, key, value] = ITEM.exec(inner) ?? []
    if (key === undefined || value === undefined) throw broken('npy-header', `unexpected ${JSON.stringify(inner.slice(at, at + 60))}`)
    if (items.has(key)) throw broken('npy-header', `${key} stands twice`)
    items.set(key, value)
  }
  const required = (key: string): string => {
    const value = items.get(key)
    if (value === undefined) throw broken('npy-header', `${key} is missing`)
    return value
  }
  return { dtype: dtypeOf(required('descr')), shape: shapeOf(required('shape'), required('fortran_order')) }
}

function dtypeOf(descr: string): NpyDtype {
  const name = descr.slice(1, -1)
  if (/O/.test(name)) {
    throw new UnsupportedError(
      'npy-pickle',
      'This .npy file holds Python objects, that is a pickle, which can run code when it is read. Save the matrix alone: numpy.save(path, prompt.astype("float32")).',
    )
  }
  const dtype = Object.hasOwn(DTYPES, name) ? DTYPES[name] : undefined
  if (dtype === undefined) {
    throw new UnsupportedError(
      'npy-dtype',
      `This .npy file holds ${descr.slice(0, 40)}; read are ${Object.keys(DTYPES).join(', ')}. Convert it: prompt.astype("<f4").`,
      { facts: { descr: name } },
    )
  }
  return dtype
}

function shapeOf(text: string, order: string): readonly [number, number] {
  if (order !== 'False' && order !== 'True') throw broken('npy-header', `fortran_order is ${order.slice(0, 40)}`)
  if (order === 'True') {
    throw new UnsupportedError(
      'npy-order',
      'This .npy file is in Fortran order. Save it with numpy.save(path, numpy.ascontiguousarray(prompt)).',
    )
  }
  const shape = /^\(\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,?\s*\)$/.exec(text)
  const [rows, width] = [Number(shape?.[1] ?? 0), Number(shape?.[2] ?? 0)]
  if (rows === 0 || width === 0) {
    throw new UnsupportedError('npy-shape', `A prompt is a filled matrix [P, D], this .npy file has the shape ${text.slice(0, 80)}.`)
  }
  return [rows, width]
}

/** The bytes that numpy.save writes for a float32 matrix. */
export function formatNpy({ shape, data }: Tensor<'F32'>): Uint8Array {
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`
  const unpadded = 10 + dictionary.length + 1
  const header = `${dictionary}${' '.repeat(Math.ceil(unpadded / ALIGN_BYTES) * ALIGN_BYTES - unpadded)}\n`
  const bytes = new Uint8Array(10 + header.length + data.byteLength)
  bytes.set(MAGIC)
  bytes[6] = 1
  new DataView(bytes.buffer).setUint16(8, header.length, true)
  bytes.set(new TextEncoder().encode(header), 10)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length)
  return bytes
}
