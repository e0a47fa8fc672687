/**
 * Which examples each step sees: seeded epochs without replacement, cut into full batches across their borders. Batch `i` is a function of the seed and `i` alone, so a
 * resumed run needs nothing but its step.
 */
import type { EncodedExample } from '../data/examples.ts'
import { createRandom, mixSeeds, type Random } from '../tensor/random.ts'

export interface BatchPlan {
  /** Indices of the examples of batch `index` (from 0). */
  at(index: number): readonly number[] // [B]
}

export interface BatchOptions {
  readonly seed: number
  readonly batch: number
  /** Rows of like length share a batch. */
  readonly buckets: boolean
}

/** Batches drawn and sorted together where rows are put into buckets: enough for little padding, few enough to stay random. */
const POOL_BATCHES = 32

function shuffled(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = random.int(last + 1)
    const held = order[last] as number
    order[last] = order[other] as number
    order[other] = held
  }
  return order
}

/** Keeps the value of the last key. */
function remember<T>(make: (key: number) => T): (key: number) => T {
  let held: { key: number; value: T } | undefined
  return (key) => (held?.key === key ? held : (held = { key, value: make(key) })).value
}

/** Batches looked at to tell what is usual. */
const SAMPLE_BATCHES = 64

/** Tokens of the longest target of a batch, on average: one long outlier does not make targets long. */
export function usualTargets(examples: readonly EncodedExample[], options: BatchOptions): number {
  if (examples.length === 0) return 1
  const plan = planBatches(examples, options)
  const longest = Array.from({ length: SAMPLE_BATCHES }, (_, index) =>
    Math.max(...plan.at(index).map((row) => examples[row]?.targetIds.length ?? 0)),
  )
  return longest.reduce((sum, length) => sum + length, 0) / SAMPLE_BATCHES
}

/** Plans the batches of a run over `examples`. */
export function planBatches(examples: readonly EncodedExample[], { seed, batch, buckets }: BatchOptions): BatchPlan {
  const rows = examples.length
  const epochOrder = remember((epoch) => shuffled(rows, createRandom(mixSeeds(seed, 1, epoch))))
  const drawn = (from: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => epochOrder(Math.floor((from + index) / rows))[(from + index) % rows] as number)
  if (!buckets) return { at: (index) => drawn(index * batch, batch) }

  const cost = (row: number): number => {
    const { inputIds, targetIds } = examples[row] as EncodedExample
    return inputIds.length * 1024 + targetIds.length
  }
  const pool = remember((number) => {
    const sorted = drawn(number * POOL_BATCHES * batch, POOL_BATCHES * batch).toSorted((a, b) => cost(a) - cost(b))
    return [...shuffled(POOL_BATCHES, createRandom(mixSeeds(seed, 2, number)))].map((slot) =>
      sorted.slice(slot * batch, (slot + 1) * batch),
    )
  })
  return { at: (index) => pool(Math.floor(index / POOL_BATCHES))[index % POOL_BATCHES] as number[] }
}
