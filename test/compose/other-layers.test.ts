/** A base of which only the layers are others, as a merged LoRA leaves it: told by everything that takes a prompt and a base. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { answer } from '../../adapters/compose/answer.ts'
import { baseModel } from '../../adapters/compose/base-model.ts'
import { evaluatePrompts } from '../../adapters/compose/evaluate.ts'
import { inspectPrompts } from '../../adapters/compose/inspect.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { trainPrompt, type TrainPromptOptions } from '../../adapters/compose/train.ts'
import { verifyPrompts, type Check } from '../../adapters/compose/verify.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { folderOf, promptOf } from '../attach/fixtures.ts'
import { inLayers, readOnnx, scrambledCheckpoint, scrambledOnnx } from '../prompt/layers.ts'

const fixture = folderOf('tiny-t5-v11')
const dir = mkdtempSync(join(tmpdir(), 'other-layers-'))
const at = (name: string): string => join(dir, name)
const [prompt, older, data] = [at('prompt'), at('older'), at('rows.jsonl')]

beforeAll(async () => {
  for (const name of ['base', 'other', 'onnx', 'other-onnx']) {
    mkdirSync(at(name))
    for (const file of ['tokenizer.json', 'tokenizer_config.json', 'config.json']) cpSync(join(fixture, file), join(at(name), file))
  }
  const weights = join(fixture, 'hf/model.safetensors')
  cpSync(weights, at('base/model.safetensors'))
  writeFileSync(at('other/model.safetensors'), scrambledCheckpoint(weights, inLayers))
  for (const name of ['onnx', 'other-onnx']) cpSync(join(fixture, 'onnx'), at(`${name}/onnx`), { recursive: true })
  writeFileSync(at('other-onnx/onnx/decoder_model_merged.onnx'), formatModel(scrambledOnnx(readOnnx(fixture, 'decoder_model_merged.onnx'))))
  const base = await baseModel(await openBase(at('base')))
  await writePromptFolder({ ...promptOf('tiny-t5-v11', 'a'), manifest: { base, labels: ['good', 'bad'] } }, prompt)
  const { layers: _, ...rest } = base.fingerprint!
  await writePromptFolder({ ...promptOf('tiny-t5-v11', 'a'), manifest: { base: { ...base, fingerprint: { ...rest, version: 1 } } } }, older)
  writeFileSync(data, ['good', 'bad', 'good', 'bad'].map((target, index) => JSON.stringify({ input: `row ${index}`, target })).join('\n'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const OTHER = /\d+ of 74 weights of the layers differ/
const baseCheck = async (path: string, model: string): Promise<Check | undefined> =>
  (await verifyPrompts(path, { model }))[0]?.checks.find(({ name }) => name === 'base model')

it('verify', async () => {
  expect(await baseCheck(prompt, at('base'))).toEqual({ name: 'base model', standing: 'ok', detail: 'the same model' })
  expect(await baseCheck(prompt, at('other'))).toMatchObject({
    standing: 'failed',
    code: 'prompt-base',
    detail: expect.stringMatching(OTHER),
  })
  expect(await baseCheck(prompt, at('onnx'))).toMatchObject({ standing: 'ok', detail: 'the same model' })
  expect(await baseCheck(prompt, at('other-onnx'))).toMatchObject({ standing: 'failed', detail: expect.stringMatching(/\(decoder\.block/) })
})

it('verify never says "the same model" of what it did not see', async () => {
  expect(await baseCheck(prompt, at('onnx/onnx/encoder_model.onnx'))).toMatchObject({
    standing: 'warning',
    detail: "the same model as far as it was compared; the decoder's layers were not compared",
  })
  expect(await baseCheck(older, at('other'))).toMatchObject({
    standing: 'warning',
    detail: expect.stringContaining('as far as it was compared; the layers were not compared: the fingerprint is of version 1'),
  })
})

it('inspect', async () => {
  expect((await inspectPrompts(prompt, { model: at('other') }))[0]?.base).toMatchObject({ answer: 'other' })
})

it('run and eval', async () => {
  const run = (model: string): Promise<unknown> => answer({ prompts: [prompt], model, texts: ['a row'], threads: 1 })
  await expect(run(at('base'))).resolves.toHaveLength(1)
  const refused = { code: 'prompt-base', message: expect.stringMatching(OTHER) }
  await expect(run(at('other'))).rejects.toMatchObject(refused)
  await expect(evaluatePrompts({ prompts: [prompt], model: at('other'), data: [data], threads: 1 }).next()).rejects.toMatchObject(refused)
})

it('a training that is to go on', async () => {
  const out = at('run')
  const train = async (model: string, more: Partial<TrainPromptOptions> = {}): Promise<string> => {
    const recipe = { length: 2, steps: 4, batch: 2, evalEvery: 2 }
    const events = trainPrompt({ model, data, dev: data, out, threads: 1, recipe, ...more })
    for (let event = await events.next(); ; event = await events.next()) if (event.done) return event.value.reason
  }
  // The time is over after the first step: a checkpoint is left.
  expect(await train(at('base'), { timeLimitMs: 1 })).toBe('time')
  const before = readFileSync(join(out, 'training_log.jsonl'), 'utf8')
  await expect(train(at('other'), { resume: true })).rejects.toMatchObject({ code: 'resume-mismatch' })
  expect(readFileSync(join(out, 'training_log.jsonl'), 'utf8')).toBe(before)
  expect(await train(at('base'), { resume: true })).toBe('steps')
})
