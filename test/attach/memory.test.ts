/** A thousand times attached, asked and detached: memory stays where it was. */
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

/** Growth in MB from the end of a warm-up to the end. */
async function growthOf(cycles: number, cycle: () => Promise<unknown>): Promise<number> {
  for (let count = 0; count < cycles / 2; count++) await cycle()
  const before = residentMb()
  for (let count = 0; count < cycles; count++) await cycle()
  return residentMb() - before
}

it('1,000 attach, run, detach on one pipeline', async () => {
  const pipe = await stockPipeline(model)
  const inputs = { input_ids: int64([[5, 6, 1]]), attention_mask: int64([[1, 1, 1]]), max_new_tokens: 1, soft_prompt: 'b' }
  const growth = await growthOf(1000, async () => {
    const { detach } = await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
    await pipe.model.generate(inputs as never)
    detach()
  })
  expect(growth).toBeLessThan(16)
  await pipe.dispose()
})

it('100 sessions opened, run and released', async () => {
  const bank = createPromptBank(promptsOf(model))
  const growth = await growthOf(100, async () => {
    const session = await openPromptedSession(ort, encoderOf(model), { bank })
    await session.run(session.join({ input_ids: int([5, 6, 1]), attention_mask: int([1, 1, 1]) }, 'a'))
    await session.release()
  })
  // A leaked session would be some 2 MB.
  expect(growth).toBeLessThan(32)
})
