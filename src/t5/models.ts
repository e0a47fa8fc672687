/** The model's two halves for decoding with this library's own loop; position buckets are fed. */
import { createBuilder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import type { Dim, Graph } from '../graph/ir.ts'
import { reshape } from '../graph/ops.ts'
import { areShort, head } from './blocks.ts'
import type { T5Config } from './config.ts'
import { dense } from './layout.ts'
import { decoderStack, embedPrompted, encoderStack } from './stacks.ts'

/**
 * Builds the encoder of prompted sequences: the feeds of `packRows`, `prompts` [K, P, D], `prompt_index` [B] and `encoder_buckets` [S, S] ->
 * `last_hidden_state` [B, S, D]. P may be 0.
 */
export function buildEncoder(config: T5Config): Graph {
  const g = createBuilder('encoder')
  const context = { g, config }
  const embedded = embedPrompted(context)
  const buckets = g.input('encoder_buckets', 'I64', ['S', 'S'])
  return g.finish({ last_hidden_state: embedded.layout.pad(encoderStack(context, embedded, buckets)) })
}

/**
 * Builds the decoder over whole prefixes: `decoder_input_ids` [B, U], `decoder_buckets` [U, U], `encoder_hidden_states` [B, S, D],
 * `encoder_attention_mask` [B, S] -> `logits` [B, U, V]. `targetTokens` is the U it is made for; it runs any.
 */
export function buildDecoder(config: T5Config, options: { readonly targetTokens?: number } = {}): Graph {
  const g = createBuilder('decoder')
  const context = { g, config, shortTargets: areShort(config, options.targetTokens ?? 1) }
  const ids = g.input('decoder_input_ids', 'I64', ['B', 'U'])
  const buckets = g.input('decoder_buckets', 'I64', ['U', 'U'])
  const hidden = reshape(g, g.input('encoder_hidden_states', 'F32', ['B', 'S', config.width]), [times('B', 'S'), config.width])
  const mask = g.input('encoder_attention_mask', 'I64', ['B', 'S'])
  const logits = head(context, decoderStack(context, ids, buckets, { hidden, mask, layout: dense(g, config, 'B', 'S') }))
  return g.finish({ logits: reshape(g, logits, ['B', 'U', config.vocabSize] satisfies Dim[]) })
}
