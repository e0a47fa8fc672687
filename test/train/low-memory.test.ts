/** In low-memory mode the model that evaluates is there only while it does. */
import * as ort from 'onnxruntime-node'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { drainTraining, trainPrompt } from '../../adapters/compose/train.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import type { Engine } from '../../src/graph/engine.ts'

const root = new URL('../../', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'low-'))
afterAll(() => rmSync(dir, { recursive: true }))

it.each([
  ['low', [1]],
  ['fast', [1, 3]],
] as const)('%s: programs in memory at a step: %j', async (memory, want) => {
  const alive = new Set<string>()
  const inner = createEngine(ort, { threads: 1, memory })
  const engine: Engine = {
    ...inner,
    load: async (graph, weights) => {
      const program = await inner.load(graph, weights)
      alive.add(graph.name)
      return {
        ...program,
        dispose: async () => {
          alive.delete(graph.name)
          await program.dispose()
        },
      }
    },
  }
  const seen = new Set<number>()
  const result = await drainTraining(
    trainPrompt({
      model: join(root, 'models/t5-tiny-en'),
      data: join(root, 'examples/data/sentiment/train.jsonl'),
      out: join(dir, memory),
      engine,
      memory,
      seeds: 2,
      recipe: { length: 4, steps: 6, batch: 2, holdOut: 10, evalEvery: 2, seed: 1 },
    }),
    ({ type }) => {
      if (type === 'step') seen.add(alive.size)
    },
  )
  expect([...seen]).toEqual(want)
  expect(alive.size).toBe(0)
  expect(result.metrics?.[0]?.n).toBe(10)
})
