/** T5's configuration, from `config.json`. Source: transformers 5 `T5Config`, `MT5Config`, `UMT5Config` and the 4.x files on the Hub. */
import * as v from 'valibot'
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

const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const id = v.pipe(v.number(), v.integer(), v.minValue(0))
const CONFIG = v.object({
  model_type: v.picklist(['t5', 'mt5', 'umt5']),
  vocab_size: count,
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_heads: count,
  num_layers: count,
  num_decoder_layers: v.nullish(count),
  feed_forward_proj: v.nullish(v.string(), 'relu'),
  layer_norm_epsilon: v.optional(v.pipe(v.number(), v.minValue(0)), 1e-6),
  relative_attention_num_buckets: v.optional(count, 32),
  relative_attention_max_distance: v.optional(count, 128),
  tie_word_embeddings: v.nullish(v.boolean()),
  scale_decoder_outputs: v.nullish(v.boolean()),
  pad_token_id: v.nullish(id, 0),
  eos_token_id: v.nullish(v.union([id, v.pipe(v.array(id), v.minLength(1))]), 1),
  decoder_start_token_id: v.nullish(id),
})

const ACTIVATIONS: Readonly<Record<string, { readonly activation: Activation; readonly gated: boolean }>> = {
  relu: { activation: 'relu', gated: false },
  gelu_new: { activation: 'gelu', gated: false },
  silu: { activation: 'silu', gated: false },
  'gated-relu': { activation: 'relu', gated: true },
  'gated-gelu': { activation: 'gelu', gated: true }, // transformers reads it as gelu_new
  'gated-gelu_new': { activation: 'gelu', gated: true },
  'gated-silu': { activation: 'silu', gated: true },
}

/**
 * Reads a parsed `config.json`.
 * @throws {ConfigError} `t5-config` for a model of another family or a value out of range, `t5-activation` for an unknown feed-forward kind
 */
export function parseT5Config(json: unknown): T5Config {
  const parsed = v.safeParse(CONFIG, json)
  if (!parsed.success) {
    const problems = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? 'config'}: ${issue.message}`)
    throw new ConfigError('t5-config', `Not the config.json of a T5 (t5, mt5 or umt5). ${problems.join('; ')}.`, { facts: { problems } })
  }
  const config = parsed.output
  const kind = ACTIVATIONS[config.feed_forward_proj]
  if (!kind) {
    throw new ConfigError(
      't5-activation',
      `feed_forward_proj is "${config.feed_forward_proj}"; this library knows ${Object.keys(ACTIVATIONS).join(', ')}.`,
      { facts: { got: config.feed_forward_proj } },
    )
  }
  const scaleOutput = scales(config)
  return {
    ...kind,
    vocabSize: config.vocab_size,
    width: config.d_model,
    headWidth: config.d_kv,
    heads: config.num_heads,
    innerWidth: config.d_ff,
    encoderLayers: config.num_layers,
    decoderLayers: config.num_decoder_layers ?? config.num_layers,
    epsilon: config.layer_norm_epsilon,
    buckets: config.relative_attention_num_buckets,
    maxDistance: config.relative_attention_max_distance,
    biasInEveryLayer: config.model_type === 'umt5',
    scaleOutput,
    // transformers 5 writes tie_word_embeddings: true for v1.1 as well; there only the missing scale tells
    tied: scaleOutput && config.tie_word_embeddings !== false,
    padId: config.pad_token_id,
    eosId: typeof config.eos_token_id === 'number' ? config.eos_token_id : (config.eos_token_id[0] as number),
    startId: config.decoder_start_token_id ?? config.pad_token_id,
  }
}

/** Whether the decoder's output is scaled: said outright (transformers 5), else v1.0's sign is that the embeddings are tied; mT5 never is. */
const scales = (config: v.InferOutput<typeof CONFIG>): boolean =>
  config.scale_decoder_outputs ?? (config.model_type !== 'mt5' && config.tie_word_embeddings !== false)
