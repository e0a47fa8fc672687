/** Where a prompt begins: each kind against rows computed here, and the seed as the only chance. */
import { describe, expect, it } from 'vitest'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { COMMON_PIECES, initialise } from '../../src/prompt/initialise.ts'

/** Row r is [r, r + 0.25, r + 0.5]. */
const table = (vocabSize: number): EmbeddingTable => ({
  vocabSize,
  width: 3,
  rows: (ids) => Float32Array.from(ids.flatMap((id) => [id, id + 0.25, id + 0.5])),
})
const firsts = (data: Float32Array): number[] => Array.from(data).filter((_, index) => index % 3 === 0)

describe('initialise', () => {
  it('vocab: whole rows of common pieces, none twice', () => {
    const { shape, data } = initialise({ kind: 'vocab', length: 100, table: table(32_128), seed: 1 })
    expect(shape).toEqual([100, 3])
    const ids = firsts(data)
    expect(new Set(ids).size).toBe(100)
    expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < COMMON_PIECES)).toBe(true)
    expect(data).toEqual(table(32_128).rows(ids))
    expect(Math.max(...ids)).toBeGreaterThan(COMMON_PIECES / 2)
  })

  it('vocab: a prompt longer than the vocabulary uses every row before any again', () => {
    const ids = firsts(initialise({ kind: 'vocab', length: 25, table: table(10), seed: 1 }).data)
    const counts = Array.from({ length: 10 }, (_, id) => ids.filter((drawn) => drawn === id).length)
    expect(Math.min(...counts)).toBe(2)
    expect(Math.max(...counts)).toBe(3)
  })

  it("labels: the mean of each label's pieces, then sampled rows", () => {
    const words = [[7], [10, 20, 60]]
    const labels = initialise({ kind: 'labels', length: 5, table: table(500), words, seed: 3 })
    const vocab = initialise({ kind: 'vocab', length: 5, table: table(500), seed: 3 })
    expect(labels.data.slice(0, 6)).toEqual(new Float32Array([7, 7.25, 7.5, 30, 30.25, 30.5]))
    expect(labels.data.slice(6)).toEqual(vocab.data.slice(6))
  })

  it('labels: more labels than virtual tokens fill them in order; none at all is an error', () => {
    const { data } = initialise({ kind: 'labels', length: 2, table: table(9), words: [[1], [2], [3]], seed: 1 })
    expect(firsts(data)).toEqual([1, 2])
    for (const words of [[], [[]]]) {
      expect(() => initialise({ kind: 'labels', length: 2, table: table(9), words, seed: 1 })).toThrow(
        expect.objectContaining({ code: 'init-labels' }),
      )
    }
  })

  it('text: its pieces, over and over', () => {
    expect(firsts(initialise({ kind: 'text', length: 5, table: table(9), words: [[4, 2]], seed: 1 }).data)).toEqual([4, 2, 4, 2, 4])
    expect(() => initialise({ kind: 'text', length: 5, table: table(9), seed: 1 })).toThrow(
      expect.objectContaining({ code: 'init-labels' }),
    )
  })

  it('prompt: a copy of another, of the same shape only', () => {
    const prompt = initialise({ kind: 'vocab', length: 2, table: table(9), seed: 1 })
    const begun = initialise({ kind: 'prompt', length: 2, table: table(9), prompt, seed: 2 })
    expect(begun).toEqual(prompt)
    begun.data[0] = -1
    expect(prompt.data[0]).not.toBe(-1)
    for (const options of [{ length: 3, prompt }, { length: 2 }]) {
      expect(() => initialise({ kind: 'prompt', table: table(9), seed: 1, ...options })).toThrow(
        expect.objectContaining({ code: 'init-shape' }),
      )
    }
  })

  it('random: uniform in [-0.5, 0.5)', () => {
    const { data } = initialise({ kind: 'random', length: 5000, table: table(9), seed: 1 })
    let [low, high, sum] = [Infinity, -Infinity, 0]
    for (const value of data) [low, high, sum] = [Math.min(low, value), Math.max(high, value), sum + value]
    expect(low).toBeGreaterThanOrEqual(-0.5)
    expect(low).toBeLessThan(-0.49)
    expect(high).toBeLessThanOrEqual(0.5)
    expect(high).toBeGreaterThan(0.49)
    // five standard deviations of the mean of 15,000 values with variance 1/12
    expect(Math.abs(sum / data.length)).toBeLessThan(0.012)
  })

  it.each(['vocab', 'labels', 'random'] as const)('%s: the same seed gives the same prompt, another seed another', (kind) => {
    const made = (seed: number): Float32Array => initialise({ kind, length: 8, table: table(900), words: [[1]], seed }).data
    expect(made(5)).toEqual(made(5))
    expect(made(5)).not.toEqual(made(6))
  })
})
