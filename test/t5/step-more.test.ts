/** Dropout and trained weights in the training step against PyTorch in f64 (test/golden/make_step_more.py). */
import * as ort from 'onnxruntime-node'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { formatModel } from '../../src/onnx/model.ts'
import type { Engine } from '../../src/graph/engine.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { dropoutFeeds } from '../../src/t5/dropout.ts'
import { buildStep, stepFeeds } from '../../src/t5/step.ts'
import { sizeOf, tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { specialise } from '../../src/graph/passes.ts'
import { F64 } from '../graph/f64.ts'
import { batchOf, golden, median, relativeError } from './cases.ts'
import { readCheckpoint, valuesOf } from './checkpoint.ts'

const more = JSON.parse(readFileSync(new URL('../golden/step_more.json', import.meta.url), 'utf8')) as {
  rate: number
  dropout: { case: number; places: number; row_loss: number[]; gradient: number[] }[]
  /** Of each weight's gradient its norm and its products with cos(w·i + w) for three w. */
  weights: { case: number; gradients: Record<string, number[]> }[]
}
const modelOf = ({ case: index }: { case: number }): string => golden.cases[index]!.model
const models = [...new Set(more.dropout.map(modelOf))]
const engines: Record<string, { engine: Engine; most: number }> = {
  onnxruntime: { engine: createEngine(ort, { threads: 1 }), most: 2e-5 },
  // PyTorch's own T5 takes norms and softmax in f32 even so
  f64: { engine: F64, most: 1e-5 },
}
const runs = models.flatMap((model) => Object.entries(engines).map(([name, rest]) => [model, name, rest] as const))

type Feeds = Record<string, Tensor>
const data = (value: Tensor | undefined): Float32Array => (value as Tensor<'F32'>).data

const kept = (place: number, index: number): number =>
  Math.floor(((index * 2654435761 + place * 40503 * 65536) % 2 ** 32) / 2 ** 20) % 4 === 0 ? 0 : 1

/** The golden masks: dense ones, of which packed rows take theirs. */
function goldenMasks(graph: Graph, feeds: Feeds): Feeds {
  const shapes = dropoutFeeds(graph, feeds, more.rate, 0)
  const positions = (feeds['packed_rows'] as Tensor<'I64'>).data
  return Object.fromEntries(
    graph.inputs.flatMap(({ name, value }) => {
      const place = Number(/^dropout_(\d+)$/.exec(name)?.[1] ?? -1)
      if (place < 0) return []
      const { shape } = shapes[name] as Tensor
      const width = value.shape[0] === 'N' ? shape[1]! : sizeOf(shape)
      const mask = Uint8Array.from({ length: sizeOf(shape) }, (_, index) => {
        const row = value.shape[0] === 'N' ? Number(positions[Math.floor(index / width)]) : 0
        return kept(place, row * width + (index % width))
      })
      return [[name, tensor('BOOL', shape, mask)]]
    }),
  )
}

const place = (): { location: string; offset: number } => ({ location: 'x', offset: 0 })

describe('dropout', () => {
  it.each(runs)('%s: with the same masks, loss and prompt gradient are PyTorch’s (%s)', async (model, _, { engine, most }) => {
    const { config, weights } = await readCheckpoint(model)
    const graph = buildStep(config, { dropout: more.rate })
    const program = await engine.load(graph, weights)
    const errors: number[] = []
    for (const want of more.dropout.filter((each) => modelOf(each) === model)) {
      const feeds = stepFeeds(config, batchOf(golden.cases[want.case]!))
      const masks = goldenMasks(graph, feeds)
      expect(Object.keys(masks)).toHaveLength(want.places)
      const out = await program.run({ ...feeds, ...masks })
      expect(relativeError(data(out['row_loss']), want.row_loss)).toBeLessThan(1e-5)
      errors.push(relativeError(data(out['gradient_prompts']), want.gradient))
    }
    await program.dispose()
    expect(errors).toHaveLength(3)
    expect(median(errors)).toBeLessThan(most)
  })

  it('long targets drop at the same places', async () => {
    const { config, weights } = await readCheckpoint('tiny-t5-v11')
    const want = more.dropout.find((each) => modelOf(each) === 'tiny-t5-v11')!
    const graph = buildStep(config, { dropout: more.rate, targetTokens: 1000 })
    const program = await F64.load(graph, weights)
    const feeds = stepFeeds(config, batchOf(golden.cases[want.case]!))
    const out = await program.run({ ...feeds, ...goldenMasks(graph, feeds) })
    await program.dispose()
    expect(relativeError(data(out['gradient_prompts']), want.gradient)).toBeLessThan(1e-5)
  })

  it('rate 0 is the graph without dropout, byte for byte', async () => {
    const { config, weights } = await readCheckpoint('tiny-t5-v11')
    const bytes = (graph: Graph): Uint8Array => {
      return formatModel(emitModel(specialise(graph, { contrib: true, externalData: true }), weights, place))
    }
    expect(bytes(buildStep(config, { dropout: 0 }))).toEqual(bytes(buildStep(config)))
    expect(bytes(buildStep(config, { dropout: 0.1 }))).not.toEqual(bytes(buildStep(config)))
  })

  it('masks drop the rate asked for, each place its own, the same from the same seed', async () => {
    const { config } = await readCheckpoint('tiny-t5-v11')
    const graph = buildStep(config, { dropout: 0.1 })
    const feeds = stepFeeds(config, batchOf(golden.cases[3]!))
    const masks = dropoutFeeds(graph, feeds, 0.1, 5)
    const all = Object.values(masks).flatMap((mask) => [...(mask as Tensor<'BOOL'>).data])
    const dropped = all.filter((value) => value === 0).length / all.length
    // four standard errors
    expect(Math.abs(dropped - 0.1)).toBeLessThan(4 * Math.sqrt(0.09 / all.length))
    expect(masks).toEqual(dropoutFeeds(graph, feeds, 0.1, 5))
    const texts = Object.values(masks).map((mask) => (mask as Tensor<'BOOL'>).data.subarray(0, 400).join(''))
    expect(new Set(texts).size).toBe(texts.length)
    expect(dropoutFeeds(graph, feeds, 0.1, 6)).not.toEqual(masks)
  })
})

describe('trained weights', () => {
  it.each(runs)('%s: the gradient of every weight is PyTorch’s (%s)', async (model, _, { engine, most }) => {
    const { config: said, weights } = await readCheckpoint(model)
    // where a checkpoint has no head, the embeddings are it
    const config = { ...said, tied: !weights.has('lm_head.weight') }
    const wanted = more.weights.filter((each) => modelOf(each) === model)
    const names = Object.keys(wanted[0]!.gradients)
    const values = valuesOf(weights, names)
    const program = await engine.load(buildStep(config, { trainables: names }), new Map())
    const errors = new Map<string, number[]>(names.map((name) => [name, []]))
    for (const want of wanted) {
      const out = await program.run({ ...stepFeeds(config, batchOf(golden.cases[want.case]!)), ...values })
      for (const [name, [norm = 0, ...products]] of Object.entries(want.gradients)) {
        const got = data(out[`gradient_${name}`])
        expect(out[`gradient_${name}`]?.shape).toEqual(values[name]?.shape)
        const length = Math.sqrt(got.length)
        const off = [0.1, 0.7, 1.9].map((wave, at) => {
          let sum = 0
          for (const [index, value] of got.entries()) sum += value * Math.cos(index * wave + wave)
          return Math.abs(sum - products[at]!) / (norm * length)
        })
        errors.get(name)!.push(Math.max(...off, Math.abs(Math.hypot(...got) - norm) / norm))
      }
    }
    await program.dispose()
    expect([...errors].filter(([, each]) => median(each) > most)).toEqual([])
  })

  it('refuses a weight that the step does not use', async () => {
    const { config } = await readCheckpoint('tiny-t5-v10')
    expect(() => buildStep(config, { trainables: ['lm_head.weight'] })).toThrow(expect.objectContaining({ code: 'step-trainable' }))
  })
})
