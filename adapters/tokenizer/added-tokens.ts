/** Added tokens in a text, found as Python's tokenizers find them (tokenizers 0.23 `added_vocabulary.rs`): in the whole text, the leftmost first, of those the longest. */
import { trimEnd, trimStart } from './space.ts'

export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Found only where no letter or digit stands beside it. */
  readonly singleWord: boolean
  /** Takes the spaces before it, after it, with it. */
  readonly lstrip: boolean
  readonly rstrip: boolean
  /** Looked for in the normalized text. */
  readonly normalized: boolean
}

/** A part of a text: an added token, or text between such. */
export type Part = { readonly token: AddedToken } | { readonly text: string; readonly from: number }

/** The field of `tokenizer.json`; later tokens of the same content replace earlier ones. */
export function readAddedTokens(json: unknown): AddedToken[] {
  const tokens = new Map<string, AddedToken>()
  for (const item of Array.isArray(json) ? (json as Readonly<Record<string, unknown>>[]) : []) {
    const { id, content, special } = item
    if (typeof id !== 'number' || typeof content !== 'string' || content === '') continue
    tokens.set(content, {
      id,
      content,
      singleWord: item['single_word'] === true,
      lstrip: item['lstrip'] === true,
      rstrip: item['rstrip'] === true,
      normalized: (item['normalized'] ?? special !== true) === true,
    })
  }
  return [...tokens.values()]
}

const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`
const WORD_BEFORE = new RegExp(`${WORD}$`, 'u')
const WORD_AFTER = new RegExp(`^${WORD}`, 'u')
const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

/** Of these tokens, how a text parts into them and what lies between. `contentOf` is what to look for. */
export function partBy(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string): (text: string) => Part[] {
  const byContent = new Map(tokens.map((token) => [contentOf(token), token]))
  byContent.delete('')
  if (byContent.size === 0) return (text) => (text === '' ? [] : [{ text, from: 0 }])
  // The longest first: of alternatives that begin at one place a pattern takes the first.
  const contents = [...byContent.keys()].toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(contents.map(escaped).join('|'), 'gu')
  return (text) => {
    const parts: Part[] = []
    let from = 0
    const textUntil = (end: number): void => {
      if (from < end) parts.push({ text: text.slice(from, end), from })
    }
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0]) as AddedToken
      const [before, after] = [text.slice(0, match.index), text.slice(match.index + match[0].length)]
      if (token.singleWord && (WORD_BEFORE.test(before) || WORD_AFTER.test(after))) continue
      // Spaces that the token before has taken are taken.
      textUntil(Math.max(token.lstrip ? trimEnd(before).length : before.length, from))
      parts.push({ token })
      from = text.length - (token.rstrip ? trimStart(after) : after).length
    }
    textUntil(text.length)
    return parts
  }
}
