/** Two tasks in one batch on the shipped base: each prompt's losses and figures are those of its own run, up to the rounding of another batch. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { drainTraining, trainPrompt, type TrainPromptResult } from '../../adapters/compose/train.ts'
import type { TrainTask } from '../../adapters/compose/training-task.ts'

const root = new URL('../../', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'tasks-'))
afterAll(() => rmSync(dir, { recursive: true }))

const part = (task: string, count: number): string => {
  const path = join(dir, `${task}.jsonl`)
  const lines = readFileSync(join(root, 'examples/data', task, 'train.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
  writeFileSync(path, lines.slice(0, count).join('\n'))
  return path
}
const TASKS: Record<string, TrainTask> = {
  sentiment: { data: part('sentiment', 40), template: 'review: {input}' },
  topic: { data: part('topic', 60) },
}
const train = (out: string, what: object): Promise<TrainPromptResult> =>
  drainTraining(
    trainPrompt({
      ...what,
      model: join(root, 'models/t5-tiny-en'),
      out: join(dir, out),
      threads: 1,
      recipe: { length: 6, steps: 12, batch: 4, seed: 1, holdOut: 12, evalEvery: 12 },
    }),
  )
const losses = (folder: string): number[] =>
  readFileSync(join(dir, folder, 'training_log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? [])

it('tasks trained together are the tasks trained alone', async () => {
  const { runs } = await train('together', { tasks: TASKS })
  expect(runs?.map(({ name }) => name)).toEqual(['sentiment', 'topic'])
  for (const run of runs ?? []) {
    const name = run.name as string
    const alone = await train(`${name}-alone`, TASKS[name] as object)
    const [got, want] = [losses(`together/${name}`), losses(`${name}-alone`)]
    expect(want).toHaveLength(12)
    for (const [step, loss] of want.entries()) expect(Math.abs(got[step]! - loss)).toBeLessThan(1e-3)
    expect(run.metrics?.[0]?.n).toBe(12)
    expect(run.prompt?.manifest.labels).toEqual(alone.prompt?.manifest.labels)
    expect(run.prompt?.manifest.data).toEqual(alone.prompt?.manifest.data)
  }
})
