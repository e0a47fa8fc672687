/** Attached, asked and detached many hundred times: memory stays where it was. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as ort from 'onnxruntime-node'
import { expect, it } from 'vitest'
import { attachPrompts } from '../../adapters/compose/attach-sources.ts'
import { openPromptedSession } from '../../adapters/onnxruntime/attach.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { encoderOf, int64, promptsOf, stockPipeline } from './fixtures.ts'

const model = 'tiny-t5-v10'
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const residentMb = (): number => (collect(), process.memoryUsage.rss() / 2 ** 20)
const int = (values: readonly number[]): ort.Tensor => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])

/** The least growth in MB over a round of cycles, of three at most: a heap settles in some round, and what leaks grows in each. */
async function growthOf(cycles: number, limit: number, cycle: () => Promise<unknown>): Promise<number> {
  let growth = Infinity
  for (let round = 0; round < 3 && growth >= limit; round++) {
    const before = residentMb()
    for (let count = 0; count < cycles; count++) await cycle()
    growth = Math.min(growth, residentMb() - before)
  }
  return growth
}

it('hundreds of times attach, run, detach on one pipeline', async () => {
  const pipe = await stockPipeline(model)
  const inputs = { input_ids: int64([[5, 6, 1]]), attention_mask: int64([[1, 1, 1]]), max_new_tokens: 1, soft_prompt: 'b' }
  const growth = await growthOf(500, 16, async () => {
    const { detach } = await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
    await pipe.model.generate(inputs as never)
    detach()
  })
  expect(growth).toBeLessThan(16)
  await pipe.dispose()
})

it('hundreds of sessions opened, run and released', async () => {
  const bank = createPromptBank(promptsOf(model))
  const growth = await growthOf(100, 32, async () => {
    const session = await openPromptedSession(ort, encoderOf(model), { bank })
    await session.run(session.join({ input_ids: int([5, 6, 1]), attention_mask: int([1, 1, 1]) }, 'a'))
    await session.release()
  })
  // A leaked session would be some 2 MB.
  expect(growth).toBeLessThan(32)
})
