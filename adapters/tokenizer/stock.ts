/** The tokenizer of a transformers.js pipeline, made to give the ids that training gives. */
import { cleansSpaces, makeExact } from './exact.ts'

/** What to know where it cannot be. */
export const INEXACT_TOKENIZER: string =
  'This version of transformers.js is built otherwise than those known here: its tokenizer stays as it is, and texts with emoji, control characters, full-width letters or added tokens may get other ids than in training.'

export interface Mended {
  /** What to warn of; nothing where all is well. */
  readonly warnings: readonly string[]
  /** Makes it again what it was. */
  restore(): void
}

const KEYS = ['_tokenizer', '_tokenizerJSON', '_tokenizerConfig'] as const

/** How tokenizers encode that were mended before: prompts are attached and detached at any time, and reading a character map takes 20 ms. */
const encoders = new WeakMap<object, unknown>()

function mendOnce(inner: object, json: Record<string, unknown>): boolean {
  const before = encoders.get(inner)
  if (before !== undefined) return Reflect.set(inner, 'encode_text', before)
  if (!makeExact(inner, json)) return false
  encoders.set(inner, Reflect.get(inner, 'encode_text'))
  return true
}

/** Changes a transformers.js tokenizer in place: character map, white space, added tokens and the spaces of decoded texts as Python has them. */
export function mendStockTokenizer(tokenizer: object): Mended {
  const [inner, json, config] = KEYS.map((key) => Reflect.get(tokenizer, key) as Record<string, unknown> | null | undefined)
  const known = [inner, json, config].every((part) => typeof part === 'object' && part !== null)
  if (!known || !inner || !json || !mendOnce(inner, json)) return { warnings: [INEXACT_TOKENIZER], restore: () => {} }
  const cleaned = inner['clean_up_tokenization_spaces']
  inner['clean_up_tokenization_spaces'] = cleansSpaces(config ?? {})
  return {
    warnings: [],
    restore: () => {
      Reflect.deleteProperty(inner, 'encode_text')
      inner['clean_up_tokenization_spaces'] = cleaned
    },
  }
}
