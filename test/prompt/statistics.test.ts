/** Neighbours and ways against plain sums computed here. */
import { describe, expect, it } from 'vitest'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { movedFrom, nearestTokens, rowNorms } from '../../src/prompt/statistics.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

const random = createRandom(4)
const matrix = (rows: number, width: number): Tensor<'F32'> =>
  tensor(
    'F32',
    [rows, width],
    Float32Array.from({ length: rows * width }, () => random.uniform() - 0.5),
  )
const tableOf = ({ shape: [vocabSize = 0, width = 0], data }: Tensor<'F32'>): EmbeddingTable => ({
  vocabSize,
  width,
  rows: (ids) => Float32Array.from(ids.flatMap((id) => [...data.subarray(id * width, (id + 1) * width)])),
})
const row = ({ shape: [, width = 0], data }: Tensor<'F32'>, index: number): number[] => [
  ...data.subarray(index * width, (index + 1) * width),
]
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, index) => sum + value * (b[index] as number), 0)
const cosine = (a: readonly number[], b: readonly number[]): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))

describe('statistics', () => {
  // 7 tokens: one group of four and a rest; 1100 rows: more than two pieces of the table.
  it('nearest tokens: the largest cosines over the whole table, in order', () => {
    const [prompt, words] = [matrix(7, 5), matrix(1100, 5)]
    const seen: number[] = []
    const found = nearestTokens(prompt, tableOf(words), 4, (done) => seen.push(done))
    expect(seen).toEqual([512, 1024, 1100])
    for (let token = 0; token < 7; token++) {
      const all = Array.from({ length: 1100 }, (_, id) => ({ id, cosine: cosine(row(prompt, token), row(words, id)) }))
      const expected = all.toSorted((a, b) => b.cosine - a.cosine).slice(0, 4)
      expect(found[token]?.map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
      for (const [place, { cosine: value }] of expected.entries()) expect(found[token]?.[place]?.cosine).toBeCloseTo(value, 6)
    }
  })

  it('rows of zeros have cosine 0, and fewer rows than asked for are all listed', () => {
    const words = tensor('F32', [2, 2], new Float32Array([0, 0, -1, 0]))
    const found = nearestTokens(tensor('F32', [1, 2], new Float32Array([1, 0])), tableOf(words), 5)
    expect(found).toEqual([
      [
        { id: 0, cosine: 0 },
        { id: 1, cosine: -1 },
      ],
    ])
    expect(() => nearestTokens(matrix(1, 3), tableOf(words), 1)).toThrow(expect.objectContaining({ code: 'prompt-width' }))
  })

  it('norms and ways', () => {
    const [now, before] = [tensor('F32', [2, 2], new Float32Array([3, 4, 0, 1])), tensor('F32', [2, 2], new Float32Array([3, 0, 0, 2]))]
    expect(rowNorms(now)).toEqual([5, 1])
    expect(movedFrom(now, before)).toEqual([
      { distance: 4, cosine: 0.6 },
      { distance: 1, cosine: 1 },
    ])
  })
})
