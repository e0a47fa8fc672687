/** Training as a page does it, here on onnxruntime-node: what the recipe says is what runs. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { createEngine, openAnswerer, openBase, trainPrompt, type BrowserBase } from '../../adapters/compose/browser-train.ts'
import { drainTraining, trainPrompt as trainInNode } from '../../adapters/compose/train.ts'
import { holdOut } from '../../src/data/split.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'

const MODEL = new URL('../../models/t5-tiny-en/', import.meta.url).pathname
const engine = createEngine(ort, { threads: 1 })
const rows = Array.from({ length: 8 }, (_, index) => ({ text: `the soup number ${index}`, target: index % 2 === 0 ? 'food' : 'film' }))
let base: BrowserBase
beforeAll(async () => {
  const [config, tokenizer, tokenizerConfig] = await Promise.all(
    ['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((name) => readFile(join(MODEL, name), 'utf8')),
  )
  const weights = new Uint8Array(await readFile(join(MODEL, 'model.safetensors')))
  base = openBase('t5-tiny-en', {
    config: config as string,
    tokenizer: tokenizer as string,
    tokenizerConfig: tokenizerConfig as string,
    weights,
  })
})

async function trained(recipe: {
  readonly holdOut?: number
  readonly dropout?: number
}): Promise<{ losses: number[]; prompt: SoftPrompt }> {
  const losses: number[] = []
  const events = trainPrompt({
    base,
    engine,
    rows,
    template: 'about: {text}',
    recipe: { length: 2, steps: 3, batch: 4, seed: 1, ...recipe },
  })
  for (;;) {
    const next = await events.next()
    if (next.done) return { losses, prompt: next.value.prompt }
    if (next.value.type === 'step') losses.push(next.value.loss)
  }
}

it('drops activations where the recipe says so, the same ones for a seed', async () => {
  const [none, some, again] = [await trained({}), await trained({ dropout: 0.3 }), await trained({ dropout: 0.3 })]
  expect(some.losses).not.toEqual(none.losses)
  expect(again.losses).toEqual(some.losses)
  expect(some.prompt.manifest.recipe).toMatchObject({ dropout: 0.3 })
})

it.each([{}, { holdOut: 3 }])('names the rows trained on as Node does: %j', async (recipe) => {
  const dir = await mkdtemp(join(tmpdir(), 'browser-train-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const file = join(dir, 'rows.jsonl')
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  const choices = { length: 2, steps: 1, batch: 4, seed: 1, ...(recipe as { holdOut?: number }) }
  const { prompt } = await trained(choices)
  const options = { model: MODEL, data: file, template: 'about: {text}', out: join(dir, 'out'), threads: 1, recipe: choices }
  const node = await drainTraining(trainInNode(options))
  const { name: _, ...data } = node.prompt!.manifest.data!
  const { name: __, ...inPage } = prompt.manifest.data!
  expect(inPage).toEqual({ ...data, rows: rows.length - (choices.holdOut ?? 0) })
  const texts = rows.map(({ text, target }) => ({ input: `about: ${text}`, target }))
  const { rest } = holdOut(texts, choices.holdOut ?? 0, 1)
  const lines = rest.map(({ input, target }) => `["${input}","${target}"]\n`)
  expect([prompt.manifest.dev, prompt.manifest.dev?.rows]).toEqual([node.prompt!.manifest.dev, choices.holdOut])
  expect(data.sha256).toBe(createHash('sha256').update(lines.join('')).digest('hex'))
})

it('answers a text in the template of the prompt, whatever its field is called', async () => {
  const { prompt } = await trained({})
  const answerer = await openAnswerer(base, engine)
  const asked = await answerer.answer('the soup', prompt)
  expect(asked.labels?.map(({ label }) => label).toSorted()).toEqual(['film', 'food'])
  const filled = { ...prompt, manifest: { ...prompt.manifest, template: '{input}' } }
  expect(asked).toEqual(await answerer.answer('about: the soup', filled))
  await answerer.dispose()
})

it('says what the rows cannot teach, and refuses a template that gives them all one text', async () => {
  const one = rows.map(({ text }) => ({ text, target: 'food' }))
  const events = trainPrompt({ base, engine, rows: one, template: 'about: {text}', recipe: { length: 2, steps: 1, batch: 2 } })
  expect((await events.next()).value).toMatchObject({ type: 'warning', step: 0, code: 'data-one-answer' })
  await events.return({} as never)
  await expect(trainPrompt({ base, engine, rows, template: 'about' }).next()).rejects.toMatchObject({ code: 'template-no-field' })
})
