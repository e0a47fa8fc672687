/** The training step against PyTorch in f64 (test/golden/make_step.py). */
import * as ort from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { buildStep, stepFeeds, type StepOptions } from '../../src/t5/step.ts'
import { bucketOf } from '../../src/t5/positions.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { ENGINES } from '../engines.ts'
import { F64 } from '../graph/f64.ts'
import { batchOf, golden, median, relativeError } from './cases.ts'
import { readCheckpoint } from './checkpoint.ts'

const onEngines = Object.entries(ENGINES).map(([name, engine]) => [name, { engine, options: {} }])
const ways: Record<string, { readonly engine: Engine; readonly options: StepOptions }> = {
  ...Object.fromEntries(onEngines),
  // PyTorch's own T5 takes norms and softmax in f32 even so
  f64: { engine: F64, options: {} },
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
