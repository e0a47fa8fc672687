/** Our step and optimizer against PyTorch PEFT on tiny-t5-v11: the same losses for 20 steps, the same label scores (test/golden/make_peft_losses.py). */
import { readFileSync } from 'node:fs'
import * as ort from 'onnxruntime-node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { collate } from '../../src/data/collate.ts'
import { encodeExamples, type EncodedExample } from '../../src/data/examples.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { scoreLabels } from '../../src/decode/score.ts'
import type { Program } from '../../src/graph/engine.ts'
import type { T5Config } from '../../src/t5/config.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep } from '../../src/t5/step.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'
import { encodeRows } from '../../src/decode/answer.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import { rms } from '../../src/train/optimizer.ts'
import { makeRecipe, optimizerOf } from '../../src/train/recipe.ts'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { tensor } from '../../src/tensor/tensor.ts'

interface Golden {
  learningRate: number
  length: number
  batch: number
  firstRow: number
  rows: { input: string; target: string }[]
  order: number[]
  losses: number[]
  promptRms: number
  labels: string[]
  scores: number[][]
}

const golden = JSON.parse(readFileSync(new URL('../golden/peft_losses.json', import.meta.url), 'utf8')) as Golden
const fixture = new URL('../fixtures/onnx/tiny-t5-v11/', import.meta.url).pathname
const dir = `${fixture}hf/`

let config: T5Config
let weights: WeightTable
let tokenizer: Tokenizer
let examples: readonly EncodedExample[]
let initial: Float32Array
let program: Program

beforeAll(async () => {
  config = parseT5Config(JSON.parse(readFileSync(`${dir}config.json`, 'utf8')))
  weights = (await openCheckpoint(dir)).weights
  tokenizer = await openTokenizer(fixture)
  const rows = golden.rows.map((row) => Object.assign(row, { where: '' }))
  examples = encodeExamples(rows, tokenizer, { maxInput: 512, maxTarget: 128 }).examples
  const shared = weights.get('shared.weight')
  const from = (shared?.offsetBytes ?? 0) + golden.firstRow * config.width * 4
  const bytes = readFileSync(`${dir}model.safetensors`).subarray(from, from + golden.length * config.width * 4)
  initial = new Float32Array(new Uint8Array(bytes).buffer)
  program = await createEngine(ort, { threads: 1 }).load(buildStep(config), weights)
})
afterAll(() => program.dispose())

it('20 steps have the losses of PEFT', async () => {
  const recipe = makeRecipe({ length: golden.length, learningRate: golden.learningRate, stepOffset: 0 })
  const optimizer = optimizerOf(recipe)
  const prompt = initial.slice()
  const state = optimizer.create(prompt.length)
  const step = gradientStep(program, config)
  const losses: number[] = []
  for (let from = 0; from < golden.order.length; from += golden.batch) {
    const batch = golden.order.slice(from, from + golden.batch).map((row) => examples[row] as EncodedExample)
    const { rowLoss, rowTokens, gradient } = await step(collate(batch, tokenizer.padId), [prompt])
    losses.push(rowLoss.reduce((sum, value) => sum + value) / rowTokens.reduce((sum, value) => sum + value))
    optimizer.update(state, prompt, gradient, recipe.learningRate)
  }
  // Two f32 implementations drift apart tenfold every few steps, from 1e-7 on: early steps show that the step is the same.
  const errors = losses.map((loss, index) => Math.abs(loss - (golden.losses[index] as number)))
  expect(errors).toHaveLength(20)
  expect(Math.max(...errors.slice(0, 10))).toBeLessThan(5e-5)
  expect(Math.max(...errors)).toBeLessThan(1e-3)
  expect(Math.abs(rms(prompt) - golden.promptRms)).toBeLessThan(1e-4)
})

it('labels score as in PyTorch, one the start of another', async () => {
  const model = await emittedSeq2Seq(createEngine(ort, { threads: 1 }), config, weights)
  const prompt = tensor('F32', [initial.length / config.width, config.width], initial)
  const input = encodeRows(
    examples.slice(0, 6).map(({ inputIds }) => ({ inputIds, prompt })),
    tokenizer.padId,
  )
  const labels = golden.labels.map((label) => tokenizer.encode(label))
  const scores = await scoreLabels(model, input, labels, config.startId)
  for (const [row, want] of golden.scores.entries()) {
    for (const [label, value] of want.entries()) expect(Math.abs((scores[row]?.[label] ?? 0) - value) / Math.abs(value)).toBeLessThan(1e-5)
  }
  await model.dispose()
})
