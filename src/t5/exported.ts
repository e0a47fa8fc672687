/**
 * The encoder and the merged decoder as transformers.js and optimum expect them: input and output names of optimum's
 * `text2text-generation-with-past` export, positions computed in the graph.
 */
import { createBuilder, type Builder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import type { Dim, Graph, Value } from '../graph/ir.ts'
import { add, apply, concat, gather, range, reshape, slice, sub } from '../graph/ops.ts'
import { tensor } from '../tensor/tensor.ts'
import {
  attend,
  attentionOutput,
  embed,
  feedForward,
  finalNorm,
  head,
  maskBias,
  normed,
  positionBias,
  project,
  type AttentionPart,
  type Context,
} from './blocks.ts'
import type { T5Config } from './config.ts'
import { dense } from './layout.ts'
import { bucketOf } from './positions.ts'
import { embedTokens, encoderStack } from './stacks.ts'

/** Axis names; transformers.js makes empty caches from `batch_size` and takes every other name for 0. */
const BATCH = 'batch_size'
const SOURCE = 'encoder_sequence_length'
const TARGET = 'decoder_sequence_length'
const PAST = 'past_decoder_sequence_length'
const PAST_SOURCE = 'encoder_sequence_length_out'
/** 1 where the caches are used, 0 on the first call. */
const USE = 'use_cache'

/** Builds `encoder_model.onnx`: `input_ids`, `attention_mask` -> `last_hidden_state`. */
export function buildExportedEncoder(config: T5Config): Graph {
  const g = createBuilder('encoder_model')
  const context = { g, config }
  const ids = g.input('input_ids', 'I64', [BATCH, SOURCE])
  const mask = g.input('attention_mask', 'I64', [BATCH, SOURCE])
  const positions = range(g, SOURCE)
  const hidden = encoderStack(context, embedTokens(context, ids, mask), bucketsInGraph(context, positions, positions, true))
  return g.finish({ last_hidden_state: reshape(g, hidden, [BATCH, SOURCE, config.width]) })
}

/**
 * Builds `decoder_model_merged.onnx`. Where `use_cache_branch` is false the caches are cut to nothing and the cross-attention keys are
 * projected from `encoder_hidden_states`; where it is true it is the hidden states that are cut, so that no branch is needed.
 */
export function buildMergedDecoder(config: T5Config): Graph {
  const g = createBuilder('decoder_model_merged')
  const context = { g, config }
  const { heads, headWidth, width } = config
  const mask = g.input('encoder_attention_mask', 'I64', [BATCH, SOURCE])
  const ids = g.input('input_ids', 'I64', [BATCH, TARGET])
  const encoderHidden = g.input('encoder_hidden_states', 'F32', [BATCH, SOURCE, width])
  const pasts = Array.from({ length: config.decoderLayers }, (_, block) => {
    const past = (side: 'decoder' | 'encoder', part: 'key' | 'value'): Value =>
      g.input(`past_key_values.${block}.${side}.${part}`, 'F32', [BATCH, heads, side === 'decoder' ? PAST : PAST_SOURCE, headWidth])
    return { self: [past('decoder', 'key'), past('decoder', 'value')], cross: [past('encoder', 'key'), past('encoder', 'value')] } as const
  })
  g.input('use_cache_branch', 'BOOL', [1])
  g.symbol(USE, { input: 'use_cache_branch' })

  const before = times(USE, PAST)
  const total = g.symbol('total_decoder_sequence_length', { sum: [before, TARGET] })
  const fresh = g.symbol('new_encoder_sequence_length', { sum: [SOURCE, times(-1, USE, SOURCE)] })
  const keyPositions = range(g, total)
  const queryPositions = slice(g, keyPositions, { axis: 0, start: before, size: TARGET })
  const buckets = bucketsInGraph(context, queryPositions, keyPositions, false)
  const hidden = reshape(g, slice(g, encoderHidden, { axis: 1, start: 0, end: fresh, size: fresh }), [times(BATCH, fresh), width])
  const crossBias = maskBias(context, mask)
  const presents: Record<string, Value> = {}

  /** Cached keys or values in front of new ones, cut to nothing where the cache is not used: [B, H, S, d]. */
  const cached = (past: Value, added: Value, length: Dim): Value => {
    const used = times(USE, past.shape[2] as Dim)
    return concat(g, slice(g, past, { axis: 2, start: 0, end: used, size: used }), added, 2, length)
  }
  const attention = (block: number, part: AttentionPart, x: Value, from: Value | undefined, lengths: Lengths, bias: Value): Value => {
    const inner = normed(context, 'decoder', block, part, x)
    const of = (weight: 'q' | 'k' | 'v', source: Value, length: Dim): Value =>
      dense(g, config, BATCH, length).split(project(context, 'decoder', block, part, weight, source))
    const [side, name] = part === 'SelfAttention' ? (['self', 'decoder'] as const) : (['cross', 'encoder'] as const)
    const [pastKeys, pastValues] = (pasts[block] as (typeof pasts)[number])[side]
    const [newKeys, newValues] = [of('k', from ?? inner, lengths.added), of('v', from ?? inner, lengths.added)]
    const keys = cached(pastKeys, newKeys, lengths.all)
    const values = cached(pastValues, newValues, lengths.all)
    // The encoder's side never changes: what the caller has is not handed out again (optimum's decoders do likewise).
    presents[`present.${block}.${name}.key`] = from ? newKeys : keys
    presents[`present.${block}.${name}.value`] = from ? newValues : values
    const mixed = dense(g, config, BATCH, TARGET).join(attend(context, of('q', inner, TARGET), keys, values, bias))
    return attentionOutput(context, 'decoder', block, part, mixed, x)
  }

  let x = reshape(g, embed(context, ids), [times(BATCH, TARGET), width])
  for (let block = 0; block < config.decoderLayers; block++) {
    const bias = positionBias(context, 'decoder', block, buckets)
    x = attention(block, 'SelfAttention', x, undefined, { added: TARGET, all: total }, bias)
    x = attention(block, 'EncDecAttention', x, hidden, { added: fresh, all: SOURCE }, crossBias)
    x = feedForward(context, 'decoder', block, x)
  }
  const logits = reshape(g, head(context, finalNorm(context, 'decoder', x)), [BATCH, TARGET, config.vocabSize])
  return g.finish({ logits, ...presents })
}

interface Lengths {
  /** Keys made in this call. */
  readonly added: Dim
  /** All keys, cached ones first. */
  readonly all: Dim
}

/** Position buckets of queries [Q] and keys [S] -> [Q, S], looked up by their distance in a small table. */
function bucketsInGraph({ g, config }: Context, queries: Value, keys: Value, bidirectional: boolean): Value {
  const farthest = config.maxDistance // every distance beyond it has the last bucket
  const latest = bidirectional ? farthest : 1
  const buckets = Array.from({ length: farthest + latest + 1 }, (_, index) => BigInt(bucketOf(index - farthest, config, bidirectional)))
  const table = g.constant(tensor('I64', [buckets.length], BigInt64Array.from(buckets)))
  const column = reshape(g, queries, [...queries.shape, 1])
  const relative = sub(g, reshape(g, keys, [1, ...keys.shape]), column) // [Q, S]
  const clipped = apply(g, 'Clip', [relative], { min: -farthest, max: latest })
  return gather(g, table, add(g, clipped, integer(g, farthest)))
}

const integer = (g: Builder, value: number): Value => g.constant(tensor('I64', [], BigInt64Array.of(BigInt(value))))
