/** The peak of a graph's values, counted by hand; and of a training step, that its parts grow as they should. */
import { expect, it } from 'vitest'
import { createBuilder } from '../../src/graph/builder.ts'
import { peakBytes } from '../../src/graph/memory.ts'
import { add, gather, matMul, relu, reshape, transpose } from '../../src/graph/ops.ts'
import { specialise } from '../../src/graph/passes.ts'
import { buildStep } from '../../src/t5/step.ts'
import { largestBatch } from '../../src/train/estimate.ts'
import { readCheckpoint } from '../t5/checkpoint.ts'

const KB = 1024
const symbols = new Map([['N', 16]])

it('counts what lives at once: views and operators in place take nothing', () => {
  const g = createBuilder('g')
  const x = g.input('x', 'F32', ['N', 16]) // 1 kB
  const a = transpose(g, x, [1, 0]) // a
  const b = matMul(g, a, x) // a b
  const c = relu(g, b) // a b: in b's place
  const d = reshape(g, c, [16 * 16]) // a view of b
  const e = matMul(g, reshape(g, d, [16, 16]), a) // a b e: the peak
  const f = add(g, e, e) // e, in its place
  expect(peakBytes(g.finish({ f }), symbols)).toBe(3 * KB)
  // kept to the end where it is an output
  expect(peakBytes(g.finish({ f, b: transpose(g, b, [1, 0]), a }), symbols)).toBe(4 * KB)
})

it('gives back what nothing reads', () => {
  const g = createBuilder('g')
  const x = g.input('x', 'F32', ['N', 16])
  const many = g.apply('RmsNorm', [x, g.weight('w', [16])], { epsilon: 0 }) // y, inverse [N, 1]
  const y = gather(g, many[0]!, g.input('i', 'I64', ['N']))
  expect(peakBytes(g.finish({ y }), symbols)).toBe(2 * KB)
})

it('of a step grows with each axis, and most of it is what the gradient needs', async () => {
  const { config } = await readCheckpoint('tiny-t5-v11')
  const sizes = (more: Record<string, number> = {}, lossOnly = false): number => {
    const { B, T, U, P } = { B: 2, T: 8, U: 4, P: 4, ...more }
    const M = B * T + 1
    const axes = new Map(Object.entries({ B, T, U, P, S: P + T, K: 1, M, N: B * P + M }))
    return peakBytes(specialise(buildStep(config, { lossOnly }), { contrib: true, externalData: true }), axes)
  }
  for (const axis of ['B', 'T', 'U', 'P']) expect(sizes({ [axis]: 9 })).toBeGreaterThan(sizes())
  expect(sizes({ B: 8 }, true)).toBeLessThan(sizes({ B: 8 }) / 2)
})

it('the largest batch is the largest that was drawn', () => {
  const examples = [1, 2, 3, 40].map((length) => ({ inputIds: Array<number>(length).fill(5), targetIds: [6, 1] }))
  const batch = largestBatch(examples, { seed: 0, batch: 2, buckets: false })
  expect(batch).toEqual({ rows: 2, inputTokens: 40, targetTokens: 2, tokens: 43 })
})
