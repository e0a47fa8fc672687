/** The training step against PyTorch in f64 (test/golden/make_step.py). */
import * as ort from 'onnxruntime-node'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { buildStep, stepFeeds, type StepBatch, type StepOptions } from '../../src/t5/step.ts'
import { bucketOf } from '../../src/t5/positions.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { ENGINES } from '../engines.ts'
import { readCheckpoint } from './checkpoint.ts'

interface Case {
  model: string
  input_ids: number[][]
  attention_mask: number[][]
  labels: number[][]
  row_weight: number[]
  prompt_index: number[]
  prompts: number[][][]
  row_loss: number[]
  gradient: number[]
  z_row_loss: number[]
  z_gradient: number[]
}
const golden = JSON.parse(readFileSync(new URL('../golden/step.json', import.meta.url), 'utf8')) as {
  cases: Case[]
  z_loss: number
  buckets: Record<'encoder' | 'decoder', number[]>
}

const ids = (rows: number[][]): Tensor<'I64'> => tensor('I64', [rows.length, rows[0]!.length], BigInt64Array.from(rows.flat().map(BigInt)))

function batchOf(given: Case): StepBatch {
  const { prompts } = given
  return {
    inputIds: ids(given.input_ids),
    attentionMask: ids(given.attention_mask),
    labels: ids(given.labels),
    rowWeight: tensor('F32', [given.row_weight.length], Float32Array.from(given.row_weight)),
    prompts: tensor('F32', [prompts.length, prompts[0]!.length, prompts[0]![0]!.length], Float32Array.from(prompts.flat(2))),
    promptIndex: tensor('I64', [given.prompt_index.length], BigInt64Array.from(given.prompt_index.map(BigInt))),
  }
}

const norm = (values: readonly number[]): number => Math.hypot(...values)

/** |got − expected| / |expected|, both as vectors. */
function relativeError(got: ArrayLike<number>, expected: readonly number[]): number {
  expect(got.length).toBe(expected.length)
  return norm(expected.map((value, index) => value - got[index]!)) / norm(expected)
}
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const onEngines = Object.entries(ENGINES).map(([name, engine]) => [name, { engine, options: {} }])
const ways: Record<string, { readonly engine: Engine; readonly options: StepOptions }> = {
  ...Object.fromEntries(onEngines),
  'low memory': { engine: createEngine(ort, { threads: 1, memory: 'low' }), options: {} },
  'z-loss': { engine: createEngine(ort, { threads: 1 }), options: { zLoss: golden.z_loss } },
  'long targets': { engine: createEngine(ort, { threads: 1 }), options: { targetTokens: 1000 } },
}

for (const model of new Set(golden.cases.map((each) => each.model))) {
  for (const [name, { engine, options }] of Object.entries(ways)) {
    test(`${model}: loss and prompt gradient equal PyTorch's in f64 (${name})`, async () => {
      const { config, weights } = await readCheckpoint(model)
      const program = await engine.load(buildStep(config, options), weights)
      const withZ = 'zLoss' in options
      const errors: { loss: number; gradient: number }[] = []
      for (const given of golden.cases.filter((each) => each.model === model)) {
        const batch = batchOf(given)
        const out = await program.run(stepFeeds(config, batch))
        expect([...(out['row_tokens'] as Tensor<'F32'>).data]).toEqual(
          given.labels.map((row) => row.filter((label) => label !== -100).length),
        )
        expect(out['gradient_prompts']?.shape).toEqual(batch.prompts.shape)
        errors.push({
          loss: relativeError((out['row_loss'] as Tensor<'F32'>).data, withZ ? given.z_row_loss : given.row_loss),
          gradient: relativeError((out['gradient_prompts'] as Tensor<'F32'>).data, withZ ? given.z_gradient : given.gradient),
        })
      }
      await program.dispose()
      expect(errors).toHaveLength(3)
      expect(Math.max(...errors.map(({ loss }) => loss))).toBeLessThan(1e-5)
      expect(median(errors.map(({ gradient }) => gradient))).toBeLessThan(1e-5)
    })
  }
}

test('the same feeds give the same bits, and the loss alone is the same loss', async () => {
  const { config, weights } = await readCheckpoint('tiny-t5-v11')
  const feeds = stepFeeds(config, batchOf(golden.cases.find((each) => each.model === 'tiny-t5-v11')!))
  const engine = createEngine(ort, { threads: 2 })
  const step = await engine.load(buildStep(config), weights)
  const loss = await engine.load(buildStep(config, { lossOnly: true }), weights)
  const first = await step.run(feeds)
  expect(await step.run(feeds)).toEqual(first)
  const { gradient_prompts: _, ...rest } = first
  expect(await loss.run(feeds)).toEqual(rest)
  await step.dispose()
  await loss.dispose()
})

test('a batch whose axes disagree is refused', async () => {
  const { config } = await readCheckpoint('tiny-t5-v10')
  const batch = batchOf(golden.cases[0]!)
  const short = tensor('F32', [3], new Float32Array(3))
  expect(() => stepFeeds(config, { ...batch, rowWeight: short })).toThrow(
    expect.objectContaining({ code: 'step-batch', message: expect.stringContaining('rowWeight of a batch is [3], expected [4]') }),
  )
})

test('position buckets equal PyTorch’s at every distance', async () => {
  const { config } = await readCheckpoint('tiny-t5-v10')
  for (const side of ['encoder', 'decoder'] as const) {
    const got = golden.buckets[side].map((_, index) => bucketOf(index - 300, config, side === 'encoder'))
    // a decoder's later keys (bucket 0 in PyTorch, hidden by its mask) have a bucket of their own
    const expected = golden.buckets[side].map((bucket, index) => (side === 'decoder' && index > 300 ? config.buckets : bucket))
    expect(got).toEqual(expected)
  }
})
