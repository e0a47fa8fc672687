/** The tokenizer of a transformers.js pipeline, made to give the ids that training gives. */
import { makeExact } from './exact.ts'

/** What to know where it cannot be. */
export const INEXACT_TOKENIZER: string =
  'This version of transformers.js is built otherwise than those known here: its tokenizer stays as it is, and texts with emoji, control characters, full-width letters or added tokens may get other ids than in training.'

export interface Mended {
  /** What to warn of; nothing where all is well. */
  readonly warnings: readonly string[]
  /** Makes it again what it was. */
  restore(): void
}

/** Changes a transformers.js tokenizer in place: character map, white space and added tokens as Python's tokenizers have them. */
export function mendStockTokenizer(tokenizer: object): Mended {
  const [inner, json] = [Reflect.get(tokenizer, '_tokenizer') as unknown, Reflect.get(tokenizer, '_tokenizerJSON') as unknown]
  const known = typeof inner === 'object' && inner !== null && typeof json === 'object' && json !== null
  if (!known || !makeExact(inner, json as Readonly<Record<string, unknown>>)) return { warnings: [INEXACT_TOKENIZER], restore: () => {} }
  return { warnings: [], restore: () => void Reflect.deleteProperty(inner, 'encode_text') }
}
