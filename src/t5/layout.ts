/** How the rows of flat activations stand for a batch of sequences: padded to one length, or packed without the padding. */
import type { Builder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import type { Dim, Value } from '../graph/ir.ts'
import { reshape, take, transpose } from '../graph/ops.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { T5Config } from './config.ts'

/** Flat rows [N, ..] of sequences [B, S, ..]. */
export interface Layout {
  readonly batch: Dim
  readonly length: Dim
  /** [N, H·d] -> [B, H, S, d] */
  split(x: Value): Value
  /** [B, H, S, d] -> [N, H·d] */
  join(x: Value): Value
  /** [N, D] -> [B, S, D] */
  pad(x: Value): Value
  /** A position that is not seen holds a copy of one that is, instead of anything. */
  readonly copies: boolean
}

/** A row for every position: N = B·S. */
export function dense(g: Builder, { heads, headWidth }: T5Config, batch: Dim, length: Dim): Layout {
  return {
    batch,
    length,
    split: (x) => transpose(g, reshape(g, x, [batch, length, heads, headWidth]), [0, 2, 1, 3]),
    join: (x) => reshape(g, transpose(g, x, [0, 2, 1, 3]), [times(batch, length), heads * headWidth]),
    pad: (x) => reshape(g, x, [batch, length, x.shape[1] as Dim]),
    copies: false,
  }
}

/**
 * A row for every token, so that padding costs nothing outside of attention: first each sequence's prompt, then all tokens, then, where something is
 * padded, one row for all padding. The maps are fed (`packRows`).
 */
export function packed(g: Builder, { heads, headWidth }: T5Config): Layout {
  const padded = g.input('padded_rows', 'I32', ['B', 'S'])
  const flat = g.input('packed_rows', 'I32', ['N'])
  const paddedHeads = g.input('padded_heads', 'I32', ['B', heads, 'S'])
  const flatHeads = g.input('packed_heads', 'I32', ['N', heads])
  const ownHeads = g.input('own_heads', 'I32', ['B', heads, 'S'])
  return {
    batch: 'B',
    length: 'S',
    split: (x) => take(g, reshape(g, x, [times('N', heads), headWidth]), paddedHeads, flatHeads),
    join: (x) => {
      const rows = reshape(g, x, [times('B', 'S', heads), headWidth])
      return reshape(g, take(g, rows, flatHeads, ownHeads), ['N', heads * headWidth])
    },
    pad: (x) => take(g, x, padded, flat),
    copies: true,
  }
}

/**
 * Feeds of packed sequences: `token_ids` [M], with the padding's id last where something is padded, `encoder_mask` [B, S] and the maps; S = P + T, N = B·P + M.
 * `promptMask` [B, P] says which rows of the prompts are seen.
 *
 * `padded_*`: the row that a position reads, `packed_*`: the position that a row reads, `own_heads`: the row whose gradient a position gets. A position that is
 * not seen reads the first one that is; its own row, mostly the padding's, is nowhere seen, and its gradient is that of a
 * key with e^-30 of the weight: as good as none.
 */
export function packRows(
  { heads, padId }: T5Config,
  inputIds: Tensor<'I64'>,
  attentionMask: Tensor<'I64'>,
  promptMask: Tensor<'I64'>,
): Record<string, Tensor> {
  const [batch = 0, tokens = 0] = inputIds.shape
  const length = promptMask.shape[1] as number
  const joined = length + tokens
  const mask = new BigInt64Array(batch * joined)
  const ids: bigint[] = []
  /** Position of each row. */
  const packedRows = Array.from({ length: batch * length }, (_, row) => Math.floor(row / length) * joined + (row % length))
  for (const [row, position] of packedRows.entries()) mask[position] = promptMask.data[row] as bigint
  for (const [index, id] of inputIds.data.entries()) {
    if (attentionMask.data[index] === 0n) continue
    const position = Math.floor(index / tokens) * joined + length + (index % tokens)
    mask[position] = 1n
    packedRows.push(position)
    ids.push(id)
  }
  const padding = packedRows.length
  const ownRows = new Int32Array(batch * joined).fill(padding)
  for (const [row, position] of packedRows.entries()) ownRows[position] = row
  if (padding < ownRows.length) {
    packedRows.push(ownRows.indexOf(padding))
    ids.push(BigInt(padId))
  }
  const paddedRows = ownRows.slice()
  for (let start = 0; start < mask.length; start += joined) {
    const sequence = mask.subarray(start, start + joined)
    const copied = ownRows[start + Math.max(0, sequence.indexOf(1n))] as number
    for (const [column, seen] of sequence.entries()) if (seen === 0n) paddedRows[start + column] = copied
  }
  /** Rows [B, S] -> rows of heads [B, H, S]. */
  const byHead = (rows: Int32Array): Tensor<'I32'> => {
    const found = new Int32Array(batch * heads * joined)
    for (let index = 0; index < found.length; index++) {
      const head = Math.floor(index / joined) % heads
      const position = Math.floor(index / (heads * joined)) * joined + (index % joined)
      found[index] = (rows[position] as number) * heads + head
    }
    return tensor('I32', [batch, heads, joined], found)
  }
  const packedHeads = new Int32Array(packedRows.length * heads)
  for (const [row, position] of packedRows.entries()) {
    const first = Math.floor(position / joined) * heads * joined + (position % joined)
    for (let head = 0; head < heads; head++) packedHeads[row * heads + head] = first + head * joined
  }
  return {
    token_ids: tensor('I64', [ids.length], BigInt64Array.from(ids)),
    encoder_mask: tensor('I64', [batch, joined], mask),
    padded_rows: tensor('I32', [batch, joined], paddedRows),
    packed_rows: tensor('I32', [packedRows.length], Int32Array.from(packedRows)),
    padded_heads: byHead(paddedRows),
    packed_heads: tensor('I32', [packedRows.length, heads], packedHeads),
    own_heads: byHead(ownRows),
  }
}
