/** JSON whose whole numbers keep every digit, read and written: beyond 2^53 they are bigints, as Parquet's int64 is read. */

/** A string, or a number; strings come first, so that digits within them are left alone. */
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
/** 2^53 has 16 digits. */
const LONG = /\d{16}/
const WHOLE = /^-?\d+$/

/** A text that does not occur in another. */
function markOutside(text: string): string {
  let mark = '#whole:'
  while (text.includes(mark)) mark = `#${mark}`
  return mark
}

/**
 * As JSON.parse, but for whole numbers that a float64 cannot hold: those are bigints, wherever they stand.
 * @throws {SyntaxError} as JSON.parse
 */
export function parseExactJson(text: string): unknown {
  const plain: unknown = JSON.parse(text)
  if (!LONG.test(text)) return plain
  const mark = markOutside(text)
  const marked = text.replace(STRING_OR_NUMBER, (token) =>
    WHOLE.test(token) && !Number.isSafeInteger(Number(token)) ? `"${mark}${token}"` : token,
  )
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  )
}

/** As JSON.stringify, with bigints as whole numbers of all their digits. */
export function formatExactJson(value: unknown): string {
  let mark = ''
  const marked = (_: string, item: unknown): unknown => (typeof item === 'bigint' ? `${mark}${item}` : item)
  const plain = JSON.stringify(value, marked)
  mark = markOutside(plain)
  return JSON.stringify(value, marked).replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1')
}
