/**
 * @huggingface/tokenizers made to give the ids of Python's tokenizers 0.23: the library (0.1 and 0.2) takes NFKC for every character map, JavaScript's white
 * space for Unicode's, does not part words at `▁`, and strips and finds added tokens otherwise. What it does right (models, templates, decoders) stays its own.
 */
import { openCharsMap } from './charsmap.ts'
import { partBy, readAddedTokens, type AddedToken } from './added-tokens.ts'
import { splitAtSpace, trimEnd, trimStart } from './space.ts'

type Json = Readonly<Record<string, unknown>>
type Normalize = (text: string) => string
/** `first`: the text begins what was given to encode. */
type Split = (text: string, first: boolean) => string[]

/** A part of the library: callable, of a type that it does not export. */
type Callable = (input: unknown, options?: unknown) => unknown

const isCallable = (value: unknown): value is Callable => typeof value === 'function'
const asJson = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})
const listOf = (owner: unknown, key: string): unknown[] => {
  const list: unknown = typeof owner === 'object' || typeof owner === 'function' ? Reflect.get(owner ?? {}, key) : undefined
  return Array.isArray(list) ? list : []
}
/** Pieces kept with their tokens: words repeat. */
const MOST_PIECES = 100_000
/** A text that is not parted at spaces is one piece and does not come again. */
const LONGEST_KEPT = 64

const same: Normalize = (text) => text

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

/** A normalizer of `tokenizer.json`; `library` is the library's of the same entry, for the kinds it has right. */
function normalizerOf(json: Json, library: unknown): Normalize {
  switch (json['type']) {
    case 'Precompiled': {
      const map = json['precompiled_charsmap']
      return typeof map === 'string' && map !== '' ? openCharsMap(bytesOf(map)) : same
    }
    case 'Sequence': {
      const inner = listOf(library, 'normalizers')
      const steps = listOf(json, 'normalizers').map((step, index) => normalizerOf(asJson(step), inner[index]))
      return (text) => steps.reduce((value, step) => step(value), text)
    }
    case 'Strip': {
      const left = json['strip_left'] === true ? trimStart : same
      const right = json['strip_right'] === true ? trimEnd : same
      return (text) => right(left(text))
    }
    default:
      return isCallable(library) ? (text) => library(text) as string : same
  }
}

function splitterOf(json: Json, library: unknown): Split {
  switch (json['type']) {
    case 'WhitespaceSplit':
      return splitAtSpace
    case 'Metaspace':
      return metaspace(json)
    case 'Sequence': {
      const inner = listOf(library, 'tokenizers')
      const steps = listOf(json, 'pretokenizers').map((step, index) => splitterOf(asJson(step), inner[index]))
      return (text, first) =>
        steps.reduce<string[]>((pieces, step) => pieces.flatMap((piece, index) => step(piece, first && index === 0)), [text])
    }
    default:
      return isCallable(library) ? (text, first) => library(text, { section_index: first ? 0 : 1 }) as string[] : (text) => [text]
  }
}

/** Spaces become `▁`, one is put before where the scheme says so, and each begins a piece. */
function metaspace({ replacement = '▁', prepend_scheme: scheme, add_prefix_space: space, split = true }: Json): Split {
  const mark = String(replacement)
  const prepend = scheme ?? (space === false ? 'never' : 'always')
  return (text, first) => {
    const marked = text.replaceAll(' ', mark)
    const begun = marked.startsWith(mark) || prepend === 'never' || (prepend === 'first' && !first) ? marked : mark + marked
    const pieces = split === true ? begun.split(new RegExp(`(?=${mark})`, 'u')) : [begun]
    return pieces.filter((piece) => piece !== '')
  }
}

const hex = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`

/** Unknown pieces as the bytes they consist of, where the vocabulary has all of those. */
function byteFallback(has: (token: string) => boolean): (tokens: readonly string[]) => string[] {
  const encoder = new TextEncoder()
  return (tokens) =>
    tokens.flatMap((token) => {
      if (has(token)) return [token]
      const bytes = Array.from(encoder.encode(token), hex)
      return bytes.every(has) ? bytes : [token]
    })
}

/** Whether decoding takes the space before punctuation away: only where the configuration asks for it, as in transformers 5; the library does where nothing is said. */
export const cleansSpaces = (config: Json): boolean => config['clean_up_tokenization_spaces'] === true

export interface Exact {
  /** Tokens of a text, without the template's. */
  readonly tokensOf: (text: string) => string[]
  readonly normalize: Normalize
  readonly added: readonly AddedToken[]
}

/**
 * Changes a tokenizer of the library so that it encodes exactly; undefined where it is built otherwise than the versions known here, and stays as it is.
 * @param inner the library's `Tokenizer`, of whichever copy of it
 * @param json the `tokenizer.json` that it was made of
 * @throws {FormatError} `tokenizer-charsmap`
 */
export function makeExact(inner: object, json: Json): Exact | undefined {
  const [model, old] = [Reflect.get(inner, 'model') as unknown, Reflect.get(inner, 'encode_text') as unknown]
  if (!isCallable(model) || !isCallable(old)) return undefined
  const normalize = normalizerOf(asJson(json['normalizer']), Reflect.get(inner, 'normalizer'))
  const split = splitterOf(asJson(json['pre_tokenizer']), Reflect.get(inner, 'pre_tokenizer'))
  const added = readAddedTokens(json['added_tokens'])
  const partRaw = partBy(
    added.filter(({ normalized }) => !normalized),
    ({ content }) => content,
  )
  const partNormal = partBy(
    added.filter(({ normalized }) => normalized),
    ({ content }) => normalize(content),
  )
  const ids = Reflect.get(model, 'tokens_to_ids') as unknown
  const fallBack =
    asJson(json['model'])['byte_fallback'] === true && asJson(json['model'])['type'] !== 'BPE' && ids instanceof Map
      ? byteFallback((token) => ids.has(token))
      : (tokens: string[]): string[] => tokens
  const known = new Map<string, string[]>()
  /** Each piece by itself, once: unknown characters of two words are two unknown tokens. */
  const modelled = (piece: string): string[] => {
    const found = known.get(piece)
    if (found) return found
    if (known.size >= MOST_PIECES) known.clear()
    const tokens = fallBack(model([piece]) as string[])
    if (piece.length <= LONGEST_KEPT) known.set(piece, tokens)
    return tokens
  }
  const tokensOf = (text: string): string[] =>
    partRaw(text).flatMap((part) => {
      if ('token' in part) return [part.token.content]
      return partNormal(normalize(part.text)).flatMap((inside) => {
        if ('token' in inside) return [inside.token.content]
        return split(inside.text, part.from + inside.from === 0).flatMap(modelled)
      })
    })
  Object.assign(inner, { encode_text: (text: string | null) => (text === null ? null : tokensOf(text)) })
  return { tokensOf, normalize, added }
}
