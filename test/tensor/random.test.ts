import { describe, expect, it } from 'vitest'
import { createRandom, restoreRandom } from '../../src/tensor/random.ts'

describe('random', () => {
  it('draws the numbers of the reference xoshiro128** from a known state', () => {
    // The published C code from s = {1, 2, 3, 4}; its first result, rotl(2 * 5, 7) * 9, is 11520.
    const random = restoreRandom([1, 2, 3, 4])
    const words = Array.from({ length: 4 }, () => random.uniform() * 2 ** 32)
    expect(words).toEqual([11520, 0, 5927040, 70819200])
  })

  it('goes on from a kept state, and differs between seeds', () => {
    const random = createRandom(7)
    random.uniform()
    const kept = JSON.parse(JSON.stringify(random.state()))
    expect(restoreRandom(kept).uniform()).toBe(random.uniform())
    expect(createRandom(1).uniform()).not.toBe(createRandom(2).uniform())
  })

  it('draws whole numbers evenly', () => {
    const random = createRandom(3)
    const counts = Array.from({ length: 7 }, () => 0)
    for (let draw = 0; draw < 70_000; draw++) {
      const drawn = random.int(7)
      counts[drawn] = (counts[drawn] ?? 0) + 1
    }
    // five standard deviations of a binomial with n = 70,000, p = 1/7
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(465)
  })
})
