/** Label scoring: the log-probability of each label's tokens and `</s>` after an input that is encoded once. */
import { tensor, type Tensor } from '../tensor/tensor.ts'
import { scoresNotFinite } from './finite.ts'
import type { EncodeInput, Seq2Seq } from './seq2seq.ts'

/**
 * Scores every label for every row: the sum of log-probabilities of the label's tokens, `</s>` included.
 * @param labels piece ids of each label, ending in `</s>`
 * @returns [B][L] natural logarithms
 * @throws {UnsupportedError} `scores-not-finite`
 */
export async function scoreLabels(
  model: Seq2Seq,
  input: EncodeInput,
  labels: readonly (readonly number[])[],
  startId: number,
): Promise<Float64Array[]> {
  const rows = input.inputIds.shape[0] as number
  const encoded = await model.encode(input)
  const scores = Array.from({ length: rows }, () => new Float64Array(labels.length))
  for (const { prefix, members } of byPrefix(labels)) {
    const logits = await model.step(encoded, repeat([startId, ...prefix], rows))
    const [, length, vocab] = logits.shape as [number, number, number]
    for (const [row, scored] of scores.entries()) {
      // Positions shared by several labels are normalised once.
      const logSums = new Map<number, number>()
      for (const label of members) {
        const ids = labels[label] as readonly number[]
        for (const [position, id] of ids.entries()) {
          const from = (row * length + position) * vocab
          let logSum = logSums.get(position)
          if (logSum === undefined) logSums.set(position, (logSum = logSumExp(logits.data, from, vocab)))
          scored[label] = (scored[label] as number) + (logits.data[from + id] as number) - logSum
        }
      }
    }
  }
  if (scores.some((row) => row.some((score) => Number.isNaN(score)))) throw scoresNotFinite()
  return scores
}

/** Index of the best score; the first of equals. */
export function bestLabel(scores: Float64Array): number {
  let best = 0
  for (const [index, score] of scores.entries()) if (score > (scores[best] as number)) best = index
  return best
}

/** Scores as probabilities among the labels. */
export function labelProbabilities(scores: Float64Array): number[] {
  const most = Math.max(...scores)
  const weights = Array.from(scores, (score) => Math.exp(score - most))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

interface PrefixGroup {
  readonly prefix: readonly number[]
  readonly members: number[]
}

/** Labels whose tokens before the last are the start of one prefix share a decoder run: `</s>` ends one label where another goes on. */
function byPrefix(labels: readonly (readonly number[])[]): PrefixGroup[] {
  const groups: PrefixGroup[] = []
  const order = labels.map((_, index) => index).toSorted((a, b) => (labels[b] as number[]).length - (labels[a] as number[]).length)
  for (const label of order) {
    const prefix = (labels[label] as readonly number[]).slice(0, -1)
    const group = groups.find((other) => prefix.every((id, index) => other.prefix[index] === id))
    if (group) group.members.push(label)
    else groups.push({ prefix, members: [label] })
  }
  return groups
}

function repeat(ids: readonly number[], rows: number): Tensor<'I64'> {
  return tensor(
    'I64',
    [rows, ids.length],
    BigInt64Array.from({ length: rows * ids.length }, (_, index) => BigInt(ids[index % ids.length] as number)),
  )
}

/** log Σ exp of `count` values from `from` on. */
export function logSumExp(values: Float32Array, from: number, count: number): number {
  let most = -Infinity
  for (let index = from; index < from + count; index++) most = Math.max(most, values[index] as number)
  let sum = 0
  for (let index = from; index < from + count; index++) sum += Math.exp((values[index] as number) - most)
  return most + Math.log(sum)
}
