/** T5's configuration, from `config.json`. Source: transformers 5 `T5Config`, `MT5Config`, `UMT5Config` and the 4.x files on the Hub. */
import { ConfigError } from '../errors.ts'

/** Feed-forward activations: `gelu` is the tanh approximation ("gelu_new"). */
export type Activation = 'relu' | 'gelu' | 'silu'

export interface T5Config {
  readonly vocabSize: number // V
  readonly width: number // D (d_model)
  readonly headWidth: number // d_kv
  readonly heads: number // H
  readonly innerWidth: number // d_ff
  readonly encoderLayers: number
  readonly decoderLayers: number
  readonly activation: Activation
  /** Two input matrices in the feed-forward part, one gating the other (v1.1). */
  readonly gated: boolean
  readonly epsilon: number
  readonly buckets: number
  readonly maxDistance: number
  /** A position bias in every layer (UMT5), not only in the first. */
  readonly biasInEveryLayer: boolean
  /** Decoder output is multiplied by D^-0.5 before the head (v1.0). */
  readonly scaleOutput: boolean
  /** The head is the embedding matrix. */
  readonly tied: boolean
  readonly padId: number
  readonly eosId: number
  readonly startId: number
}

/** What a field may be. By hand: a schema library would double the time it takes to import the core. */
interface Rule<T> {
  readonly is: (value: unknown) => value is T
  readonly what: string
}

const whole = (value: unknown, least: number): value is number => Number.isSafeInteger(value) && (value as number) >= least
const COUNT: Rule<number> = { is: (value): value is number => whole(value, 1), what: 'a whole number of at least 1' }
const ID: Rule<number> = { is: (value): value is number => whole(value, 0), what: 'a whole number of at least 0' }
const SIZE: Rule<number> = { is: (value): value is number => typeof value === 'number' && value >= 0, what: 'a number of at least 0' }
const TEXT: Rule<string> = { is: (value): value is string => typeof value === 'string', what: 'a text' }
const FLAG: Rule<boolean> = { is: (value): value is boolean => typeof value === 'boolean', what: 'true or false' }
const FAMILY: Rule<'t5' | 'mt5' | 'umt5'> = {
  is: (value): value is 't5' | 'mt5' | 'umt5' => value === 't5' || value === 'mt5' || value === 'umt5',
  what: '"t5", "mt5" or "umt5"',
}
const IDS: Rule<number | readonly number[]> = {
  is: (value): value is number | readonly number[] =>
    ID.is(value) || (Array.isArray(value) && value.length > 0 && value.every((item) => ID.is(item))),
  what: 'a whole number of at least 0, or a list of them',
}

/** Takes the fields of an object, and keeps what is wrong with each. */
class Fields {
  readonly problems: string[] = []
  readonly #json: Readonly<Record<string, unknown>>

  constructor(json: unknown) {
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
    if (!isObject) this.problems.push('config: expected an object')
    this.#json = isObject ? (json as Record<string, unknown>) : {}
  }

  /** A field that may be absent or null. */
  maybe<T>(name: string, rule: Rule<T>): T | undefined {
    const value = Object.hasOwn(this.#json, name) ? (this.#json[name] ?? undefined) : undefined
    if (value === undefined || rule.is(value)) return value
    this.problems.push(`${name}: expected ${rule.what}, got ${(JSON.stringify(value) ?? 'nothing').slice(0, 60)}`)
    return undefined
  }

  /** A field that must be there; the fallback only stands in until the problems are thrown. */
  must<T>(name: string, rule: Rule<T>, standIn: T): T {
    const before = this.problems.length
    const value = this.maybe(name, rule)
    if (value === undefined && this.problems.length === before) this.problems.push(`${name}: expected ${rule.what}, got nothing`)
    return value ?? standIn
  }
}

const ACTIVATIONS: Readonly<Record<string, { readonly activation: Activation; readonly gated: boolean }>> = {
  relu: { activation: 'relu', gated: false },
  gelu_new: { activation: 'gelu', gated: false },
  silu: { activation: 'silu', gated: false },
  'gated-relu': { activation: 'relu', gated: true },
  'gated-gelu': { activation: 'gelu', gated: true }, // transformers reads it as gelu_new
  'gated-gelu_new': { activation: 'gelu', gated: true },
  'gated-silu': { activation: 'silu', gated: true },
}

/** What transformers calls its activations (`ACT2FN`); its "gelu" is the exact one, which no T5 was trained with. */
const FUNCTIONS: Readonly<Record<string, Activation>> = { relu: 'relu', gelu_new: 'gelu', silu: 'silu', swish: 'silu' }

interface FeedForward {
  readonly activation: Activation
  readonly gated: boolean
}

const unknownFunction = (field: string, got: string, known: object): ConfigError =>
  new ConfigError('t5-activation', `${field} is "${got}"; this library knows ${Object.keys(known).join(', ')}.`, { facts: { field, got } })

/** transformers derives `dense_act_fn` and `is_gated_act` from `feed_forward_proj`, then lets what config.json says of them stand. */
function feedForwardOf(fields: Fields): FeedForward | ConfigError {
  const name = fields.maybe('feed_forward_proj', TEXT) ?? 'relu'
  const act = fields.maybe('dense_act_fn', TEXT)
  const gated = fields.maybe('is_gated_act', FLAG)
  const kind = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (!kind) return unknownFunction('feed_forward_proj', name, ACTIVATIONS)
  const activation = act === undefined ? kind.activation : Object.hasOwn(FUNCTIONS, act) ? FUNCTIONS[act] : undefined
  if (activation === undefined) return unknownFunction('dense_act_fn', act ?? '', FUNCTIONS)
  return { activation, gated: gated ?? kind.gated }
}

/**
 * Reads a parsed `config.json`.
 * @throws {ConfigError} `t5-config` for a model of another family or a value out of range, `t5-activation` for an unknown feed-forward kind
 */
export function parseT5Config(json: unknown): T5Config {
  const fields = new Fields(json)
  const family = fields.must('model_type', FAMILY, 't5')
  const other = fields.problems[0]
  if (other !== undefined) {
    throw new ConfigError(
      't5-config',
      `Not the config.json of a T5: ${other}. Take a model of that family, as google/t5-base-lm-adapt or google/flan-t5-base.`,
      { facts: { problems: [other] } },
    )
  }
  const tie = fields.maybe('tie_word_embeddings', FLAG)
  // Said outright (transformers 5); else v1.0's sign is that the embeddings are tied. mT5 never scales.
  const scaleOutput = fields.maybe('scale_decoder_outputs', FLAG) ?? (family !== 'mt5' && tie !== false)
  const encoderLayers = fields.must('num_layers', COUNT, 1)
  const padId = fields.maybe('pad_token_id', ID) ?? 0
  const eos = fields.maybe('eos_token_id', IDS) ?? 1
  const feedForward = feedForwardOf(fields)
  const sizes = {
    vocabSize: fields.must('vocab_size', COUNT, 1),
    width: fields.must('d_model', COUNT, 1),
    headWidth: fields.must('d_kv', COUNT, 1),
    heads: fields.must('num_heads', COUNT, 1),
    innerWidth: fields.must('d_ff', COUNT, 1),
    encoderLayers,
    decoderLayers: fields.maybe('num_decoder_layers', COUNT) ?? encoderLayers,
    epsilon: fields.maybe('layer_norm_epsilon', SIZE) ?? 1e-6,
    buckets: fields.maybe('relative_attention_num_buckets', COUNT) ?? 32,
    maxDistance: fields.maybe('relative_attention_max_distance', COUNT) ?? 128,
    startId: fields.maybe('decoder_start_token_id', ID) ?? padId,
  }
  const { problems } = fields
  if (problems.length > 0) {
    throw new ConfigError('t5-config', `Not the config.json of a T5: ${problems.join('; ')}. Fetch the file again.`, {
      facts: { problems },
    })
  }
  if (feedForward instanceof ConfigError) throw feedForward
  return {
    ...feedForward,
    ...sizes,
    biasInEveryLayer: family === 'umt5',
    scaleOutput,
    // transformers 5 writes tie_word_embeddings: true for v1.1 as well; there only the missing scale tells
    tied: scaleOutput && tie !== false,
    padId,
    eosId: typeof eos === 'number' ? eos : (eos[0] as number),
  }
}
