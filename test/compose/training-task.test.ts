/** What a task of a run begins from, and where its files are looked for. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openBase } from '../../adapters/compose/open-base.ts'
import { readTasks } from '../../adapters/compose/read-tasks.ts'
import { initialPrompt, prepareTask, type TrainTask } from '../../adapters/compose/training-task.ts'
import { formatNpy } from '../../adapters/google/npy.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const base = openBase(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
const WIDTH = 192
const begun = tensor(
  'F32',
  [3, WIDTH],
  Float32Array.from({ length: 3 * WIDTH }, (_, index) => Math.sin(index)),
)
let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'training-task-'))
  await mkdir(join(dir, 'prompts'))
  await writeFile(join(dir, 'prompts/first.npy'), formatNpy(begun))
  await writeFile(
    join(dir, 'rows.jsonl'),
    ['good', 'bad', 'good', 'bad'].map((target) => JSON.stringify({ input: 'a film', target })).join('\n'),
  )
})
afterAll(() => rm(dir, { recursive: true }))

const prepared = (options: Partial<TrainTask>, choices: Readonly<Record<string, unknown>> = {}) =>
  prepareTask({ options: { data: join(dir, 'rows.jsonl'), ...options } }, choices, base)

it.each([
  ['label words where there are any', {}, {}, { init: 'labels', length: 100 }],
  ['common pieces for free text', { labels: false }, {}, { init: 'vocab' }],
  ['words that are given', { initText: 'is it good' }, {}, { init: 'text' }],
  ['a prompt that is given, at its length', { initPrompt: 'prompts/first.npy' }, {}, { init: 'prompt', length: 3 }],
  ['what is asked for, whatever is given', { initText: 'is it good' }, { init: 'random', length: 5 }, { init: 'random', length: 5 }],
] as const)('begins from %s', async (_, { initPrompt, ...options }: Partial<TrainTask>, choices, recipe) => {
  const task = await prepared({ ...options, ...(initPrompt === undefined ? {} : { initPrompt: join(dir, initPrompt) }) }, choices)
  expect(task.recipe).toMatchObject(recipe)
  const initial = initialPrompt(task, task.recipe, await base)
  expect(initial).toHaveLength(task.recipe.length * WIDTH)
  expect(String(initial) === String(begun.data)).toBe(initPrompt !== undefined)
})

it('refuses rows to evaluate on that are named twice; of several tasks, one with its own holds out none', async () => {
  const dev = join(dir, 'rows.jsonl')
  await expect(prepared({ dev }, { holdOut: 1 })).rejects.toMatchObject({ code: 'dev-twice' })
  const named = await prepareTask({ name: 'mood', options: { data: dev, dev } }, { holdOut: 1 }, base)
  expect([named.recipe.holdOut, named.data.examples.length, named.devRows?.length]).toEqual([0, 4, 4])
})

it('refuses a template that gives every row the same text', async () => {
  await expect(prepared({ template: 'a text' })).rejects.toMatchObject({ code: 'template-no-field' })
})

it('says what its rows cannot teach', async () => {
  const { advice } = await prepared({ dev: join(dir, 'rows.jsonl') })
  expect(advice.map(({ code }) => code)).toEqual(['data-contradicts', 'dev-leak'])
})

it('refuses another length than the prompt has', async () => {
  const task = await prepared({ initPrompt: join(dir, 'prompts/first.npy') }, { length: 7 })
  const opened = await base
  expect(() => initialPrompt(task, task.recipe, opened)).toThrow(/is \[3, 192\], this run needs \[7, 192\]/)
})

it('means the files of a list of tasks from its folder, and what is not there as a Hub id', async () => {
  const tasks = { near: { data: 'rows.jsonl', initPrompt: 'prompts/first.npy' }, far: { data: '-', initPrompt: 'me/first' } }
  await writeFile(join(dir, 'tasks.json'), JSON.stringify(tasks))
  expect(await readTasks(join(dir, 'tasks.json'))).toEqual({
    near: { data: join(dir, 'rows.jsonl'), initPrompt: join(dir, 'prompts/first.npy') },
    far: { data: '-', initPrompt: 'me/first' },
  })
})
