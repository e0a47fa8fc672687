/** What is left of a run: steps and evaluations timed apart, alone and together. */
import { describe, expect, it } from 'vitest'
import { makeRecipe } from '../../src/train/recipe.ts'
import { evaluationsAfter, paceOf } from '../../src/train/pace.ts'
import { trainTogether } from '../../src/train/together.ts'
import { trainLoop, type StepResult } from '../../src/train/loop.ts'
import type { TrainEvent } from '../../src/train/events.ts'

const recipe = makeRecipe({ length: 1, steps: 25, evalEvery: 10, batch: 4 })

it.each([
  [0, 3],
  [9, 3],
  [10, 2],
  [20, 1],
  [25, 0],
])('after step %i of 25, %i evaluations of one each 10 follow', (step, count) => {
  expect(evaluationsAfter(recipe, step)).toBe(count)
})

it('guesses evaluations by their rows until one was timed', () => {
  const pace = paceOf(recipe, 40)
  pace.step(2)
  expect(pace.leftMs(0)).toBeCloseTo(25 * 2 + 3 * (40 / 4) * 0.5 * 2)
  pace.evaluation(100)
  expect(pace.leftMs(10)).toBeCloseTo(15 * 2 + 2 * 100)
  expect(pace.leftMs(10, true)).toBeCloseTo(15 * 2 + 3 * 100)
  expect(pace.leftMs(25)).toBe(0)
})

const told = (event: TrainEvent): (readonly [string, number, number])[] =>
  event.type === 'step' || event.type === 'evaluated' ? [[event.type, event.step, event.leftMs]] : []

describe('in a run', () => {
  /** A clock that only work moves. */
  let time = 0
  const [STEP_MS, EVALUATION_MS] = [3, 50]
  const now = (): number => time
  const examples = [{ inputIds: [3, 1], targetIds: [5, 1] }]
  const identity = { recipe, data: 'd', base: 'b', start: 's' }
  const result = (rows: number, prompts: number): StepResult => {
    time += STEP_MS
    return { rowLoss: new Float32Array(rows), rowTokens: new Float32Array(rows).fill(2), gradient: new Float32Array(prompts) }
  }
  const evaluate = async (): Promise<{ metrics: [] }> => {
    time += EVALUATION_MS
    return { metrics: [] }
  }

  it('one alone', async () => {
    const events: TrainEvent[] = []
    const initial = new Float32Array(1)
    const run = trainLoop({ identity, examples, padId: 0, initial, step: async () => result(4, 1), evaluate, evaluationRows: 8, now })
    for await (const event of run) events.push(event)
    expect(events[0]).toMatchObject({ type: 'started', evaluations: 3, estimateMs: expect.closeTo(25 * STEP_MS + 3 * STEP_MS) })
    expect(events.flatMap(told).filter(([, step]) => step === 20)).toEqual([
      ['step', 20, expect.closeTo(5 * STEP_MS + 2 * EVALUATION_MS)],
      ['evaluated', 20, expect.closeTo(5 * STEP_MS + EVALUATION_MS)],
    ])
  })

  it('two together, whose evaluations follow each other', async () => {
    const seen: (readonly [string, number, number])[] = []
    const lane = { identity, examples, initial: new Float32Array(1), evaluate }
    const run = trainTogether({ lanes: [lane, lane], padId: 0, step: async () => result(8, 2), now })
    for await (const each of run) if ('event' in each && each.lane === 0) seen.push(...told(each.event))
    expect(seen.filter(([, step]) => step === 20)).toEqual([
      ['step', 20, expect.closeTo(5 * STEP_MS + 2 * 2 * EVALUATION_MS)],
      ['evaluated', 20, expect.closeTo(5 * STEP_MS + 2 * EVALUATION_MS)],
    ])
  })
})
