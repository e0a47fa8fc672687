/**
 * `pytorch_model.bin` as weights in place: a zip whose members are stored, not compressed, so that each tensor is a range of the file. Source: PKWARE APPNOTE 6.3
 * (zip and zip64 records), PyTorch `serialization.py`.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { FormatError, UnsupportedError } from '../../src/errors.ts'
import { ELEMENT_BYTES, sizeOf } from '../../src/tensor/tensor.ts'
import type { WeightRef } from '../../src/tensor/weights.ts'
import { parseStateDict, type TorchTensor } from './pickle.ts'

/** The pickle of T5-XXL has 60 kB; members are a few a tensor. */
const MAX_PICKLE_BYTES = 64 << 20
const MAX_DIRECTORY_BYTES = 64 << 20
/** End record and its longest comment. */
const END_BYTES = 22
const MAX_COMMENT_BYTES = 65_535

interface Member {
  readonly name: string
  readonly method: number
  readonly sizeBytes: number
  readonly headerOffset: number
}

const broken = (path: string, what: string): FormatError =>
  new FormatError('torch-zip', `${path} is not a sound PyTorch checkpoint: ${what}. Download it again.`)

async function read(file: FileHandle, path: string, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length)
  const { bytesRead } = await file.read(bytes, 0, length, offset)
  if (bytesRead < length) throw broken(path, `it ends before byte ${offset + length}`)
  return new DataView(bytes.buffer)
}

const u64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))
const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

/** Where the central directory lies: from the end record, or the zip64 one where its fields are full. */
async function findDirectory(file: FileHandle, path: string, fileBytes: number): Promise<{ offset: number; length: number }> {
  const tailBytes = Math.min(fileBytes, END_BYTES + MAX_COMMENT_BYTES)
  const tail = await read(file, path, fileBytes - tailBytes, tailBytes)
  for (let at = tailBytes - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== 0x06054b50) continue
    const [length, offset] = [tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)]
    const locator = at - 20
    if (locator < 0 || tail.getUint32(locator, true) !== 0x07064b50) return { offset, length }
    const end = await read(file, path, u64(tail, locator + 8), 56)
    if (end.getUint32(0, true) !== 0x06064b50) throw broken(path, 'its zip64 end record is missing')
    return { offset: u64(end, 48), length: u64(end, 40) }
  }
  throw new UnsupportedError(
    'torch-legacy',
    `${path} is no zip: PyTorch before 1.6 wrote it, or it is damaged. Save it as safetensors (model.save_pretrained in Python), or take another revision.`,
  )
}

function parseDirectory(view: DataView, path: string): Member[] {
  const members: Member[] = []
  for (let at = 0; at + 46 <= view.byteLength && view.getUint32(at, true) === 0x02014b50;) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number]
    const next = at + 46 + nameBytes + extraBytes + commentBytes
    if (next > view.byteLength) throw broken(path, 'its directory is cut off')
    let sizeBytes = view.getUint32(at + 24, true)
    let headerOffset = view.getUint32(at + 42, true)
    const compressed = view.getUint32(at + 20, true)
    // Fields that are full stand in the zip64 extra field, in this order.
    for (let extra = at + 46 + nameBytes; extra + 4 <= next - commentBytes; extra += 4 + view.getUint16(extra + 2, true)) {
      if (view.getUint16(extra, true) !== 1) continue
      let field = extra + 4
      const take = (): number => {
        if (field + 8 > next) throw broken(path, 'a zip64 field is cut off')
        field += 8
        return u64(view, field - 8)
      }
      if (sizeBytes === 0xffffffff) sizeBytes = take()
      if (compressed === 0xffffffff) take()
      if (headerOffset === 0xffffffff) headerOffset = take()
    }
    const name = new TextDecoder().decode(bytesOf(view).subarray(at + 46, at + 46 + nameBytes))
    members.push({ name, method: view.getUint16(at + 10, true), sizeBytes, headerOffset })
    at = next
  }
  return members
}

/**
 * The tensors of a `pytorch_model.bin` by name; reads the directory, the pickle and one header a storage.
 * @throws {FormatError} `torch-zip` | `torch-pickle`
 * @throws {UnsupportedError} `torch-legacy` | `torch-compressed` | `torch-byteorder` | `torch-strides` | `torch-pickle-global`
 */
export async function readTorchZip(path: string): Promise<Map<string, WeightRef>> {
  const file = await open(path)
  try {
    const { size: fileBytes } = await file.stat()
    if (fileBytes < END_BYTES) throw broken(path, 'it is empty')
    const { offset, length } = await findDirectory(file, path, fileBytes)
    if (length > MAX_DIRECTORY_BYTES || offset + length > fileBytes) throw broken(path, 'its directory lies outside it')
    const members = parseDirectory(await read(file, path, offset, length), path)
    const pickle = members.find(({ name }) => /^[^/]+\/data\.pkl$/.test(name))
    if (!pickle) throw broken(path, 'it has no data.pkl')
    const root = pickle.name.slice(0, -'data.pkl'.length)
    const byName = new Map(members.map((member) => [member.name, member]))

    const startOf = async ({ name, method, sizeBytes, headerOffset }: Member): Promise<number> => {
      if (method !== 0)
        throw new UnsupportedError('torch-compressed', `${path} holds ${name} compressed; PyTorch stores it plainly. Save it again.`)
      const header = await read(file, path, headerOffset, 30)
      if (header.getUint32(0, true) !== 0x04034b50) throw broken(path, `${name} has no header`)
      const start = headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true)
      if (start + sizeBytes > fileBytes) throw broken(path, `${name} lies outside it`)
      return start
    }
    const contents = async (member: Member, most: number): Promise<Uint8Array> => {
      if (member.sizeBytes > most) throw broken(path, `${member.name} has ${member.sizeBytes} bytes`)
      return bytesOf(await read(file, path, await startOf(member), member.sizeBytes))
    }
    const order = byName.get(`${root}byteorder`)
    if (order && new TextDecoder().decode(await contents(order, 16)).trim() !== 'little') {
      throw new UnsupportedError('torch-byteorder', `${path} was saved on a big-endian machine. Save it as safetensors.`)
    }
    const tensors = parseStateDict(await contents(pickle, MAX_PICKLE_BYTES), path)
    const starts = new Map<string, number>()
    const weights = new Map<string, WeightRef>()
    for (const [name, tensor] of tensors) {
      const member = byName.get(`${root}data/${tensor.storage}`)
      if (!member) throw broken(path, `the storage of ${name} is missing`)
      const start = starts.get(member.name) ?? (await startOf(member))
      starts.set(member.name, start)
      weights.set(name, refOf(path, name, tensor, member, start))
    }
    return weights
  } finally {
    await file.close()
  }
}

function refOf(path: string, name: string, tensor: TorchTensor, { sizeBytes: storageBytes }: Member, start: number): WeightRef {
  const { dtype, shape, strides, offset, storageElements } = tensor
  const element = ELEMENT_BYTES[dtype]
  const sizeBytes = sizeOf(shape) * element
  const offsetBytes = offset * element
  if (storageElements * element !== storageBytes || offsetBytes + sizeBytes > storageBytes)
    throw broken(path, `${name} lies outside its storage`)
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    // An axis of one element may have any stride.
    if (shape[axis] !== 1 && strides[axis] !== expected) {
      throw new UnsupportedError(
        'torch-strides',
        `${path} stores ${name} transposed or strided; it cannot be used in place. Save it as safetensors.`,
        {
          facts: { name, shape, strides },
        },
      )
    }
    expected *= shape[axis] as number
  }
  return { dtype, shape, source: path, offsetBytes: start + offsetBytes, sizeBytes }
}
