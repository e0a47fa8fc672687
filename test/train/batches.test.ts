/** Batches: every example once an epoch, the same on each asking, like lengths together. */
import { describe, expect, it } from 'vitest'
import { planBatches, usualTargets } from '../../src/train/batches.ts'

const examples = Array.from({ length: 103 }, (_, index) => ({
  inputIds: Array<number>(1 + ((index * 37) % 50)).fill(5),
  targetIds: [7, 1],
}))
const lengthOf = (row: number): number => examples[row]?.inputIds.length ?? 0

describe('planBatches', () => {
  it.each([false, true])('buckets %s: each example as often as any other, in full batches', (buckets) => {
    const plan = planBatches(examples, { seed: 1, batch: 8, buckets })
    // 103 pools of 32 batches are a whole number of epochs.
    const seen = new Map<number, number>()
    for (let index = 0; index < 32 * 103; index++) {
      const batch = plan.at(index)
      expect(batch).toHaveLength(8)
      for (const row of batch) seen.set(row, (seen.get(row) ?? 0) + 1)
    }
    expect([...seen.values()].every((count) => count === 32 * 8)).toBe(true)
    expect(seen.size).toBe(103)
  })

  it('one epoch without buckets holds each example once', () => {
    const plan = planBatches(examples, { seed: 1, batch: 103, buckets: false })
    expect([...plan.at(4)].toSorted((a, b) => a - b)).toEqual(examples.map((_, index) => index))
    expect(plan.at(4)).not.toEqual(plan.at(5))
  })

  it('depends on the seed and the index alone', () => {
    for (const buckets of [false, true]) {
      const options = { seed: 9, batch: 4, buckets }
      const forwards = Array.from({ length: 70 }, (_, index) => planBatches(examples, options).at(index))
      const plan = planBatches(examples, options)
      const backwards = Array.from({ length: 70 }, (_, index) => plan.at(69 - index)).toReversed()
      expect(backwards).toEqual(forwards)
      expect(planBatches(examples, { ...options, seed: 9 + 2 ** 32 }).at(0)).not.toEqual(forwards[0])
    }
  })

  it('buckets leave little padding and keep batches in random order', () => {
    const padding = (buckets: boolean): number => {
      const plan = planBatches(examples, { seed: 3, batch: 8, buckets })
      let padded = 0
      for (let index = 0; index < 64; index++) {
        const lengths = plan.at(index).map(lengthOf)
        padded += lengths.reduce((sum, length) => sum + Math.max(...lengths) - length, 0)
      }
      return padded
    }
    expect(padding(true)).toBeLessThan(padding(false) / 10)
    const plan = planBatches(examples, { seed: 3, batch: 8, buckets: true })
    const longest = Array.from({ length: 32 }, (_, index) => Math.max(...plan.at(index).map(lengthOf)))
    expect(longest).not.toEqual(longest.toSorted((a, b) => a - b))
  })

  it('a data set smaller than a batch still fills it', () => {
    expect(planBatches(examples.slice(0, 3), { seed: 0, batch: 8, buckets: true }).at(5)).toHaveLength(8)
  })
})

it('one long target does not make targets long', () => {
  const options = { seed: 1, batch: 4, buckets: false }
  expect(usualTargets(examples, options)).toBe(2)
  const outlier = examples.with(7, { inputIds: [5], targetIds: Array<number>(120).fill(7) })
  expect(usualTargets(outlier, options)).toBeGreaterThan(2)
  expect(usualTargets(outlier, options)).toBeLessThan(8)
  expect(usualTargets(outlier, { ...options, batch: 103 })).toBe(120)
})
