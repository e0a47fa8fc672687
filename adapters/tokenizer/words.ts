/** Words tokenized once each: T5's tokenizers cut a text at its spaces before anything else, and the words of a data set repeat. */

/** Words kept. English data sets have fewer. */
const MOST_WORDS = 200_000
/** Plain ASCII in single spaces, in which nothing is normalised and no special token (`<…>`) stands. */
const PLAIN = /^[!-;=-~]+(?: [!-;=-~]+)*$/

interface PreTokenizer {
  readonly type?: string
  readonly split?: boolean
  readonly prepend_scheme?: string
  readonly add_prefix_space?: boolean
  readonly pretokenizers?: readonly PreTokenizer[]
}

const isMetaspace = ({ type, split = true, prepend_scheme: scheme, add_prefix_space: space = true }: PreTokenizer): boolean =>
  type === 'Metaspace' && split && (scheme === undefined ? space : scheme === 'always')

/** Whether a `tokenizer.json` tokenizes each word of plain text by itself. */
export function standsByWord(json: Readonly<Record<string, unknown>>): boolean {
  const pre = (json['pre_tokenizer'] ?? {}) as PreTokenizer
  const [first, second, ...more] = pre.pretokenizers ?? []
  return (
    isMetaspace(pre) ||
    (pre.type === 'Sequence' && first?.type === 'WhitespaceSplit' && second !== undefined && isMetaspace(second) && more.length === 0)
  )
}

/** The same encoder, faster on plain text; `encode` ends in `eosId`. */
export function byWords(encode: (text: string) => number[], eosId: number): (text: string) => number[] {
  const known = new Map<string, readonly number[]>()
  const idsOf = (word: string): readonly number[] => {
    const found = known.get(word)
    if (found) return found
    if (known.size >= MOST_WORDS) known.clear()
    const ids = encode(word).slice(0, -1)
    known.set(word, ids)
    return ids
  }
  return (text) => (PLAIN.test(text) ? [...text.split(' ').flatMap(idsOf), eosId] : encode(text))
}
