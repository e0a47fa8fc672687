/** F16 (IEEE 754 binary16) and BF16 words to F32 and back, rounding to nearest even. */

const WORD = new Uint32Array(1)
const FLOAT = new Float32Array(WORD.buffer)

const bitsOf = (value: number): number => {
  FLOAT[0] = value
  return WORD[0] as number
}
const floatOf = (bits: number): number => {
  WORD[0] = bits
  return FLOAT[0] as number
}

/** One F16 word as a number; exact. */
export function fromF16(word: number): number {
  const sign = (word & 0x8000) === 0 ? 1 : -1
  const exponent = (word >> 10) & 0x1f
  const fraction = word & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** A number as an F16 word; beyond ±65504 (after rounding) it becomes infinite. */
export function toF16(value: number): number {
  const bits = bitsOf(value)
  const sign = (bits >>> 16) & 0x8000
  const size = bits & 0x7fffffff
  if (size > 0x7f800000) return sign | 0x7e00
  if (size >= 0x477ff000) return sign | 0x7c00
  // Below 2^-14 a word counts steps of 2^-24; adding 0.5 lines the last of them up with the last bit of an F32.
  if (size < 0x38800000) return sign | (bitsOf(floatOf(size) + 0.5) - 0x3f000000)
  const even = (size >>> 13) & 1
  return sign | ((size - 0x38000000 + 0xfff + even) >>> 13)
}

/** One BF16 word as a number; exact. */
export const fromBF16 = (word: number): number => floatOf(word << 16)

/** A number as a BF16 word. */
export function toBF16(value: number): number {
  const bits = bitsOf(value)
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

export type FloatDtype = 'F32' | 'F16' | 'BF16'

/** Words or floats to F32; F32 is returned as it is. Loops over bits: a prompt has 400,000 values, and `from` with a function takes 50 times as long. */
export function toFloat32(dtype: FloatDtype, data: Float32Array | Uint16Array): Float32Array {
  if (dtype === 'F32') return data as Float32Array
  const bits = new Uint32Array(data.length)
  for (let index = 0; index < data.length; index++) {
    const word = data[index] as number
    if (dtype === 'BF16') bits[index] = word << 16
    else {
      const exponent = word & 0x7c00
      // Normal numbers keep their fraction and get another bias; zeros, subnormals, infinities and NaN go the long way.
      if (exponent !== 0 && exponent !== 0x7c00) bits[index] = ((word & 0x8000) << 16) | (((word & 0x7fff) << 13) + 0x38000000)
      else bits[index] = bitsOf(fromF16(word))
    }
  }
  return new Float32Array(bits.buffer)
}

/** F32 to words of another dtype; F32 is returned as it is. */
export function fromFloat32(dtype: FloatDtype, data: Float32Array): Float32Array | Uint16Array {
  if (dtype === 'F32') return data
  const words = new Uint16Array(data.length)
  const convert = dtype === 'F16' ? toF16 : toBF16
  for (let index = 0; index < data.length; index++) words[index] = convert(data[index] as number)
  return words
}
