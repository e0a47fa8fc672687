/** Training with dropout on the shipped base: masks come from the seed and the step, so that a stopped run goes on to the same bytes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { drainTraining, trainPrompt, type TrainPromptOptions } from '../../adapters/compose/train.ts'

const root = new URL('../../', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'dropout-'))
afterAll(() => rmSync(dir, { recursive: true }))
const lines = readFileSync(join(root, 'examples/data/sentiment/train.jsonl'), 'utf8').trimEnd().split('\n')
writeFileSync(join(dir, 'rows.jsonl'), lines.slice(0, 40).join('\n'))

/** Trains two seeds together, to the end or until after a step. */
async function train(out: string, dropout: number, stopAfter = Infinity): Promise<void> {
  const stop = new AbortController()
  const options: TrainPromptOptions = {
    model: join(root, 'models/t5-tiny-en'),
    data: join(dir, 'rows.jsonl'),
    out: join(dir, out),
    threads: 1,
    seeds: 2,
    resume: true,
    recipe: { length: 5, steps: 8, batch: 2, accumulate: 2, seed: 1, dropout },
    signal: stop.signal,
  }
  await drainTraining(trainPrompt(options), (event) => {
    if (event.type === 'step' && event.step >= stopAfter) stop.abort()
  })
}
const bytes = (out: string): string[] =>
  ['seed-1', 'seed-2'].flatMap((seed) =>
    ['adapter_model.safetensors', 'training_log.jsonl'].map((file) => readFileSync(join(dir, out, seed, file)).toString('base64')),
  )

it('stopped and resumed, ends with the same bytes; without dropout with others', async () => {
  await train('whole', 0.1)
  await train('parts', 0.1, 3)
  await train('parts', 0.1, 6)
  await train('parts', 0.1)
  expect(bytes('parts')).toEqual(bytes('whole'))
  await train('without', 0)
  for (const [index, file] of bytes('without').entries()) expect(file).not.toBe(bytes('whole')[index])
})
