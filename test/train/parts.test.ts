/** A batch cut into parts: every row once, and the loss and gradient of the whole batch (tiny-t5-v11, prompts of two lanes, rows of many lengths). */
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { collate, IGNORED, joinBatches } from '../../src/data/collate.ts'
import { buildStep } from '../../src/t5/step.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { planMemory } from '../../src/train/estimate.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import { SMALL, splitBatch, WHOLE } from '../../src/train/parts.ts'
import { readCheckpoint } from '../t5/checkpoint.ts'

const random = createRandom(7)
const ids = (count: number): number[] => Array.from({ length: count }, () => 2 + random.int(90))
const LENGTHS = [9, 2, 14, 5, 3, 11, 7]
const lane = (lengths: readonly number[]): ReturnType<typeof collate> =>
  collate(
    lengths.map((length) => ({ inputIds: ids(length), targetIds: ids(1 + (length % 3)) })),
    0,
  )
const batch = joinBatches([lane(LENGTHS), lane(LENGTHS.toReversed())], 0)
const rows = 2 * LENGTHS.length
const lengthOf = (row: number): number => [...LENGTHS, ...LENGTHS.toReversed()][row] as number

describe('cutting', () => {
  it.each([
    [{ about: Infinity, most: 45 }, 5],
    [{ about: 60, most: Infinity }, 3],
    [{ about: 1, most: 1 }, 12],
  ])('%j: every row once, the shortest first, no wider than its part needs', (size, count) => {
    const parts = splitBatch(batch, 6, size)
    expect(parts).toHaveLength(count)
    expect(parts.flatMap((part) => part.rows).toSorted((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, row) => row))
    let last = 0
    for (const part of parts) {
      expect(Math.abs(part.rows.reduce((sum, row) => sum + 6 + lengthOf(row), 0) - 186 / count)).toBeLessThanOrEqual(20)
      const lengths = part.rows.map(lengthOf)
      expect(part.batch.inputIds.shape).toEqual([part.rows.length, Math.max(...lengths)])
      expect(part.batch.labels.shape[1]).toBe(Math.max(...lengths.map((length) => 1 + (length % 3))))
      expect(Math.min(...lengths)).toBeGreaterThanOrEqual(last)
      last = Math.max(...lengths)
      for (const [index, row] of part.rows.entries()) {
        const seen = part.batch.attentionMask.data.subarray(index * part.batch.attentionMask.shape[1]!).slice(0, lengthOf(row))
        expect([...seen]).toEqual(Array<bigint>(lengthOf(row)).fill(1n))
        expect(part.batch.promptIndex.data[index]).toBe(row < LENGTHS.length ? 0n : 1n)
        expect(part.batch.rowWeight.data[index]).toBe(batch.rowWeight.data[row])
      }
    }
  })

  it('leaves a batch alone that is small enough', () => {
    expect(splitBatch(batch, 6, SMALL)[0]?.batch).toBe(batch)
    expect(splitBatch(batch, 6, WHOLE)[0]?.batch).toBe(batch)
  })

  it('a row whose labels are all ignored still stands in its part', () => {
    const ignored = { ...batch, labels: { ...batch.labels, data: batch.labels.data.map(() => IGNORED) } }
    expect(splitBatch(ignored, 6, { about: 60, most: Infinity })[0]?.batch.labels.shape).toEqual([6, 1])
  })
})

describe('running', async () => {
  const { config, weights } = await readCheckpoint('tiny-t5-v11')
  const graph = buildStep(config)
  const engine = createEngine(ort, { threads: 1 })
  const program = await engine.load(graph, weights)
  const prompts = [1, 2].map(() => Float32Array.from({ length: 6 * config.width }, () => random.uniform() - 0.5))

  it.each([
    { about: Infinity, most: 50 },
    { about: 40, most: Infinity },
    { about: 1, most: Infinity },
  ])('%j: losses in the order of the rows, and the gradient, of the whole', async (part) => {
    const whole = await gradientStep(program, config)(batch, prompts)
    const cut = await gradientStep(program, config, { part })(batch, prompts)
    expect(cut.rowTokens).toEqual(whole.rowTokens)
    for (const [row, loss] of whole.rowLoss.entries()) expect(cut.rowLoss[row]).toBeCloseTo(loss, 4)
    const norm = Math.hypot(...whole.gradient)
    expect(Math.hypot(...whole.gradient.map((value, index) => value - (cut.gradient[index] as number))) / norm).toBeLessThan(3e-6)
  })

  it('dropout draws other masks in every part, the same ones again from the same seed', async () => {
    const rate = 0.3
    const dropped = buildStep(config, { dropout: rate })
    const loaded = await engine.load(dropped, weights)
    const step = gradientStep(loaded, config, { part: { about: 1, most: Infinity }, dropout: { graph: dropped, rate } })
    const twin = collate(
      [1, 2].map(() => ({ inputIds: [5, 6, 7], targetIds: [8, 1] })),
      0,
    )
    const once = await step({ ...twin, dropoutSeed: 3 }, prompts.slice(0, 1))
    expect(once.rowLoss[0]).not.toBe(once.rowLoss[1])
    expect(await step({ ...twin, dropoutSeed: 3 }, prompts.slice(0, 1))).toEqual(once)
    await loaded.dispose()
  })

  it('with little memory few rows run at a time, and what is foreseen is less', () => {
    const largest = { rows: 64, inputTokens: 40, targetTokens: 3, tokens: 2000 }
    const plan = (memory: 'fast' | 'low'): ReturnType<typeof planMemory> =>
      planMemory(graph, weights, { contrib: true, externalData: true }, [largest], { count: 1, length: 6 }, memory)
    expect(plan('fast').part).toEqual(WHOLE)
    expect(plan('low').part.most).toBeGreaterThanOrEqual(46)
    expect(plan('low').part.most).toBeLessThan(4 * 46)
    expect(plan('low').bytes).toBeLessThan(plan('fast').bytes - 64e4)
  })
})
