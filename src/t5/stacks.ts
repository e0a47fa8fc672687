/** The encoder and decoder stacks, each written once for training, scoring and export. */
import { times } from '../graph/dims.ts'
import type { Dim, Value } from '../graph/ir.ts'
import { concat, gather, reshape } from '../graph/ops.ts'
import {
  attend,
  attendAbsorbed,
  attentionOutput,
  dropped,
  embed,
  encoderBias,
  feedForward,
  finalNorm,
  maskBias,
  normed,
  positionBias,
  project,
  type Context,
} from './blocks.ts'
import { dense, packed, type Layout } from './layout.ts'
import type { Side } from './names.ts'

/** Embedded tokens with their mask, flat: the input of the encoder stack. */
export interface Embedded {
  readonly x: Value // [N, D]
  readonly mask: Value // [B, S]
  readonly layout: Layout
  readonly parts?: Parts
}

/** What the input was joined from. In the first layer what is computed row by row is computed once a prompt, and frozen tokens need no gradient. */
interface Parts {
  readonly prompts: Value // [K, P, D]
  readonly promptIndex: Value // [B]
  readonly tokens: Value // [M, D]
}

/** What the decoder attends to: the encoder's hidden states. */
export interface Memory {
  readonly hidden: Value // [N, D]
  readonly mask: Value // [B, S]
  readonly layout: Layout
}

/** Embeds input_ids [B, T]. */
export function embedTokens(context: Context, inputIds: Value, mask: Value): Embedded {
  const { g, config } = context
  const [batch, length] = inputIds.shape as [Dim, Dim]
  const x = reshape(g, embed(context, inputIds), [times(batch, length), config.width])
  return { x, mask, layout: dense(g, config, batch, length) }
}

/** Each sequence's prompt in front of its embedded tokens, packed: adds the inputs `prompts` [K, P, D], `prompt_index` [B] and those of `packRows`. */
export function embedPrompted(context: Context): Embedded & { readonly parts: Parts } {
  const { g, config } = context
  const tokens = embed(context, g.input('token_ids', 'I64', ['M']))
  const mask = g.input('encoder_mask', 'I64', ['B', 'S'])
  const prompts = g.input('prompts', 'F32', ['K', 'P', config.width])
  const promptIndex = g.input('prompt_index', 'I64', ['B'])
  const parts = { prompts, promptIndex, tokens }
  return { parts, x: joinParts(context, parts, prompts, tokens), mask, layout: packed(g, config) }
}

/** Every sequence's prompt, its rows [K, P, ..] computed once, in front of all tokens' rows [M, ..]: [N, ..]. */
function joinParts({ g }: Context, { promptIndex }: Parts, prompts: Value, tokens: Value): Value {
  const used = reshape(g, gather(g, prompts, promptIndex), [times('B', 'P'), tokens.shape[1] as Dim])
  return concat(g, used, tokens, 0, g.symbol('N', { sum: [times('B', 'P'), 'M'] }))
}

/** Embedded tokens and position buckets [S, S] -> hidden states [N, D], after the final norm. */
export function encoderStack(context: Context, { x: embedded, mask, layout, parts }: Embedded, buckets: Value): Value {
  const { config } = context
  let x = dropped(context, embedded)
  for (let block = 0; block < config.encoderLayers; block++) {
    const bias = encoderBias(context, block, buckets, mask, layout.copies)
    // With dropout a prompt is another in every row.
    const apart = block === 0 && parts && !context.drop ? (weight: Projection): Value => projectParts(context, weight, parts) : undefined
    x = selfAttention(context, 'encoder', block, x, layout, bias, apart)
    x = feedForward(context, 'encoder', block, x)
  }
  return finalNorm(context, 'encoder', x)
}

/** Decoder ids [B, U], buckets [U, U] and the encoder's memory -> [B·U, D], after the final norm. */
export function decoderStack(context: Context, ids: Value, buckets: Value, memory: Memory): Value {
  const { g, config } = context
  const [batch, length] = ids.shape as [Dim, Dim]
  const layout = dense(g, config, batch, length)
  const crossBias = maskBias(context, memory.mask, memory.layout.copies)
  let x = dropped(context, reshape(g, embed(context, ids), [times(batch, length), config.width]))
  for (let block = 0; block < config.decoderLayers; block++) {
    x = selfAttention(context, 'decoder', block, x, layout, positionBias(context, 'decoder', block, buckets))
    x = crossAttention(context, block, x, layout, memory, crossBias)
    x = feedForward(context, 'decoder', block, x)
  }
  return finalNorm(context, 'decoder', x)
}

type Projection = 'q' | 'k' | 'v'

function selfAttention(
  context: Context,
  side: Side,
  block: number,
  x: Value,
  layout: Layout,
  bias: Value,
  projected?: (weight: Projection) => Value,
): Value {
  const part = 'SelfAttention'
  const whole = (weight: Projection): Value => project(context, side, block, part, weight, normed(context, side, block, part, x))
  const heads = (weight: Projection): Value => layout.split((projected ?? whole)(weight))
  const mixed = layout.join(attend(context, heads('q'), heads('k'), heads('v'), bias))
  return attentionOutput(context, side, block, part, mixed, x)
}

/** One projection of the first layer, of prompts and tokens apart: -> [N, H·d]. */
function projectParts(context: Context, weight: Projection, parts: Parts): Value {
  const { g, config } = context
  const rowwise = (x: Value): Value =>
    project(context, 'encoder', 0, 'SelfAttention', weight, normed(context, 'encoder', 0, 'SelfAttention', x))
  const [count, length] = parts.prompts.shape as [Dim, Dim]
  const prompts = rowwise(reshape(g, parts.prompts, [times(count, length), config.width]))
  return joinParts(context, parts, reshape(g, prompts, [count, length, prompts.shape[1] as Dim]), rowwise(parts.tokens))
}

function crossAttention(context: Context, block: number, x: Value, layout: Layout, memory: Memory, bias: Value): Value {
  const part = 'EncDecAttention'
  const queries = project(context, 'decoder', block, part, 'q', normed(context, 'decoder', block, part, x))
  if (context.shortTargets) {
    const mixed = attendAbsorbed(context, block, queries, [layout.batch, layout.length], memory.layout.pad(memory.hidden), bias)
    return attentionOutput(context, 'decoder', block, part, mixed, x)
  }
  const heads = (weight: 'k' | 'v'): Value => memory.layout.split(project(context, 'decoder', block, part, weight, memory.hidden))
  const mixed = layout.join(attend(context, layout.split(queries), heads('k'), heads('v'), bias))
  return attentionOutput(context, 'decoder', block, part, mixed, x)
}
