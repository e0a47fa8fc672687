import { describe, expect, it } from 'vitest'
import { fromBF16, fromF16, fromFloat32, toBF16, toF16, toFloat32 } from '../../src/tensor/half.ts'

const words = Array.from({ length: 65_536 }, (_, word) => word)

describe('half', () => {
  it('every F16 word comes back, and stands where IEEE 754 puts it', () => {
    expect(words.filter((word) => !Number.isNaN(fromF16(word)) && toF16(fromF16(word)) !== word)).toEqual([])
    expect([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00].map(fromF16)).toEqual([1, -2, 65504, 2 ** -24, Infinity])
  })

  it('every BF16 word comes back', () => {
    expect(words.filter((word) => !Number.isNaN(fromBF16(word)) && toBF16(fromBF16(word)) !== word)).toEqual([])
  })

  it('rounds to nearest, ties to even', () => {
    for (const [convert, back, step] of [
      [toF16, fromF16, 2 ** -10],
      [toBF16, fromBF16, 2 ** -7],
    ] as const) {
      expect(back(convert(1 + step / 2))).toBe(1)
      expect(back(convert(1 + 1.5 * step))).toBe(1 + 2 * step)
      expect(back(convert(1 + 0.51 * step))).toBe(1 + step)
    }
    expect(fromF16(toF16(65_519))).toBe(65_504)
    expect(fromF16(toF16(65_520))).toBe(Infinity)
    expect(fromF16(toF16(1.5 * 2 ** -24))).toBe(2 * 2 ** -24)
    expect(fromF16(toF16(2 ** -25))).toBe(0)
    expect(Number.isNaN(fromF16(toF16(NaN)))).toBe(true)
    expect(Number.isNaN(fromBF16(toBF16(NaN)))).toBe(true)
  })
})

describe('whole arrays', () => {
  it.each(['F16', 'BF16'] as const)('%s: each word as the single conversion gives it, and back', (dtype) => {
    const all = Uint16Array.from(words)
    const floats = toFloat32(dtype, all)
    const one = dtype === 'F16' ? fromF16 : fromBF16
    expect(words.filter((word) => !Object.is(floats[word], Math.fround(one(word))))).toEqual([])
    const back = fromFloat32(dtype, floats)
    expect(words.filter((word) => !Number.isNaN(floats[word]) && back[word] !== word)).toEqual([])
  })
})
