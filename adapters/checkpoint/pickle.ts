/**
 * A restricted reader of the pickles that `torch.save(state_dict)` writes: the few opcodes and the few globals that a dict of tensors uses, as data. Nothing named in the
 * file is ever called. Source: CPython `pickletools.py` (protocols 2 to 4), PyTorch `serialization.py` and `_utils._rebuild_tensor_v2`.
 */
import { FormatError, UnsupportedError } from '../../src/errors.ts'
import type { Dtype } from '../../src/tensor/tensor.ts'

/** A tensor as the pickle describes it: a view of a storage. */
export interface TorchTensor {
  /** Name of the storage's member in the zip, under `data/`. */
  readonly storage: string
  readonly dtype: Dtype
  readonly storageElements: number
  /** First element, and elements between neighbours along each axis. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

type Global = { readonly global: string }
type Storage = { readonly storage: string; readonly dtype: Dtype; readonly elements: number }
type Value = null | boolean | number | string | Value[] | Map<Value, Value> | Global | Storage | { readonly tensor: TorchTensor }

const STORAGES: Readonly<Record<string, Dtype>> = {
  'torch FloatStorage': 'F32',
  'torch HalfStorage': 'F16',
  'torch BFloat16Storage': 'BF16',
  'torch DoubleStorage': 'F64',
  'torch LongStorage': 'I64',
  'torch IntStorage': 'I32',
  'torch CharStorage': 'I8',
  'torch ByteStorage': 'U8',
  'torch BoolStorage': 'BOOL',
}
const ORDERED_DICT = 'collections OrderedDict'
const REBUILD_TENSOR = 'torch._utils _rebuild_tensor_v2'
const REBUILD_PARAMETER = 'torch._utils _rebuild_parameter'
const ALLOWED = new Set([ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, ...Object.keys(STORAGES)])

const isGlobal = (value: Value | undefined): value is Global => typeof value === 'object' && value !== null && 'global' in value
const isStorage = (value: Value | undefined): value is Storage => typeof value === 'object' && value !== null && 'elements' in value
const isCount = (value: Value | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isCounts = (value: Value | undefined): value is number[] => Array.isArray(value) && value.every(isCount)

/**
 * Reads the tensors of a state dict.
 * @throws {UnsupportedError} `torch-pickle-global` for anything but tensors, named, never run
 * @throws {FormatError} `torch-pickle` for bytes that are no such pickle
 */
export function parseStateDict(bytes: Uint8Array, name: string): Map<string, TorchTensor> {
  const value = run(bytes, name)
  if (!(value instanceof Map)) throw broken(name, 'it holds no dict')
  const tensors = new Map<string, TorchTensor>()
  for (const [key, item] of value) {
    if (typeof key === 'string' && typeof item === 'object' && item !== null && 'tensor' in item) tensors.set(key, item.tensor)
  }
  return tensors
}

const broken = (name: string, what: string): FormatError =>
  new FormatError('torch-pickle', `${name} is not a sound PyTorch checkpoint: ${what}. Download it again, or save it as safetensors.`)

/** The stack machine. Marks are kept beside the stack. */
function run(bytes: Uint8Array, name: string): Value {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stack: Value[] = []
  const marks: number[] = []
  const memo = new Map<number, Value>()
  let at = 0

  const need = (count: number): number => {
    const from = at
    if (count < 0 || from + count > bytes.length) throw broken(name, `it is cut off at byte ${from}`)
    at += count
    return from
  }
  const u8 = (): number => view.getUint8(need(1))
  const u32 = (): number => view.getUint32(need(4), true)
  const text = (length: number): string => new TextDecoder().decode(bytes.subarray(need(length), at))
  const line = (): string => {
    const end = bytes.indexOf(0x0a, at)
    const part = text(end - at)
    at++
    return part
  }
  const pop = (): Value => {
    if (stack.length <= (marks.at(-1) ?? 0)) throw broken(name, `its stack is empty at byte ${at}`)
    return stack.pop() as Value
  }
  const popMark = (): Value[] => {
    const mark = marks.pop()
    if (mark === undefined) throw broken(name, `a mark is missing at byte ${at}`)
    return stack.splice(mark)
  }
  const recall = (key: number): Value => {
    if (!memo.has(key)) throw broken(name, `entry ${key} is not there at byte ${at}`)
    return memo.get(key) as Value
  }
  const keep = (key: number): void => void memo.set(key, stack.at(-1) ?? null)
  const setItems = (items: Value[]): void => {
    const target = stack.at(-1)
    if (!(target instanceof Map) || items.length % 2 === 1) throw broken(name, `items without a dict at byte ${at}`)
    for (let index = 0; index < items.length; index += 2) target.set(items[index] as Value, items[index + 1] as Value)
  }
  const append = (items: Value[]): void => {
    const target = stack.at(-1)
    if (!Array.isArray(target)) throw broken(name, `items without a list at byte ${at}`)
    for (const item of items) target.push(item)
  }
  const named = (module: string, attribute: string): Global => {
    const global = `${module} ${attribute}`
    if (ALLOWED.has(global)) return { global }
    throw new UnsupportedError(
      'torch-pickle-global',
      `${name} names ${module}.${attribute}, which is no part of a dict of tensors. It was not run. Use a checkpoint saved as safetensors.`,
      { facts: { module, attribute } },
    )
  }
  const tuple = (count: number): void => {
    const items = Array.from({ length: count }, pop).toReversed()
    stack.push(items)
  }

  for (;;) {
    const opcode = u8()
    switch (opcode) {
      case 0x80: // PROTO
        if (u8() > 5) throw broken(name, 'its protocol is unknown')
        break
      case 0x95: // FRAME
        need(8)
        break
      case 0x2e: // STOP
        return pop()
      case 0x28: // MARK
        marks.push(stack.length)
        break
      case 0x7d: // EMPTY_DICT
        stack.push(new Map())
        break
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([])
        break
      case 0x74: // TUPLE
        stack.push(popMark())
        break
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        tuple(opcode - 0x84)
        break
      case 0x4e: // NONE
        stack.push(null)
        break
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        stack.push(opcode === 0x88)
        break
      case 0x4b: // BININT1
        stack.push(u8())
        break
      case 0x4d: // BININT2
        stack.push(view.getUint16(need(2), true))
        break
      case 0x4a: // BININT
        stack.push(view.getInt32(need(4), true))
        break
      case 0x8a: // LONG1
        stack.push(long(bytes.subarray(need(u8()), at)))
        break
      case 0x47: // BINFLOAT
        stack.push(view.getFloat64(need(8)))
        break
      case 0x58: // BINUNICODE
        stack.push(text(u32()))
        break
      case 0x8c: // SHORT_BINUNICODE
        stack.push(text(u8()))
        break
      case 0x71: // BINPUT
        keep(u8())
        break
      case 0x72: // LONG_BINPUT
        keep(u32())
        break
      case 0x94: // MEMOIZE
        keep(memo.size)
        break
      case 0x68: // BINGET
        stack.push(recall(u8()))
        break
      case 0x6a: // LONG_BINGET
        stack.push(recall(u32()))
        break
      case 0x63: // GLOBAL
        stack.push(named(line(), line()))
        break
      case 0x93: {
        // STACK_GLOBAL
        const attribute = pop()
        stack.push(named(String(pop()), String(attribute)))
        break
      }
      case 0x73: {
        // SETITEM
        const value = pop()
        const key = pop()
        setItems([key, value])
        break
      }
      case 0x75: // SETITEMS
        setItems(popMark())
        break
      case 0x61: // APPEND
        append([pop()])
        break
      case 0x65: // APPENDS
        append(popMark())
        break
      case 0x51: // BINPERSID
        stack.push(storageOf(pop(), name))
        break
      case 0x52: {
        // REDUCE
        const given = pop()
        stack.push(rebuild(pop(), given, name))
        break
      }
      case 0x62: // BUILD: an OrderedDict's `_metadata`
        pop()
        break
      default:
        throw broken(name, `opcode 0x${opcode.toString(16)} at byte ${at - 1} is no part of a dict of tensors`)
    }
  }
}

/** A little-endian two's complement number; past 2^53 it is no size of anything. */
function long(digits: Uint8Array): number {
  let value = 0n
  for (const [index, digit] of digits.entries()) value |= BigInt(digit) << BigInt(8 * index)
  return Number(BigInt.asIntN(8 * digits.length, value))
}

/** `('storage', type, key, location, elements)` */
function storageOf(id: Value, name: string): Storage {
  const [kind, type, key, , elements] = Array.isArray(id) ? id : []
  const dtype = isGlobal(type) ? STORAGES[type.global] : undefined
  if (kind !== 'storage' || dtype === undefined || typeof key !== 'string' || !/^\d+$/.test(key) || !isCount(elements)) {
    throw broken(name, 'a storage is not described as PyTorch does')
  }
  return { storage: key, dtype, elements }
}

/** What the three functions of a state dict would return. */
function rebuild(callee: Value, given: Value, name: string): Value {
  const values = Array.isArray(given) ? given : []
  const global = isGlobal(callee) ? callee.global : ''
  if (global === ORDERED_DICT) return new Map()
  if (global === REBUILD_PARAMETER) return values[0] ?? null
  const [storage, offset, shape, strides] = values
  if (global !== REBUILD_TENSOR || !isStorage(storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) {
    throw broken(name, 'a tensor is not described as PyTorch does')
  }
  return { tensor: { storage: storage.storage, dtype: storage.dtype, storageElements: storage.elements, offset, shape, strides } }
}
