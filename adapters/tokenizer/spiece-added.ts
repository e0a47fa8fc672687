/**
 * The added tokens of a folder with `spiece.model` and no `tokenizer.json`, gathered as transformers 5.18 does for T5Tokenizer (`SentencePieceExtractor`,
 * `PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`): from tokenizer_config.json, else from the older files and the model's own pieces.
 */
import { T5_EOS, T5_PAD, T5_UNK } from './names.ts'

type Json = Readonly<Record<string, unknown>>

/** The small files beside the model, parsed; absent = {}. */
export interface TokenizerFiles {
  readonly config: Json
  /** `added_tokens.json`: token to id. */
  readonly addedTokens?: Json
  /** `special_tokens_map.json` */
  readonly specialTokens?: Json
}

/** As in `tokenizer.json`, without its id. */
export interface Added {
  readonly content: string
  readonly single_word: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
  readonly special: boolean
}

export const addedToken = (content: string, over: Partial<Added> = {}): Added => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...over,
})

/** SPECIAL_TOKENS_ATTRIBUTES with what T5Tokenizer takes where nothing is said. */
const NAMED: readonly (readonly [key: string, otherwise: string | undefined])[] = [
  ['bos_token', undefined],
  ['eos_token', T5_EOS],
  ['unk_token', T5_UNK],
  ['sep_token', undefined],
  ['pad_token', T5_PAD],
  ['cls_token', undefined],
  ['mask_token', undefined],
]

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A token as the files write it: a text, or an object of `content` and flags. */
function read(value: unknown, over: Partial<Added> = {}): Added | undefined {
  if (typeof value === 'string') return addedToken(value, over)
  if (!isObject(value) || typeof value['content'] !== 'string') return undefined
  const special = value['special'] === true
  const flag = (name: string, otherwise: boolean): boolean => (typeof value[name] === 'boolean' ? value[name] : otherwise)
  return addedToken(value['content'], {
    single_word: flag('single_word', false),
    lstrip: flag('lstrip', false),
    rstrip: flag('rstrip', false),
    normalized: flag('normalized', !special),
    special,
    ...over,
  })
}

/** `added_tokens_decoder` of tokenizer_config.json, by id. */
const declared = (decoder: Json): Added[] =>
  Object.entries(decoder)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .flatMap(([, value]) => read(value) ?? [])

/** `added_tokens.json`, by id; a token that is named elsewhere is a special one. */
function older(tokens: Json, special: ReadonlySet<string>): Added[] {
  const byId = Object.entries(tokens).toSorted(([, a], [, b]) => Number(a) - Number(b))
  return byId.map(([content]) => addedToken(content, { normalized: !special.has(content), special: special.has(content) }))
}

/** The named special tokens: `eos_token` and its like, and any other `…_token` of the configuration. */
function namedTokens(config: Json): Added[] {
  const own = Object.entries(config).filter(([key, value]) => key.endsWith('_token') && typeof value === 'string')
  const extra = config['extra_special_tokens']
  const values = [
    ...NAMED.map(([key, otherwise]) => config[key] ?? otherwise),
    ...own.filter(([key]) => !NAMED.some(([name]) => name === key)).map(([, value]) => value),
    ...(isObject(extra) ? Object.values(extra) : []),
  ]
  return values.flatMap((value) => read(value, { special: true }) ?? [])
}

/** The list of further special tokens, by its newer name or its older; undefined where neither is there. */
function furtherTokens(config: Json): Added[] | undefined {
  const [newer, before] = [config['extra_special_tokens'], config['additional_special_tokens']]
  const isEmpty = newer === undefined || newer === null || (Array.isArray(newer) && newer.length === 0)
  const list = isEmpty && before !== undefined ? before : newer
  if (list === undefined || isObject(list)) return undefined
  return (Array.isArray(list) ? list : []).flatMap((value) => read(value) ?? [])
}

/**
 * Gathers the added tokens in the order in which they get ids.
 * @param own the model's control and user-defined pieces
 * @param sentinels `<extra_id_0>` …, as many as there are
 */
export function gatherAdded(
  { config, addedTokens = {}, specialTokens = {} }: TokenizerFiles,
  own: readonly Added[],
  sentinels: readonly string[],
): Added[] {
  const decoder = config['added_tokens_decoder']
  // Only without the newer key are the older files looked at.
  const told = isObject(decoder) ? config : { ...config, ...specialTokens }
  const named = namedTokens(told)
  const further = furtherTokens(config)
  const special = new Set([...named, ...(further ?? [])].map(({ content }) => content))
  const first = isObject(decoder) ? declared(decoder) : older(addedTokens, special)
  const fromModel = own.some(({ content }) => content.includes('<extra_id_')) ? own : [...own, ...sentinels.map((text) => addedToken(text))]
  const gathered = new Map<string, Added>()
  for (const token of [...first, ...named, ...(further ?? fromModel)])
    if (token.content !== '' && !gathered.has(token.content)) gathered.set(token.content, token)
  return [...gathered.values()]
}
