/** Seeded random numbers: xoshiro128** (Blackman, Vigna 2018), its state spread from one seed by splitmix32. Same seed, same numbers, everywhere. */

export type RandomState = readonly [number, number, number, number]

export interface Random {
  /** In [0, 1), a multiple of 2^-32. */
  uniform(): number
  /** A whole number in [0, below), without bias. */
  int(below: number): number
  /** Puts items into a random order, in place (Fisher and Yates). */
  shuffle<T>(items: T[]): T[]
  /** To be kept and given to `restoreRandom`. */
  state(): RandomState
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

/** A generator that goes on from a kept state. */
export function restoreRandom(state: RandomState): Random {
  let [a, b, c, d] = state
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result
  }
  const int = (below: number): number => {
    // The last, incomplete run of `below` numbers is drawn again, so that none is likelier.
    const limit = 2 ** 32 - (2 ** 32 % below)
    for (;;) {
      const drawn = next()
      if (drawn < limit) return drawn % below
    }
  }
  return {
    uniform: () => next() / 2 ** 32,
    int,
    shuffle: (items) => {
      for (let last = items.length - 1; last > 0; last--) {
        const other = int(last + 1)
        const kept = items[last] as (typeof items)[number]
        items[last] = items[other] as (typeof items)[number]
        items[other] = kept
      }
      return items
    },
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  }
}

/** A generator from a seed (its lower 32 bits). */
export function createRandom(seed: number): Random {
  let mixed = seed | 0
  const spread = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0
    let x = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return (x ^ (x >>> 15)) >>> 0
  }
  return restoreRandom([spread(), spread(), spread(), spread()])
}

/** One 32-bit seed of several numbers (the mixing steps of MurmurHash3). */
export function mixSeeds(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9
  for (const number of numbers) {
    // Both halves, so that seeds above 2^32 differ too.
    for (const part of [number % 0x1_0000_0000, Math.floor(number / 0x1_0000_0000)]) {
      hash = Math.imul(hash ^ part, 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
      hash ^= hash >>> 16
    }
  }
  return hash >>> 0
}
