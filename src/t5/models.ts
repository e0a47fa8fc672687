/** The model's two halves for decoding with this library's own loop; position buckets are fed. */
import { createBuilder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import type { Dim, Graph, Value } from '../graph/ir.ts'
import { reshape } from '../graph/ops.ts'
import { areShort, head } from './blocks.ts'
import type { T5Config } from './config.ts'
import { decoderStack, embedPrompted, embedTokens, encoderStack } from './stacks.ts'

/**
 * Builds the encoder: `input_ids` [B, T], `attention_mask` [B, T], `encoder_buckets` [S, S] and, where `prompted`, `prompts` [K, P, D],
 * `prompt_index` [B] and `prompt_mask` [B, P] -> `last_hidden_state` [B, S, D]. P may be 0.
 */
export function buildEncoder(config: T5Config, options: { readonly prompted: boolean }): Graph {
  const g = createBuilder('encoder')
  const context = { g, config }
  const ids = g.input('input_ids', 'I64', ['B', 'T'])
  const mask = g.input('attention_mask', 'I64', ['B', 'T'])
  const length = options.prompted ? 'S' : 'T'
  const buckets = g.input('encoder_buckets', 'I64', [length, length])
  const prompts = (): [Value, Value, Value] => [
    g.input('prompts', 'F32', ['K', 'P', config.width]),
    g.input('prompt_index', 'I64', ['B']),
    g.input('prompt_mask', 'I64', ['B', 'P']),
  ]
  const embedded = options.prompted ? embedPrompted(context, ids, mask, ...prompts()) : embedTokens(context, ids, mask)
  return g.finish({ last_hidden_state: reshape(g, encoderStack(context, embedded, buckets), ['B', length, config.width]) })
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
  const logits = head(context, decoderStack(context, ids, buckets, hidden, mask))
  return g.finish({ logits: reshape(g, logits, ['B', 'U', config.vocabSize] satisfies Dim[]) })
}
