/** Rows of a batch end at their own end: transformers.js goes on after `</s>` until all rows say it in the same step. */
import type { Tensor } from '@huggingface/transformers'

type Ids = readonly (bigint | number)[]

/** Past-the-end of a row: after its first end token behind the decoder's own prefix, or its length. */
function endOf(row: Ids, eos: readonly number[], prefix: number): number {
  const at = row.findIndex((id, index) => index >= prefix && eos.includes(Number(id)))
  return at < 0 ? row.length : at + 1
}

/** A stopping criterion by which a row that has ended stays ended. */
export const endedAtOwnEnd =
  (eos: readonly number[], prefix: number): ((rows: readonly Ids[]) => boolean[]) =>
  (rows) =>
    rows.map((row) => row.slice(prefix).some((id) => eos.includes(Number(id))))

/** Rows [B, U] with pads after each row's own end, as wide as the longest. */
export function trimRows(rows: Tensor, eos: readonly number[], prefix: number, padId: number): Tensor {
  const lists = rows.tolist() as Ids[]
  const ends = lists.map((row) => endOf(row, eos, prefix))
  const width = Math.max(...ends)
  const data = new BigInt64Array(lists.length * width).fill(BigInt(padId))
  for (const [index, row] of lists.entries()) data.set(row.slice(0, ends[index]).map(BigInt), index * width)
  const TensorClass = rows.constructor as new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => Tensor
  return new TensorClass('int64', data, [lists.length, width])
}
