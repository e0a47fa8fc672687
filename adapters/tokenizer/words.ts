/** Words tokenized once each, where no added token stands in the text: T5's tokenizers cut a text at its spaces before anything else, and the words of a data set repeat. */

import type { Exact } from './exact.ts'

/** Words kept. English data sets have fewer. */
const MOST_WORDS = 200_000
/** Plain ASCII in single spaces, in which nothing is normalised and no special token (`<…>`) stands. */
const PLAIN = /^[!-;=-~]+(?: [!-;=-~]+)*$/
/** What an added token of such a text consists of. */
const PLAIN_PART = /^[ !-;=-~]+$/

interface Normalizer {
  readonly type?: string
  readonly normalizers?: readonly Normalizer[]
  readonly pattern?: { readonly Regex?: string }
}

interface PreTokenizer {
  readonly type?: string
  readonly split?: boolean
  readonly prepend_scheme?: string
  readonly add_prefix_space?: boolean
  readonly pretokenizers?: readonly PreTokenizer[]
}

const isMetaspace = ({ type, split = true, prepend_scheme: scheme, add_prefix_space: space = true }: PreTokenizer): boolean =>
  type === 'Metaspace' && split && (scheme === undefined ? space : scheme === 'always')

/** Whether each word of plain text is normalized by itself. */
const normalizesWords = ({ type, normalizers = [], pattern }: Normalizer): boolean =>
  type === undefined ||
  type === 'Precompiled' ||
  type === 'Strip' ||
  (type === 'Replace' && pattern?.Regex === ' {2,}') ||
  (type === 'Sequence' && normalizers.every(normalizesWords))

/** Whether a `tokenizer.json` tokenizes each word of plain text by itself. */
export function standsByWord(json: Readonly<Record<string, unknown>>): boolean {
  const pre = (json['pre_tokenizer'] ?? {}) as PreTokenizer
  const [first, second, ...more] = pre.pretokenizers ?? []
  if (!normalizesWords((json['normalizer'] ?? {}) as Normalizer)) return false
  return (
    isMetaspace(pre) ||
    (pre.type === 'Sequence' && first?.type === 'WhitespaceSplit' && second !== undefined && isMetaspace(second) && more.length === 0)
  )
}

const holds = (text: string, contents: readonly string[]): boolean => contents.some((content) => text.includes(content))

/** The added tokens that may stand in plain text, looked for in it. */
export function addedInPlain({ added, normalize }: Exact): (text: string) => boolean {
  const raw = added.flatMap(({ content, normalized }) => (!normalized && PLAIN_PART.test(content) ? [content] : []))
  const normal = added.flatMap(({ content, normalized }) => (normalized ? [normalize(content)] : []))
  return (text) => holds(text, raw) || (normal.length > 0 && holds(normalize(text), normal))
}

/** The same encoder, faster on plain text without added tokens; `encode` ends in `eosId`. */
export function byWords(
  encode: (text: string) => number[],
  eosId: number,
  hasAdded: (text: string) => boolean,
): (text: string) => number[] {
  const known = new Map<string, readonly number[]>()
  const idsOf = (word: string): readonly number[] => {
    const found = known.get(word)
    if (found) return found
    if (known.size >= MOST_WORDS) known.clear()
    const ids = encode(word).slice(0, -1)
    known.set(word, ids)
    return ids
  }
  return (text) => (PLAIN.test(text) && !hasAdded(text) ? [...text.split(' ').flatMap(idsOf), eosId] : encode(text))
}
