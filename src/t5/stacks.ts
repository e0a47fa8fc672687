/** The encoder and decoder stacks, each written once for training, scoring and export. */
import { times } from '../graph/dims.ts'
import type { Dim, Value } from '../graph/ir.ts'
import { add, concat, gather, reshape } from '../graph/ops.ts'
import {
  attend,
  attendAbsorbed,
  attentionOutput,
  embed,
  feedForward,
  finalNorm,
  maskBias,
  normed,
  ones,
  positionBias,
  project,
  splitHeads,
  type Context,
} from './blocks.ts'
import type { Side } from './names.ts'

/** Embedded tokens with their mask, flat: the input of the encoder stack. */
export interface Embedded {
  readonly x: Value // [B·S, D]
  readonly mask: Value // [B, S]
  readonly parts?: Parts
}

/** What the input was joined from. In the first layer what is computed row by row is computed once a prompt, and frozen tokens need no gradient. */
interface Parts {
  readonly prompts: Value // [K, P, D]
  readonly promptIndex: Value // [B]
  readonly tokens: Value // [B, T, D]
}

/** Embeds input_ids [B, T]. */
export function embedTokens(context: Context, inputIds: Value, mask: Value): Embedded {
  const [batch, length] = inputIds.shape as [Dim, Dim]
  return { x: reshape(context.g, embed(context, inputIds), [times(batch, length), context.config.width]), mask }
}

/** Puts each row's prompt (prompts [K, P, D], prompt_index [B], promptMask [B, P], default all seen) in front of its embedded tokens: S = P + T. */
export function embedPrompted(
  context: Context,
  inputIds: Value,
  mask: Value,
  prompts: Value,
  promptIndex: Value,
  promptMask?: Value,
): Embedded {
  const { g, config } = context
  const [batch, tokens] = inputIds.shape as [Dim, Dim]
  const length = prompts.shape[1] as Dim
  const joined = g.symbol('S', { sum: [length, tokens] })
  const embedded = embed(context, inputIds)
  const rows = concat(g, gather(g, prompts, promptIndex), embedded, 1, joined) // [B, S, D]
  return {
    parts: { prompts, promptIndex, tokens: embedded },
    x: reshape(g, rows, [times(batch, joined), config.width]),
    mask: concat(g, promptMask ?? ones(context, batch, length), mask, 1, joined),
  }
}

/** Embedded tokens and position buckets [S, S] -> hidden states [B·S, D], after the final norm. */
export function encoderStack(context: Context, { x: embedded, mask, parts }: Embedded, buckets: Value): Value {
  const { g, config } = context
  const hidden = maskBias(context, mask)
  let x = embedded
  for (let block = 0; block < config.encoderLayers; block++) {
    const bias = add(g, positionBias(context, 'encoder', block, buckets), hidden)
    const apart =
      block === 0 && parts ? (weight: Projection): Value => projectParts(context, weight, parts, mask.shape[1] as Dim) : undefined
    x = selfAttention(context, 'encoder', block, x, mask.shape as [Dim, Dim], bias, apart)
    x = feedForward(context, 'encoder', block, x)
  }
  return finalNorm(context, 'encoder', x)
}

/** Decoder ids [B, U], buckets [U, U] and the encoder's hidden states [B·S, D] with mask [B, S] -> [B·U, D], after the final norm. */
export function decoderStack(context: Context, ids: Value, buckets: Value, hidden: Value, mask: Value): Value {
  const { config } = context
  const [batch, length] = ids.shape as [Dim, Dim]
  const crossBias = maskBias(context, mask)
  let x = reshape(context.g, embed(context, ids), [times(batch, length), config.width])
  for (let block = 0; block < config.decoderLayers; block++) {
    x = selfAttention(context, 'decoder', block, x, [batch, length], positionBias(context, 'decoder', block, buckets))
    x = crossAttention(context, block, x, [batch, length], hidden, mask.shape[1] as Dim, crossBias)
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
  [batch, length]: [Dim, Dim],
  bias: Value,
  projected?: (weight: Projection) => Value,
): Value {
  const part = 'SelfAttention'
  const whole = (weight: Projection): Value => project(context, side, block, part, weight, normed(context, side, block, part, x))
  const heads = (weight: Projection): Value => splitHeads(context, (projected ?? whole)(weight), batch, length)
  const mixed = attend(context, heads('q'), heads('k'), heads('v'), bias)
  return attentionOutput(context, side, block, part, mixed, x)
}

/** One projection of the first layer, of prompts and tokens apart: -> [B, S, H·d]. */
function projectParts(context: Context, weight: Projection, { prompts, promptIndex, tokens }: Parts, joined: Dim): Value {
  const { g, config } = context
  const rowwise = (x: Value): Value => {
    const [rows, length] = x.shape as [Dim, Dim]
    const inner = normed(context, 'encoder', 0, 'SelfAttention', reshape(g, x, [times(rows, length), config.width]))
    return reshape(g, project(context, 'encoder', 0, 'SelfAttention', weight, inner), [rows, length, config.heads * config.headWidth])
  }
  return concat(g, gather(g, rowwise(prompts), promptIndex), rowwise(tokens), 1, joined)
}

function crossAttention(
  context: Context,
  block: number,
  x: Value,
  [batch, length]: [Dim, Dim],
  hidden: Value,
  keys: Dim,
  bias: Value,
): Value {
  const part = 'EncDecAttention'
  const queries = project(context, 'decoder', block, part, 'q', normed(context, 'decoder', block, part, x))
  if (context.shortTargets) {
    const mixed = attendAbsorbed(context, block, queries, [batch, length], hidden, keys, bias)
    return attentionOutput(context, 'decoder', block, part, mixed, x)
  }
  const memory = (weight: 'k' | 'v'): Value => splitHeads(context, project(context, 'decoder', block, part, weight, hidden), batch, keys)
  const mixed = attend(context, splitHeads(context, queries, batch, length), memory('k'), memory('v'), bias)
  return attentionOutput(context, 'decoder', block, part, mixed, x)
}
