/** Mutated files into every reader: a value or a coded error, quickly, with little memory. `FUZZ_RUNS=100000` for the long run. */
import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { SoftPromptError } from '../../src/errors.ts'
import { mutated } from './mutate.ts'
import { TARGETS } from './targets.ts'

const names = Object.keys(TARGETS)
const total = Number(process.env['FUZZ_RUNS'] ?? 3000)
const runs = Math.ceil(total / names.length)
const seed = Number(process.env['FUZZ_SEED'] ?? 20_260_101)
/** Each input's bounds. The clock also sees garbage collection and other processes, so a slow one gets a second try. */
const MOST_MS = 200
const MOST_BYTES = 100e6

const worst = { ms: 0, by: '', bytes: 0, errors: new Map<string, number>(), inputs: 0 }
const heldBytes = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

async function once(name: string, bytes: Uint8Array): Promise<{ ms: number; bytes: number }> {
  const before = heldBytes()
  const began = performance.now()
  try {
    await TARGETS[name]?.run(bytes)
  } catch (error) {
    if (!(error instanceof SoftPromptError)) throw error
    worst.errors.set(error.code, (worst.errors.get(error.code) ?? 0) + 1)
  }
  return { ms: performance.now() - began, bytes: heldBytes() - before }
}

describe('fuzz', () => {
  it.each(names)(
    '%s',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(mutated(TARGETS[name]?.seeds ?? []), async (bytes) => {
          let used = await once(name, bytes)
          if (used.ms > MOST_MS) used = await once(name, bytes)
          worst.inputs += 1
          if (used.ms > worst.ms) Object.assign(worst, { ms: used.ms, by: name })
          worst.bytes = Math.max(worst.bytes, used.bytes)
          expect(used.ms, 'milliseconds').toBeLessThanOrEqual(MOST_MS)
          expect(used.bytes, 'bytes').toBeLessThanOrEqual(MOST_BYTES)
        }),
        { numRuns: runs, seed, endOnFailure: false },
      )
    },
    1_000_000,
  )

  it('reaches the checks behind the first one', () => {
    expect(worst.errors.size).toBeGreaterThan(15)
  })

  afterAll(() => {
    if (process.env['FUZZ_RUNS'] === undefined) return
    const codes = [...worst.errors].toSorted(([, a], [, b]) => b - a).map(([code, count]) => `  ${code} ${count}`)
    process.stdout.write(
      `${worst.inputs} inputs, slowest ${worst.ms.toFixed(1)} ms (${worst.by}), largest ${(worst.bytes / 1e6).toFixed(1)} MB, ${codes.length} codes\n${codes.join('\n')}\n`,
    )
  })
})
