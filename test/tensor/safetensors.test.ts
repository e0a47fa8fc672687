/** One named test for each way a safetensors file can lie (the format's own attack list, and what the reference reader 0.8.0 lets pass). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatSafetensors, parseSafetensors, parseSafetensorsHeader } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

/** A file with this header text and this many tensor bytes. */
function fileOf(header: string | Uint8Array, dataBytes: number, length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

const f32 = (begin: number, end: number, shape: readonly number[] = [(end - begin) / 4]): string =>
  `{"dtype":"F32","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`

describe('safetensors', () => {
  it('reads every file of the fixtures and writes PEFT files back byte for byte', () => {
    for (const name of ['prompt_tuning', 'multitask', 'p_tuning_mlp', 'cpt']) {
      const bytes = readFileSync(join(import.meta.dirname, '../fixtures/peft', name, 'adapter_model.safetensors'))
      const { tensors, metadata } = parseSafetensors(bytes)
      expect(metadata).toEqual({ format: 'pt' })
      expect(Buffer.from(formatSafetensors(tensors, metadata)).equals(bytes)).toBe(true)
    }
  })

  it('every dtype comes back', () => {
    const tensors = new Map<string, Tensor>([
      ['f64', tensor('F64', [2], new Float64Array([1.5, -2]))],
      ['i64', tensor('I64', [1], new BigInt64Array([-5n]))],
      ['f32', tensor('F32', [1, 2], new Float32Array([1, 2]))],
      ['i32', tensor('I32', [1], new Int32Array([-7]))],
      ['f16', tensor('F16', [3], new Uint16Array([1, 2, 3]))],
      ['bf16', tensor('BF16', [1], new Uint16Array([9]))],
      ['i8', tensor('I8', [1], new Int8Array([-1]))],
      ['u8', tensor('U8', [1], new Uint8Array([255]))],
      ['bool', tensor('BOOL', [], new Uint8Array([1]))],
      ['empty', tensor('F32', [0, 4], new Float32Array(0))],
    ])
    expect(parseSafetensors(formatSafetensors(tensors)).tensors).toEqual(tensors)
  })

  it('reads a file at an odd offset of a larger buffer', () => {
    const bytes = formatSafetensors(new Map([['a', tensor('F32', [2], new Float32Array([3, 4]))]]))
    const shifted = new Uint8Array(bytes.length + 3)
    shifted.set(bytes, 3)
    expect(parseSafetensors(shifted.subarray(3)).tensors.get('a')?.data).toEqual(new Float32Array([3, 4]))
  })

  it('reads the header alone where the tensors lie elsewhere', () => {
    const bytes = fileOf(`{"a":${f32(0, 8)}}`, 0)
    const { entries } = parseSafetensorsHeader(bytes, bytes.length + 8)
    expect(entries.get('a')).toEqual({ dtype: 'F32', shape: [2], offsetBytes: bytes.length, sizeBytes: 8 })
  })
})

/** Name, file, code. */
const ATTACKS: readonly (readonly [string, Uint8Array, string])[] = [
  ['an empty file', new Uint8Array(0), 'safetensors-truncated'],
  ['a file of seven bytes', new Uint8Array(7), 'safetensors-truncated'],
  ['a header longer than the file', fileOf('{}', 0, 1000n), 'safetensors-truncated'],
  ['a header of more than 100 MB', fileOf('{}', 0, 100_000_001n), 'safetensors-header-size'],
  ['a header length of 2^64 - 1', fileOf('{}', 0, 0xffff_ffff_ffff_ffffn), 'safetensors-header-size'],
  ['a header of length zero', fileOf('', 4), 'safetensors-header-start'],
  ['a header that begins with a space', fileOf(` {"a":${f32(0, 4)}}`, 4), 'safetensors-header-start'],
  ['a header that begins with a byte order mark', fileOf(`\ufeff{"a":${f32(0, 4)}}`, 4), 'safetensors-header-start'],
  ['a header that is an array', fileOf('[]', 0), 'safetensors-header-start'],
  ['a header that is not UTF-8', fileOf(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0), 'safetensors-text'],
  ['a header cut in the middle', fileOf(`{"a":${f32(0, 4)}`, 4), 'json-syntax'],
  ['something behind the header object', fileOf(`{"a":${f32(0, 4)}}x`, 4), 'json-syntax'],
  ['a header with NUL padding', fileOf(`{"a":${f32(0, 4)}}\0\0`, 4), 'json-syntax'],
  ['a tensor named twice', fileOf(`{"a":${f32(0, 4)},"a":${f32(4, 8)}}`, 8), 'json-duplicate-key'],
  ['a tensor named twice, once escaped', fileOf(`{"a":${f32(0, 4)},"\\u0061":${f32(4, 8)}}`, 8), 'json-duplicate-key'],
  [
    'two data_offsets of one tensor',
    fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[4,8]}}', 8),
    'json-duplicate-key',
  ],
  ['a tensor named __proto__', fileOf(`{"__proto__":${f32(0, 4)}}`, 4), 'json-forbidden-key'],
  ['a header nested without end', fileOf(`{"a":${'['.repeat(100_000)}`, 0), 'json-depth'],
  ['an entry with an unknown field', fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4), 'safetensors-entry'],
  ['an entry that is no object', fileOf('{"a":[]}', 0), 'safetensors-entry'],
  ['an entry without a shape', fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), 'safetensors-entry'],
  ['an unknown dtype', fileOf('{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}', 4), 'safetensors-entry'],
  ['a dtype from the prototype of objects', fileOf('{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,4]}}', 4), 'safetensors-entry'],
  [
    'a dtype of the format that is not read here, with what to do',
    fileOf('{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', 4),
    'safetensors-dtype',
  ],
  ['a negative axis', fileOf(`{"a":${f32(0, 4, [-1])}}`, 4), 'safetensors-entry'],
  ['a fraction of an axis', fileOf(`{"a":${f32(0, 4, [0.5])}}`, 4), 'safetensors-entry'],
  ['an axis beyond 2^53', fileOf('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4), 'safetensors-entry'],
  ['a shape whose product overflows', fileOf(`{"a":${f32(0, 4, [4294967296, 4294967296])}}`, 4), 'safetensors-entry'],
  [
    'a shape whose product overflows and then meets zero',
    fileOf(`{"a":${f32(0, 0, [...Array.from({ length: 7 }, () => 9e15), 0])}}`, 0),
    'safetensors-entry',
  ],
  [
    'a shape of a thousand axes',
    fileOf(
      `{"a":${f32(
        0,
        4,
        Array.from({ length: 1000 }, () => 1),
      )}}`,
      4,
    ),
    'safetensors-entry',
  ],
  ['negative offsets', fileOf(`{"a":${f32(-4, 0, [1])}}`, 4), 'safetensors-entry'],
  ['offsets the wrong way round', fileOf(`{"a":${f32(4, 0, [1])}}`, 4), 'safetensors-entry-size'],
  ['one offset', fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4), 'safetensors-entry'],
  ['offsets past the end', fileOf(`{"a":${f32(0, 8)}}`, 4), 'safetensors-truncated'],
  ['a span that is not shape times dtype', fileOf(`{"a":${f32(0, 8, [1])}}`, 8), 'safetensors-entry-size'],
  ['tensors that overlap', fileOf(`{"a":${f32(0, 8)},"b":${f32(4, 12)}}`, 12), 'safetensors-overlap'],
  ['two tensors on the same bytes', fileOf(`{"a":${f32(0, 4)},"b":${f32(0, 4)}}`, 4), 'safetensors-overlap'],
  ['a hole between tensors', fileOf(`{"a":${f32(0, 4)},"b":${f32(8, 12)}}`, 12), 'safetensors-hole'],
  ['a hole before the first tensor', fileOf(`{"a":${f32(4, 8)}}`, 8), 'safetensors-hole'],
  ['bytes behind the last tensor', fileOf(`{"a":${f32(0, 4)}}`, 5), 'safetensors-trailing'],
  ['bytes and no tensor at all', fileOf('{}', 4), 'safetensors-trailing'],
  ['metadata that is no object', fileOf('{"__metadata__":[]}', 0), 'safetensors-metadata'],
  ['metadata with a number', fileOf('{"__metadata__":{"a":1}}', 0), 'safetensors-metadata'],
]

describe('safetensors attacks', () => {
  it.each(ATTACKS)('%s', (_, bytes, code) => {
    expect(() => parseSafetensors(bytes)).toThrow(expect.objectContaining({ code }))
  })

  it('a header larger than the reader was told to take', () => {
    const bytes = fileOf(`{"a":${f32(0, 4)}}${' '.repeat(100)}`, 4)
    expect(() => parseSafetensors(bytes, { maxHeaderBytes: 64 })).toThrow(expect.objectContaining({ code: 'safetensors-header-size' }))
  })
})
