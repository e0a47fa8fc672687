/** Keeps development rows apart from the training rows. */
import { ConfigError } from '../errors.ts'
import { createRandom } from '../tensor/random.ts'

/** Set apart from the seeds of order and initialisation. */
const SALT = 0x5eed_d0e5

/**
 * Draws `count` items with a seed; both parts keep their order.
 * @throws {ConfigError} `hold-out` where nothing would be left to train on.
 */
export function holdOut<T>(items: readonly T[], count: number, seed: number): { readonly rest: T[]; readonly held: T[] } {
  if (count >= items.length) {
    throw new ConfigError('hold-out', `${count} rows cannot be held out of ${items.length}: some have to be left to train on.`, {
      facts: { count, rows: items.length },
    })
  }
  const random = createRandom(seed ^ SALT)
  const drawn = new Set<number>()
  while (drawn.size < count) drawn.add(random.int(items.length))
  return { rest: items.filter((_, index) => !drawn.has(index)), held: items.filter((_, index) => drawn.has(index)) }
}
