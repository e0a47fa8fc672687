/** T5's blocks in standard operators. Activations are flat, [B·S, D]; weights stay as stored, [out, in]. Source: transformers `modeling_t5.py`. */
import type { Builder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import type { Dim, Value } from '../graph/ir.ts'
import {
  add,
  apply,
  cast,
  concat,
  gather,
  gelu,
  linear,
  matMul,
  mul,
  relu,
  reshape,
  rmsNorm,
  scale,
  sigmoid,
  softmax,
  sub,
  swapLast,
  transpose,
} from '../graph/ops.ts'
import { tensor } from '../tensor/tensor.ts'
import type { T5Config } from './config.ts'
import { embeddingNames, finalNormWeight, headNames, normWeight, partWeight, type Side } from './names.ts'

/** What every builder of a part needs. */
export interface Context {
  readonly g: Builder
  readonly config: T5Config
  /** Targets are much shorter than d_kv: cross-attention then costs less with its key and value weights absorbed. */
  readonly shortTargets?: boolean
  /** Dropout of one place; absent = none. */
  readonly drop?: (x: Value) => Value
}

/** One of T5's places for dropout. */
export const dropped = ({ drop }: Context, x: Value): Value => drop?.(x) ?? x

/** Whether targets of this many tokens are short enough for `attendAbsorbed`. */
export const areShort = ({ headWidth }: T5Config, targets: number): boolean => targets <= headWidth / 2

/** Added to the score of a key that may not be seen: the lowest F32, as PyTorch has it. */
const HIDDEN = -3.4028234663852886e38

/** Rows of the embedding matrix: ids [..] -> [.., D]. */
export const embed = ({ g, config }: Context, ids: Value): Value =>
  gather(g, g.weight(embeddingNames(config), [config.vocabSize, config.width]), ids)

/**
 * Added to the score of a copy of a key that is seen, so that its weight is below e^-30 of that key's: thousands of copies change no F32 sum. From `HIDDEN`,
 * onnxruntime makes weights of about 1e-39, denormal numbers, which processors multiply slowly.
 */
const FAINT = -30

/** mask [B, S] (1 = visible) -> added scores [B, 1, 1, S]. `copies`: keys that are not visible are copies of one that is. */
export const maskBias = ({ g }: Context, mask: Value, copies = false): Value => hide(g, mask, g.scalar(copies ? FAINT : HIDDEN))

/** mask [B, S] and a score [] or [1, H, 1, 1] -> that score for keys that are not visible [B, 1 or H, 1, S]. */
function hide(g: Builder, mask: Value, score: Value): Value {
  const [rows, keys] = mask.shape as [Dim, Dim]
  return mul(g, reshape(g, sub(g, g.scalar(1), cast(g, mask, 'F32')), [rows, 1, 1, keys]), score)
}

/** The position bias of one block: [buckets, H]. */
function positionTable({ g, config }: Context, side: Side, block: number): Value {
  const name = partWeight(side, config.biasInEveryLayer ? block : 0, 'SelfAttention', 'relative_attention_bias')
  return g.weight(name, [config.buckets, config.heads])
}

/** Added scores of an encoder's block, by position and mask [B, S]: buckets [S, S] -> [B, H, S, S]. */
export function encoderBias(context: Context, block: number, buckets: Value, mask: Value, copies: boolean): Value {
  const { g, config } = context
  const positions = positionBias(context, 'encoder', block, buckets)
  if (!copies) return add(g, positions, maskBias(context, mask))
  // A copy stands at another distance than its original: the widest step of the position bias comes on top.
  const table = transpose(g, positionTable(context, 'encoder', block), [1, 0])
  const most = (x: Value): Value => reshape(g, apply(g, 'ReduceMax', [x], {}), [1, config.heads, 1, 1])
  const faint = sub(g, sub(g, g.scalar(FAINT), most(table)), most(scale(g, table, -1)))
  return add(g, positions, hide(g, mask, faint))
}

/** buckets [Q, S] -> added scores [1, H, Q, S] of one block. In decoders the bucket after the last hides the key. */
export function positionBias(context: Context, side: Side, block: number, buckets: Value): Value {
  const { g, config } = context
  const { buckets: size, heads } = config
  const table = positionTable(context, side, block)
  const hidden = (): Value => g.constant(tensor('F32', [1, heads], new Float32Array(heads).fill(HIDDEN)))
  const seen = gather(g, side === 'encoder' ? table : concat(g, table, hidden(), 0, size + 1), buckets) // [Q, S, H]
  return reshape(g, transpose(g, seen, [2, 0, 1]), [1, heads, ...buckets.shape])
}

/** Attention of queries [B, H, Q, d] over keys and values [B, H, S, d] -> [B, H, Q, d]. T5 does not scale the scores. */
export function attend(context: Context, queries: Value, keys: Value, values: Value, bias: Value): Value {
  const { g } = context
  const weights = dropped(context, softmax(g, add(g, matMul(g, queries, swapLast(g, keys)), bias))) // [B, H, Q, S]
  return matMul(g, weights, values)
}

/**
 * Cross-attention without projecting the encoder's side [B, S, D]: q·(W_k·e) = (q·W_k)·e and P·(W_v·e) = W_v·(P·e), so that all products with the long
 * side are by H·Q rows. Cheaper than projecting them while Q < d. Queries [B·Q, H·d] -> [B·Q, H·d].
 */
export function attendAbsorbed(
  context: Context,
  block: number,
  queries: Value,
  [batch, length]: readonly [Dim, Dim],
  memory: Value,
  bias: Value,
): Value {
  const { g, config } = context
  const { heads, headWidth, width } = config
  const keys = memory.shape[1] as Dim
  const rows = times(batch, length)
  const weight = (name: 'k' | 'v'): Value =>
    reshape(g, g.weight(partWeight('decoder', block, 'EncDecAttention', name), [heads * headWidth, width]), [heads, headWidth, width])
  /** [H, B·Q, D] <-> [B, H·Q, D] */
  const byRow = (x: Value): Value =>
    reshape(g, transpose(g, reshape(g, x, [heads, batch, length, width]), [1, 0, 2, 3]), [batch, times(heads, length), width])
  const byHead = (x: Value): Value =>
    reshape(g, transpose(g, reshape(g, x, [batch, heads, length, width]), [1, 0, 2, 3]), [heads, rows, width])
  const split = transpose(g, reshape(g, queries, [rows, heads, headWidth]), [1, 0, 2]) // [H, B·Q, d]
  const scores = matMul(g, byRow(matMul(g, split, weight('k'))), swapLast(g, memory)) // [B, H·Q, S]
  const weights = dropped(context, softmax(g, add(g, reshape(g, scores, [batch, heads, length, keys]), bias)))
  const mixed = matMul(g, reshape(g, weights, [batch, times(heads, length), keys]), memory) // [B, H·Q, D]
  const values = matMul(g, byHead(mixed), swapLast(g, weight('v'))) // [H, B·Q, d]
  return reshape(g, transpose(g, values, [1, 0, 2]), [rows, heads * headWidth])
}

/** One projection of an attention part: x [N, D] -> [N, H·d]. */
export function project({ g, config }: Context, side: Side, block: number, part: AttentionPart, weight: 'q' | 'k' | 'v', x: Value): Value {
  return linear(g, x, g.weight(partWeight(side, block, part, weight), [config.heads * config.headWidth, config.width]))
}
export type AttentionPart = 'SelfAttention' | 'EncDecAttention'

/** The output projection and the residual sum: mixed [N, H·d], x [N, D] -> [N, D]. */
export function attentionOutput(context: Context, side: Side, block: number, part: AttentionPart, mixed: Value, x: Value): Value {
  const { g, config } = context
  const output = linear(g, mixed, g.weight(partWeight(side, block, part, 'o'), [config.width, config.heads * config.headWidth]))
  return add(g, x, dropped(context, output))
}

/** The norm in front of a part: x [N, D] -> [N, D]. */
export const normed = ({ g, config }: Context, side: Side, block: number, part: AttentionPart | 'DenseReluDense', x: Value): Value =>
  rmsNorm(g, x, g.weight(normWeight(side, block, part), [config.width]), config.epsilon)
export function finalNorm(context: Context, side: Side, x: Value): Value {
  const { g, config } = context
  return dropped(context, rmsNorm(g, x, g.weight(finalNormWeight(side), [config.width]), config.epsilon))
}

/** The feed-forward part with its norm and residual sum: x [N, D] -> [N, D]. */
export function feedForward(context: Context, side: Side, block: number, x: Value): Value {
  const { g, config } = context
  const { width, innerWidth } = config
  const inner = normed(context, side, block, 'DenseReluDense', x)
  const into = (name: string): Value => linear(g, inner, g.weight(partWeight(side, block, 'DenseReluDense', name), [innerWidth, width]))
  const active = activate(context, into(config.gated ? 'wi_0' : 'wi'))
  const hidden = dropped(context, config.gated ? mul(g, active, into('wi_1')) : active)
  const output = linear(g, hidden, g.weight(partWeight(side, block, 'DenseReluDense', 'wo'), [width, innerWidth]))
  return add(g, x, dropped(context, output))
}

function activate({ g, config }: Context, x: Value): Value {
  if (config.activation === 'relu') return relu(g, x)
  return config.activation === 'gelu' ? gelu(g, x) : mul(g, x, sigmoid(g, x))
}

/** Decoder output [N, D] -> logits [N, V]. */
export function head({ g, config }: Context, hidden: Value): Value {
  const scaled = config.scaleOutput ? scale(g, hidden, config.width ** -0.5) : hidden
  return linear(g, scaled, g.weight(headNames(config), [config.vocabSize, config.width]))
}
