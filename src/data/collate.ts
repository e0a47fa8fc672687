/** Encoded examples as padded tensors: only as long as the batch's longest row. */
import { mixSeeds } from '../tensor/random.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { EncodedExample } from './examples.ts'

/** Positions of the labels that no loss is taken at. */
export const IGNORED = -100n

/** Rows padded on the right to the longest. */
export interface PaddedRows {
  readonly inputIds: Tensor<'I64'> // [B, T]
  readonly attentionMask: Tensor<'I64'> // [B, T], 1 where there is a token
}

/** Pads rows of ids to the longest of them. */
export function padRows(rows: readonly (readonly number[])[], filler: bigint): Tensor<'I64'> {
  const width = Math.max(1, ...rows.map((row) => row.length))
  const data = new BigInt64Array(rows.length * width).fill(filler)
  for (const [index, row] of rows.entries()) for (const [column, id] of row.entries()) data[index * width + column] = BigInt(id)
  return tensor('I64', [rows.length, width], data)
}

/** Pads inputs and masks the padding. */
export function padInputs(rows: readonly (readonly number[])[], padId: number): PaddedRows {
  return {
    inputIds: padRows(rows, BigInt(padId)),
    attentionMask: padRows(
      rows.map((row) => row.map(() => 1)),
      0n,
    ),
  }
}

/** A batch as the training step reads it. */
export interface TrainBatch extends PaddedRows {
  readonly labels: Tensor<'I64'> // [B, U], IGNORED in the padding
  /** What a row's summed loss counts: 1 / Σ tokens for the mean per token of PyTorch. */
  readonly rowWeight: Tensor<'F32'> // [B]
  readonly promptIndex: Tensor<'I64'> // [B]
  /** Of the masks, where there is dropout. */
  readonly dropoutSeed?: number
}

/** Collates examples of one prompt, each token of the batch weighing the same. */
export function collate(examples: readonly EncodedExample[], padId: number): TrainBatch {
  const tokens = examples.reduce((sum, { targetIds }) => sum + targetIds.length, 0)
  return {
    ...padInputs(
      examples.map(({ inputIds }) => inputIds),
      padId,
    ),
    labels: padRows(
      examples.map(({ targetIds }) => targetIds),
      IGNORED,
    ),
    rowWeight: tensor('F32', [examples.length], new Float32Array(examples.length).fill(1 / tokens)),
    promptIndex: tensor('I64', [examples.length], new BigInt64Array(examples.length)),
  }
}

/** Batches of several prompts as one, padded to the longest; rows of batch k train prompt k. */
export function joinBatches(batches: readonly TrainBatch[], padId: number): TrainBatch {
  const widest = (of: (batch: TrainBatch) => Tensor): number => Math.max(...batches.map((batch) => of(batch).shape[1] ?? 0))
  const rows = batches.map(({ rowWeight }) => rowWeight.data.length)
  const all = rows.reduce((sum, count) => sum + count, 0)
  const join = (of: (batch: TrainBatch) => Tensor<'I64'>, filler: bigint): Tensor<'I64'> => {
    const width = widest(of)
    const data = new BigInt64Array(all * width).fill(filler)
    let row = 0
    for (const batch of batches) {
      const given = of(batch)
      const [count = 0, own = 0] = given.shape
      for (let index = 0; index < count; index++, row++) data.set(given.data.subarray(index * own, (index + 1) * own), row * width)
    }
    return tensor('I64', [all, width], data)
  }
  const seeds = batches.flatMap(({ dropoutSeed }) => dropoutSeed ?? [])
  return {
    ...(seeds.length === 0 ? {} : { dropoutSeed: mixSeeds(...seeds) }),
    inputIds: join(({ inputIds }) => inputIds, BigInt(padId)),
    attentionMask: join(({ attentionMask }) => attentionMask, 0n),
    labels: join(({ labels }) => labels, IGNORED),
    rowWeight: tensor('F32', [all], Float32Array.from(batches.flatMap(({ rowWeight }) => [...rowWeight.data]))),
    promptIndex: tensor('I64', [all], BigInt64Array.from(rows.flatMap((count, prompt) => Array<bigint>(count).fill(BigInt(prompt))))),
  }
}
