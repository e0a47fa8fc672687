/** A tokenizer from the parsed contents of its files, by @huggingface/tokenizers (no runtime, no native code, no Node). */
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { FormatError } from '../../src/errors.ts'
import { cleansSpaces, makeExact } from './exact.ts'
import { T5_EOS, T5_PAD } from './names.ts'
import { addedInPlain, byWords, standsByWord } from './words.ts'

/** A special token in tokenizer_config.json is a string or an AddedToken object. */
const contentOf = (token: unknown, otherwise: string): string =>
  typeof token === 'string' ? token : ((token as { content?: string } | null | undefined)?.content ?? otherwise)

/** Wraps the parsed contents of `tokenizer.json` and `tokenizer_config.json`. */
export function makeTokenizer(json: Record<string, unknown>, config: Record<string, unknown>, where = 'tokenizer.json'): Tokenizer {
  const inner = new HubTokenizer(json, { ...config, clean_up_tokenization_spaces: cleansSpaces(config) })
  const exact = makeExact(inner, json)
  const special = (token: string): number => {
    const id = inner.token_to_id(token)
    if (id === undefined) {
      throw new FormatError('tokenizer-special', `${where} has no piece ${token}; a T5 tokenizer has <pad> and </s>.`, { facts: { token } })
    }
    return id
  }
  const padId = special(contentOf(config['pad_token'], T5_PAD))
  const eosId = special(contentOf(config['eos_token'], T5_EOS))
  let pieces: string[] | undefined
  const encode = (text: string): number[] => {
    const ids = inner.encode(text).ids
    return ids.at(-1) === eosId ? ids : [...ids, eosId]
  }
  return {
    encode: exact && standsByWord(json) ? byWords(encode, eosId, addedInPlain(exact)) : encode,
    decode: (ids) => (ids.length === 0 ? '' : inner.decode([...ids], { skip_special_tokens: true })),
    get pieces() {
      return (pieces ??= piecesOf(inner))
    },
    padId,
    eosId,
  }
}

function piecesOf(inner: HubTokenizer): string[] {
  const pieces: string[] = []
  for (const [piece, id] of inner.get_vocab(true)) pieces[id] = piece
  for (const [id, { content }] of inner.get_added_tokens_decoder()) pieces[id] = content
  return Array.from(pieces, (piece) => piece ?? '')
}
