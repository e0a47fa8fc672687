/**
 * SentencePiece's precompiled character map, as Python's tokenizers apply it (Rust crate spm_precompiled 0.1): a double-array trie (Darts) over UTF-8
 * whose leaves point into a list of zero-ended texts. The map is looked up for each grapheme, else for each character; what it lacks stays.
 */
import { FormatError } from '../../src/errors.ts'

/** Longer graphemes are looked up character by character. */
const MOST_BYTES = 5
/** Graphemes kept with what becomes of them. */
const MOST_KNOWN = 50_000
/** Stretches in which a grapheme may have more than one character: what is not ASCII, with the ASCII characters beside it. Between two ASCII characters one always ends. */
const MIXED = /[ -~]?[^ -~]+(?:[ -~][^ -~]+)*[ -~]?/gu

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true })

/** A unit of the double array (Darts-clone, little endian). */
const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0
const offsetOf = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0
const valueOf = (unit: number): number => unit & 0x7fffffff

/**
 * Opens a map.
 * @returns a text normalized by it
 * @throws {FormatError} `tokenizer-charsmap`
 */
export function openCharsMap(bytes: Uint8Array): (text: string) => string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const trieBytes = bytes.length < 4 ? 0 : view.getUint32(0, true)
  if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
    throw new FormatError(
      'tokenizer-charsmap',
      `The tokenizer's character map is damaged: ${bytes.length} bytes, of which ${trieBytes} should be its index. Fetch the tokenizer again.`,
    )
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => view.getUint32(4 + 4 * index, true))
  const texts = bytes.subarray(4 + trieBytes)

  /** What the shortest known beginning of a key stands for. */
  const lookUp = (key: Uint8Array): string | undefined => {
    let at = offsetOf(units[0] as number)
    for (const byte of key) {
      if (byte === 0) return undefined
      at = (at ^ byte) >>> 0
      const unit = units[at]
      if (unit === undefined || labelOf(unit) !== byte) return undefined
      at = (at ^ offsetOf(unit)) >>> 0
      if (!hasLeaf(unit)) continue
      const from = valueOf(units[at] ?? 0)
      const end = texts.indexOf(0, from)
      return DECODER.decode(texts.subarray(from, end < 0 ? texts.length : end))
    }
    return undefined
  }

  const known = new Map<string, string>()
  const normalOf = (grapheme: string): string => {
    const found = known.get(grapheme)
    if (found !== undefined) return found
    const key = ENCODER.encode(grapheme)
    const whole = key.length <= MOST_BYTES ? lookUp(key) : undefined
    const normal = whole ?? Array.from(grapheme, (character) => lookUp(ENCODER.encode(character)) ?? character).join('')
    if (known.size >= MOST_KNOWN) known.clear()
    known.set(grapheme, normal)
    return normal
  }
  const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' })
  const ascii = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index))
  const keepsAscii = ascii.every((character) => normalOf(character) === character)
  const plain = (text: string): string => (keepsAscii ? text : Array.from(text, normalOf).join(''))
  const mixed = (text: string): string => Array.from(graphemes.segment(text), ({ segment }) => normalOf(segment)).join('')

  return (text) => {
    let normal = ''
    let end = 0
    for (const match of text.matchAll(MIXED)) {
      normal += plain(text.slice(end, match.index)) + mixed(match[0])
      end = match.index + match[0].length
    }
    return normal + plain(text.slice(end))
  }
}
