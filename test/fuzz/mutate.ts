/** Sound files made unsound: a few random changes of the kinds that break readers. */
import * as fc from 'fast-check'

/** One change of a byte string; positions are fractions, so they fit any length. */
type Change = (bytes: Uint8Array) => Uint8Array

/** No input grows beyond this. */
const MAX_BYTES = 256 * 1024
const NUMBERS = [
  '0',
  '-1',
  '1e999',
  '9007199254740993',
  '4294967296',
  '18446744073709551616',
  '0.5',
  'NaN',
  'true',
  '[]',
  '""',
  'null',
  '{}',
  '"F32"',
]

const at = (bytes: Uint8Array, where: number): number => Math.min(bytes.length, Math.floor(where * (bytes.length + 1)))

function splice(bytes: Uint8Array, from: number, to: number, put: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - (to - from) + put.length)
  out.set(bytes.subarray(0, from))
  out.set(put, from)
  out.set(bytes.subarray(to), from + put.length)
  return out.length > MAX_BYTES ? out.subarray(0, MAX_BYTES) : out
}

/** Even over the file: doubles as fast-check draws them crowd at 0. */
const where = fc.noBias(fc.nat(2 ** 30)).map((drawn) => drawn / 2 ** 30)
const few = fc.integer({ min: 1, max: 64 })
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const flip: fc.Arbitrary<Change> = fc.tuple(where, fc.integer({ min: 1, max: 255 })).map(([place, mask]) => (bytes) => {
  const out = bytes.slice()
  const index = Math.min(out.length - 1, at(bytes, place))
  if (index >= 0) out[index] = (out[index] as number) ^ mask
  return out
})
const cut: fc.Arbitrary<Change> = where.map((place) => (bytes) => bytes.slice(0, at(bytes, place)))
const drop: fc.Arbitrary<Change> = fc.tuple(where, few).map(([place, count]) => (bytes) => {
  const from = at(bytes, place)
  return splice(bytes, from, Math.min(bytes.length, from + count), new Uint8Array())
})
const insert: fc.Arbitrary<Change> = fc.tuple(where, fc.uint8Array({ minLength: 1, maxLength: 64 })).map(([place, put]) => (bytes) => {
  const from = at(bytes, place)
  return splice(bytes, from, from, put)
})
const repeat: fc.Arbitrary<Change> = fc.tuple(where, where, fc.integer({ min: 1, max: 8 })).map(([a, b, times]) => (bytes) => {
  const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))]
  let out = bytes
  for (let time = 0; time < times && out.length < MAX_BYTES; time++) out = splice(out, to, to, bytes.subarray(from, to))
  return out
})
/** Edges of the integer widths, in either byte order. */
const integer: fc.Arbitrary<Change> = fc
  .tuple(
    where,
    fc.constantFrom(1, 2, 4, 8),
    fc.constantFrom(0n, 1n, -1n, 0x7fn, 0xffn, 0x7fffn, 0xffffffffn, 0x7fffffffn, 0x7fffffffffffffffn, 1n << 53n),
    fc.boolean(),
  )
  .map(([place, size, value, little]) => (bytes) => {
    const out = bytes.slice()
    const from = Math.max(0, Math.min(out.length - size, at(bytes, place)))
    for (let index = 0; index < size && from + index < out.length; index++) {
      const shift = BigInt(8 * (little ? index : size - 1 - index))
      out[from + index] = Number((value >> shift) & 0xffn)
    }
    return out
  })
/** Another number where a text has one. */
const number: fc.Arbitrary<Change> = fc.tuple(where, fc.constantFrom(...NUMBERS)).map(([place, put]) => (bytes) => {
  const text = new TextDecoder('latin1').decode(bytes)
  const found = [...text.matchAll(/\d+/g)]
  const hit = found[Math.min(found.length - 1, Math.floor(place * found.length))]
  return hit === undefined ? bytes : splice(bytes, hit.index, hit.index + hit[0].length, utf8(put))
})
const nest: fc.Arbitrary<Change> = fc
  .tuple(where, fc.constantFrom('[', '{"a":', '('), fc.integer({ min: 1, max: 20_000 }))
  .map(([place, mark, times]) => (bytes) => {
    const from = at(bytes, place)
    return splice(bytes, from, from, utf8(mark.repeat(times)))
  })
const key: fc.Arbitrary<Change> = fc
  .tuple(where, fc.constantFrom('"__proto__":1,', '"constructor":{"prototype":{}},', '"a":1,"a":2,', '\\u0000', '\ufeff'))
  .map(([place, put]) => (bytes) => {
    const text = new TextDecoder('latin1').decode(bytes)
    const found = [...text.matchAll(/[{,]/g)]
    const hit = found[Math.min(found.length - 1, Math.floor(place * found.length))]
    return hit === undefined ? bytes : splice(bytes, hit.index + 1, hit.index + 1, utf8(put))
  })
const change = fc.oneof(flip, cut, drop, insert, repeat, integer, number, nest, key)

/** One of the seeds with one to six changes. */
export const mutated = (seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 6 }))
    .map(([seed, changes]) => changes.reduce((bytes, one) => one(bytes), seed))
