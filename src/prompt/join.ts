/** Puts virtual tokens in front of each row's text: rows of any padding become [prompt, text, pads]. */
import { ShapeError } from '../errors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { VirtualTokens } from './bank.ts'

export interface TokenRows {
  readonly ids: Tensor<'I64'> // [B, T]
  readonly mask: Tensor<'I64'> // [B, T]
}

/** A runtime's tensor of ids or bits, int64 or int32. */
export interface IdTensor {
  readonly data: unknown
  readonly dims: readonly number[]
}

/** A runtime's ids and mask as rows; without a mask everything but pads counts. */
export function tokenRows(ids: IdTensor, mask: IdTensor | undefined | null, padId: number): TokenRows {
  const given = int64(ids)
  if (mask !== undefined && mask !== null) return { ids: given, mask: int64(mask) }
  const bits = given.data.map((id) => (id === BigInt(padId) ? 0n : 1n))
  return { ids: given, mask: tensor('I64', given.shape, bits) }
}

const int64 = ({ data, dims }: IdTensor): Tensor<'I64'> =>
  tensor('I64', dims, data instanceof BigInt64Array ? data : BigInt64Array.from(data as Int32Array, (id) => BigInt(id)))

/**
 * Joins rows [B, T] with one prompt (or none) each to [B, S], S the longest joined row; the mask is rebuilt with it.
 * Padding on either side is dropped first, so a prompt always stands next to its text; masked tokens inside a text stay masked.
 * @throws {ShapeError} `prompt-count` when there is not one prompt a row, `mask-shape`
 */
export function joinPrompts(rows: TokenRows, prompts: readonly (VirtualTokens | null)[], vocabSize: number, padId: number): TokenRows {
  const [batch = 0, width = 0] = rows.ids.shape
  if (rows.ids.shape.length !== 2 || rows.mask.data.length !== rows.ids.data.length) {
    throw new ShapeError(
      'mask-shape',
      `Ids of shape [${rows.ids.shape.join(', ')}] need a mask of that shape, got [${rows.mask.shape.join(', ')}].`,
    )
  }
  if (prompts.length !== batch) {
    throw new ShapeError(
      'prompt-count',
      `${prompts.length} prompts for a batch of ${batch} rows; give one name for all rows, or one name or null for each.`,
      {
        facts: { expected: batch, got: prompts.length },
      },
    )
  }
  const spans = prompts.map((prompt, row) => ({ prompt, ...textSpan(rows.mask.data.subarray(row * width, (row + 1) * width)) }))
  const joined = Math.max(1, ...spans.map(({ prompt, start, end }) => (prompt?.length ?? 0) + end - start))
  const ids = new BigInt64Array(batch * joined).fill(BigInt(padId))
  const mask = new BigInt64Array(batch * joined)
  for (const [row, { prompt, start, end }] of spans.entries()) {
    let at = row * joined
    for (let token = 0; token < (prompt?.length ?? 0); token++, at++) {
      ids[at] = BigInt(vocabSize + (prompt as VirtualTokens).start + token)
      mask[at] = 1n
    }
    ids.set(rows.ids.data.subarray(row * width + start, row * width + end), at)
    mask.set(rows.mask.data.subarray(row * width + start, row * width + end), at)
  }
  return { ids: tensor('I64', [batch, joined], ids), mask: tensor('I64', [batch, joined], mask) }
}

/** First and past-the-last unmasked position; an all-masked row is empty. */
function textSpan(mask: BigInt64Array): { start: number; end: number } {
  const start = mask.findIndex((bit) => bit !== 0n)
  return start < 0 ? { start: 0, end: 0 } : { start, end: mask.findLastIndex((bit) => bit !== 0n) + 1 }
}
