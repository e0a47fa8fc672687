/** Greedy decoding over the decoder interface: the best next token until every row has ended. */
import { tensor } from '../tensor/tensor.ts'
import { scoresNotFinite } from './finite.ts'
import type { EncodeInput, Seq2Seq } from './seq2seq.ts'

export interface GreedyOptions {
  readonly startId: number
  readonly eosId: number
  readonly padId: number
  readonly maxNewTokens: number
  /** Told all rows' tokens after each step. */
  readonly onStep?: (rows: readonly (readonly number[])[]) => void
}

/**
 * Generates one continuation a row, without the start token and without what follows `</s>`; `</s>` itself is kept where it was reached.
 * Ties go to the lower id, as torch.argmax on CPU.
 * @throws {UnsupportedError} `scores-not-finite`
 */
export async function greedy(model: Seq2Seq, input: EncodeInput, options: GreedyOptions): Promise<number[][]> {
  const { startId, eosId, padId, maxNewTokens, onStep } = options
  const rows = input.inputIds.shape[0] as number
  const encoded = await model.encode(input)
  const made: number[][] = Array.from({ length: rows }, () => [])
  const ended = (row: readonly number[]): boolean => row.at(-1) === eosId
  for (let length = 1; length <= maxNewTokens && !made.every(ended); length++) {
    const ids = BigInt64Array.from(
      made.flatMap((row) => [startId, ...row, ...Array<number>(length - 1 - row.length).fill(padId)]).map(BigInt),
    )
    const logits = await model.step(encoded, tensor('I64', [rows, length], ids))
    const vocab = logits.shape[2] as number
    for (const [row, tokens] of made.entries()) {
      if (!ended(tokens)) tokens.push(argmax(logits.data, ((row + 1) * length - 1) * vocab, vocab))
    }
    onStep?.(made)
  }
  return made
}

function argmax(values: Float32Array, from: number, count: number): number {
  let best = 0
  for (let index = 0; index < count; index++) {
    const value = values[from + index] as number
    if (Number.isNaN(value)) throw scoresNotFinite()
    if (value > (values[from + best] as number)) best = index
  }
  return best
}
