/** One whole training on every engine present, from the same data, seed and weights: the first gradient is F64's (with products in F16: nearly), the accuracy one of the CPU's seeds could have. */
import * as ort from 'onnxruntime-node'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drainTraining, trainPrompt } from '../../adapters/compose/train.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { buildStep } from '../../src/t5/step.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { ENGINES, TFJS_ENGINE, WEBGPU } from '../engines.ts'
import { F64 } from '../graph/f64.ts'

const root = new URL('../../', import.meta.url).pathname
const model = join(root, 'models/t5-tiny-en')
/** JavaScript alone is slow: it gets the shortest rows and few of them, unless native TensorFlow or WebGPU was asked for. */
const NATIVE = WEBGPU || TFJS_ENGINE !== 'tfjs-cpu'
const SIZE = NATIVE
  ? { short: false, rows: 200, devRows: 100, recipe: { length: 20, batch: 8, steps: 60 } }
  : { short: true, rows: 80, devRows: 32, recipe: { length: 2, batch: 3, steps: 30 } }
const SEEDS = [1, 2, 3, 4, 5, 6]
const SEED = 3
/** Student's t for a two-sided 95 % interval at 5 degrees of freedom. */
const T = 2.571

const dir = mkdtempSync(join(tmpdir(), 'engines-'))
const file = (part: string): string => join(dir, `${part}.jsonl`)
beforeAll(() => {
  for (const [part, rows] of [
    ['train', SIZE.rows],
    ['dev', SIZE.devRows],
  ] as const) {
    const lines = readFileSync(join(root, 'examples/data/topic', `${part}.jsonl`), 'utf8')
      .trimEnd()
      .split('\n')
    writeFileSync(file(part), (SIZE.short ? lines.toSorted((a, b) => a.length - b.length) : lines).slice(0, rows).join('\n'))
  }
})
afterAll(() => rmSync(dir, { recursive: true }))

type Tensors = Readonly<Record<string, Tensor>>
interface Trained {
  readonly accuracy: number
  readonly losses: readonly number[]
  /** Feeds and results of the first step. */
  readonly first: { readonly feeds: Tensors; readonly out: Tensors }
}

async function train(engine: Engine, seed: number): Promise<Trained> {
  let first: Trained['first'] | undefined
  const watched: Engine = {
    ...engine,
    load: async (graph, weights) => {
      const program = await engine.load(graph, weights)
      if (graph.name !== 'soft_prompt_step') return program
      return {
        ...program,
        run: async (feeds) => {
          const out = await program.run(feeds)
          // not the one row that is asked before the first step
          if (feeds['labels']?.shape[0] === SIZE.recipe.batch) first ??= structuredClone({ feeds, out })
          return out
        },
      }
    },
  }
  const losses: number[] = []
  const recipe = { ...SIZE.recipe, evalEvery: SIZE.recipe.steps, learningRate: 0.3, schedule: 'linear', seed } as const
  const out = join(dir, `${engine.name}-${seed}`)
  const { metrics } = await drainTraining(
    trainPrompt({ engine: watched, model, data: file('train'), dev: file('dev'), out, overwrite: true, recipe }),
    (event) => {
      if (event.type === 'step') losses.push(event.loss)
    },
  )
  return { accuracy: metrics?.[0]?.value as number, losses, first: first as Trained['first'] }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe('a whole training', () => {
  const seeds: Trained[] = []
  let half = 0
  beforeAll(async () => {
    for (const seed of SEEDS) seeds.push(await train(ENGINES['onnxruntime'] as Engine, seed))
    const accuracies = seeds.map(({ accuracy }) => accuracy)
    // 95 % prediction interval of one more seed, by the spread of these
    half =
      T *
      Math.sqrt((mean(accuracies.map((value) => (value - mean(accuracies)) ** 2)) * SEEDS.length) / (SEEDS.length - 1)) *
      Math.sqrt(1 + 1 / SEEDS.length)
    report(
      `onnxruntime on the CPU, seeds ${SEEDS.join(', ')}: ${accuracies.join(', ')}; a seed's 95 % interval: ${mean(accuracies).toFixed(3)} ± ${half.toFixed(3)}`,
    )
  })

  test('learns on the CPU', () => {
    // two classes of the same size
    for (const { accuracy } of seeds) expect(accuracy).toBeGreaterThan(0.75)
    expect(half).toBeLessThan(0.15)
  })

  const slow = NATIVE ? ['onnxruntime-web', 'tfjs-cpu'] : []
  const f16 = { contrib: false, half: true }
  const trained: Record<string, Engine> = {
    ...Object.fromEntries(Object.entries(ENGINES).filter(([name]) => !name.includes('standard') && !slow.includes(name))),
    'onnxruntime in F16': createEngine(ort, { threads: 1, capabilities: f16 }),
    ...(WEBGPU ? { 'onnxruntime-webgpu in F16': createEngine(ort, { device: 'webgpu', capabilities: f16 }) } : {}),
  }
  test.each(Object.entries(trained))('%s', { timeout: 600_000 }, async (name, engine) => {
    const reference = seeds[SEEDS.indexOf(SEED)] as Trained
    const { accuracy, losses, first } = name === 'onnxruntime' ? reference : await train(engine, SEED)
    const { config, weights } = await openBase(model)
    const program = await F64.load(buildStep(config), weights)
    const { gradient_prompts: exact } = await program.run(first.feeds)
    await program.dispose()
    const expected = [...(exact as Tensor<'F64'>).data]
    const got = (first.out['gradient_prompts'] as Tensor<'F32'>).data
    const error = Math.hypot(...expected.map((value, index) => value - (got[index] as number))) / Math.hypot(...expected)
    report(
      `${name}: accuracy ${accuracy}, loss ${losses[0]?.toFixed(3)} to ${mean(losses.slice(-5)).toFixed(3)}, first gradient ${error.toExponential(1)} from F64`,
    )
    const inHalf = name.endsWith('F16')
    expect(error).toBeLessThan(inHalf ? 2e-2 : 1e-4)
    expect(losses[0]).toBeCloseTo(reference.losses[0] as number, inHalf ? 2 : 4)
    expect(losses).toHaveLength(SIZE.recipe.steps)
    expect(mean(losses.slice(-5))).toBeLessThan(0.8 * (losses[0] as number))
    expect(Math.abs(accuracy - reference.accuracy)).toBeLessThanOrEqual(half)
  })
})

/** Figures, where a named command runs this. */
function report(line: string): void {
  if (NATIVE) process.stdout.write(`${line}\n`)
}
