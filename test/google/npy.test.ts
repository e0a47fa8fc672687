/** `.npy`: numpy's own files are read, its bytes are written, and each hostile header has a name. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatNpy, parseNpy } from '../../adapters/google/npy.ts'
import { tensor } from '../../src/tensor/tensor.ts'

// test/fixtures/google/make_npy.py wrote them.
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(join(import.meta.dirname, `../fixtures/google/${name}.npy`)))

/** A version 1.0 file with this header text. */
function npy(header: string, dataBytes = 80, length = header.length): Uint8Array {
  const bytes = new Uint8Array(10 + header.length + dataBytes)
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0])
  new DataView(bytes.buffer).setUint16(8, length, true)
  bytes.set(new TextEncoder().encode(header), 10)
  return bytes
}
const good = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }"

describe('npy', () => {
  it('reads what numpy writes: F32, version 2.0, F16 and F64 rounded', () => {
    const f32 = parseNpy(fixture('f32'))
    expect(f32).toMatchObject({ dtype: 'F32', embeddings: { dtype: 'F32', shape: [5, 16] } })
    expect(parseNpy(fixture('version2'))).toEqual(f32)
    expect(parseNpy(fixture('f64'))).toEqual({ ...f32, dtype: 'F64' })
    const f16 = parseNpy(fixture('f16'))
    expect(f16.dtype).toBe('F16')
    for (const [index, value] of f16.embeddings.data.entries()) {
      expect(Math.abs(value - (f32.embeddings.data[index] as number))).toBeLessThanOrEqual(2 ** -11 * Math.abs(value))
    }
  })

  it('writes the bytes numpy writes', () => {
    expect(formatNpy(parseNpy(fixture('f32')).embeddings)).toEqual(fixture('f32'))
    const large = tensor('F32', [100, 768], new Float32Array(76_800))
    expect(formatNpy(large).length).toBe(128 + 4 * 76_800)
    expect(parseNpy(formatNpy(large)).embeddings).toEqual(large)
  })

  it('reads a file at an odd offset, keys in any order', () => {
    const bytes = npy("{'shape': (4,5), 'descr':'<f4','fortran_order':False}\n")
    const shifted = new Uint8Array(bytes.length + 1)
    shifted.set(bytes, 1)
    expect(parseNpy(shifted.subarray(1)).embeddings.shape).toEqual([4, 5])
  })

  it.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'npy-magic'],
    ['other bytes', new TextEncoder().encode('PK\u0003\u0004 a zip, that is .npz'), 'npy-magic'],
    ['the magic alone', npy('').subarray(0, 6), 'npy-truncated'],
    ['an unknown version', npy(good).with(6, 9), 'npy-header'],
    ['a header longer than the file', npy(good, 0, 4000), 'npy-truncated'],
    ['a header without end', npy(good + ' '.repeat(5000)), 'npy-header'],
    ['data cut short', npy(good, 79), 'npy-size'],
    ['bytes behind the data', npy(good, 81), 'npy-size'],
    ['a pickle', fixture('objects'), 'npy-pickle'],
    ['big-endian numbers', fixture('big_endian'), 'npy-dtype'],
    ['integers', npy(good.replace('<f4', '<i8')), 'npy-dtype'],
    ['a dtype from the prototype of objects', npy(good.replace('<f4', 'toString')), 'npy-dtype'],
    ['records', npy(good.replace("'<f4'", "[('a', '<f4')]")), 'npy-dtype'],
    ['Fortran order', fixture('fortran'), 'npy-order'],
    ['a vector', fixture('vector'), 'npy-shape'],
    ['three axes', npy(good.replace('(4, 5)', '(4, 5, 1)')), 'npy-shape'],
    ['no rows', npy(good.replace('(4, 5)', '(0, 5)'), 0), 'npy-shape'],
    ['negative rows', npy(good.replace('(4, 5)', '(-4, 5)')), 'npy-header'],
    ['a shape beyond every memory', npy(good.replace('(4, 5)', '(999999999, 999999999)')), 'npy-size'],
    ['an axis of a hundred digits', npy(good.replace('(4, 5)', `(${'9'.repeat(100)}, 5)`)), 'npy-header'],
    ['a call in place of a value', npy(good.replace('False', "__import__('os').system('true')")), 'npy-header'],
    ['a key twice', npy(good.replace("'fortran_order': False", "'descr': '<f4'")), 'npy-header'],
    ['an unknown key', npy(good.replace(', }', ", 'x': True}")), 'npy-header'],
    ['a missing key', npy("{'descr': '<f4', 'shape': (4, 5)}"), 'npy-header'],
    ['an order that is a text', npy(good.replace('False', "'False'")), 'npy-header'],
    ['no dictionary', npy('[1, 2, 3]'), 'npy-header'],
    ['something behind the dictionary', npy(`${good} + 1`), 'npy-header'],
    ['NUL bytes in the header', npy(`${good}\0\0`), 'npy-header'],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => parseNpy(bytes)).toThrow(expect.objectContaining({ code }))
  })
})
