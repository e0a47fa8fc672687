/** Beam search over the decoder interface. Source: transformers 5 `GenerationMixin._beam_search` with `early_stopping=False`, one end token. */
import { ConfigError } from '../errors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import { greedy, type GreedyOptions } from './greedy.ts'
import { scoresNotFinite } from './finite.ts'
import { logSumExp } from './score.ts'
import type { Encoded, EncodeInput, Seq2Seq } from './seq2seq.ts'

export interface GenerateOptions extends GreedyOptions {
  /** Continuations followed side by side; 1 (the default) is greedy. */
  readonly beams?: number
  /** Scores are divided by length to this power. Default 1. */
  readonly lengthPenalty?: number
}

interface Beam {
  readonly tokens: readonly number[]
  /** Σ log-probability; of ended beams, over length to the power of the penalty. */
  readonly score: number
}

/** One row's search. */
interface Search {
  running: Beam[]
  ended: Beam[]
  /** A running beam may still beat one that ended. */
  open: boolean
}

/**
 * Generates one continuation a row, as `greedy` does, by the search that is asked for.
 * @throws {ConfigError} `beams` for a number of beams that is no whole number of at least 1; {UnsupportedError} `scores-not-finite`
 */
export async function generate(model: Seq2Seq, input: EncodeInput, options: GenerateOptions): Promise<number[][]> {
  const { beams = 1, startId, padId, maxNewTokens } = options
  if (!Number.isSafeInteger(beams) || beams < 1) {
    throw new ConfigError('beams', `The number of beams must be a whole number of at least 1, got ${beams}.`, { facts: { got: beams } })
  }
  if (beams === 1) return greedy(model, input, options)
  const encoded = repeatRows(await model.encode(input), beams)
  const searches = Array.from({ length: input.inputIds.shape[0] as number }, (): Search => ({
    running: [{ tokens: [], score: 0 }],
    ended: [],
    open: true,
  }))
  for (let length = 1; length <= maxNewTokens && searches.some(({ open }) => open); length++) {
    const paths = searches.flatMap(({ running }) => Array.from({ length: beams }, (_, beam) => (running[beam] ?? running[0])?.tokens ?? []))
    const ids = paths.flatMap((tokens) => [startId, ...tokens, ...Array<number>(length - 1 - tokens.length).fill(padId)])
    const logits = await model.step(encoded, tensor('I64', [paths.length, length], BigInt64Array.from(ids, BigInt)))
    for (const [row, search] of searches.entries()) if (search.open) advance(search, logits, row * beams, length, options)
  }
  return searches.map(({ ended, running }) => [...((ended[0] ?? running[0])?.tokens ?? [])])
}

/** One token more for a row whose beams stand at `from` of the logits [B·beams, length, V]. */
function advance(search: Search, logits: Tensor<'F32'>, from: number, length: number, options: GenerateOptions): void {
  const { beams = 1, eosId, maxNewTokens, lengthPenalty = 1 } = options
  const vocab = logits.shape[2] as number
  // Twice as many as there are beams, so that enough stay if the best all end.
  const best: { readonly beam: Beam; readonly id: number; readonly score: number }[] = []
  for (const [index, beam] of search.running.entries()) {
    const start = ((from + index + 1) * length - 1) * vocab
    const base = beam.score - logSumExp(logits.data, start, vocab)
    if (Number.isNaN(base)) throw scoresNotFinite()
    for (let id = 0; id < vocab; id++) {
      const score = base + (logits.data[start + id] as number)
      if (best.length === 2 * beams && score <= (best.at(-1)?.score ?? 0)) continue
      const place = best.findIndex((other) => other.score < score)
      best.splice(place < 0 ? best.length : place, 0, { beam, id, score })
      if (best.length > 2 * beams) best.pop()
    }
  }
  const grown = best.map(({ beam, id, score }) => ({ tokens: [...beam.tokens, id], score }))
  const ends = ({ tokens }: Beam): boolean => tokens.at(-1) === eosId || length === maxNewTokens
  const per = length ** lengthPenalty
  const ended = grown.slice(0, beams).filter(ends)
  search.ended = [...search.ended, ...ended.map(({ tokens, score }) => ({ tokens, score: score / per }))]
    .toSorted((a, b) => b.score - a.score)
    .slice(0, beams)
  search.running = grown.filter((beam) => !ends(beam)).slice(0, beams)
  const hope = search.running[0] ? search.running[0].score / per : -Infinity
  search.open = search.running.length > 0 && (search.ended.length < beams || hope > (search.ended.at(-1)?.score ?? -Infinity))
}

/** Each row `times` times, side by side. */
function repeatRows({ hidden, mask }: Encoded, times: number): Encoded {
  const [rows, length, width] = hidden.shape as [number, number, number]
  const outHidden = new Float32Array(rows * times * length * width)
  const outMask = new BigInt64Array(rows * times * length)
  for (let to = 0; to < rows * times; to++) {
    const row = Math.floor(to / times)
    outHidden.set(hidden.data.subarray(row * length * width, (row + 1) * length * width), to * length * width)
    outMask.set(mask.data.subarray(row * length, (row + 1) * length), to * length)
  }
  return { hidden: tensor('F32', [rows * times, length, width], outHidden), mask: tensor('I64', [rows * times, length], outMask) }
}
