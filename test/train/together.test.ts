/** Prompts trained together against the same prompts trained alone, resumed from every checkpoint, ended at different steps, and stopped. */
import { describe, expect, it } from 'vitest'
import type { EncodedExample } from '../../src/data/examples.ts'
import { seal, unseal } from './checkpoint.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import type { TrainState } from '../../src/train/state.ts'
import { trainTogether, type JoinedStep, type Lane, type TogetherEvent, type TogetherOptions } from '../../src/train/together.ts'

const SIZE = 3
const examples: EncodedExample[] = Array.from({ length: 23 }, (_row, index) => ({
  inputIds: Array.from({ length: 1 + (index % 6) }, (_position, position) => ((index * 5 + position) % 7) + 2),
  targetIds: index % 2 === 0 ? [5, 1] : [6, 7, 1],
}))

/** Each row wants its prompt's product with x, counted from its ids, to be its number of targets; the result depends on the padding a little, as in f32. */
const lines: JoinedStep = async (batch, prompts) => {
  const [rows = 0, width = 0] = batch.inputIds.shape
  const targets = batch.labels.shape[1] ?? 0
  const [rowLoss, rowTokens, gradient] = [new Float32Array(rows), new Float32Array(rows), new Float32Array(prompts.length * SIZE)]
  for (let row = 0; row < rows; row++) {
    const which = Number(batch.promptIndex.data[row])
    const x = new Float64Array(SIZE).fill(1e-9 * width * rows)
    for (let column = 0; column < width; column++) {
      if (batch.attentionMask.data[row * width + column] === 1n) x[Number(batch.inputIds.data[row * width + column]) % SIZE]! += 0.25
    }
    const tokens = batch.labels.data.subarray(row * targets, (row + 1) * targets).filter((id) => id !== -100n).length
    const off = x.reduce((sum, value, index) => sum + value * prompts[which]![index]!, 0) - tokens
    rowLoss[row] = off * off
    rowTokens[row] = tokens
    for (const [index, value] of x.entries()) gradient[which * SIZE + index]! += 2 * off * value * batch.rowWeight.data[row]!
  }
  return { rowLoss, rowTokens, gradient }
}

/** Best at the first evaluation. */
const evaluate: NonNullable<Lane['evaluate']> = async (_, step) => ({
  metrics: [{ name: 'a', split: 'dev', n: 1, value: -step }],
})

function optionsOf(
  seeds: readonly number[],
  choices: Record<string, unknown> = {},
  { evaluate: own, ...more }: Partial<TogetherOptions> & Pick<Lane, 'evaluate'> = {},
): TogetherOptions {
  let time = 0
  const lanes = seeds.map((seed) => {
    const recipe = makeRecipe({ length: 1, steps: 30, batch: 4, learningRate: 0.05, evalEvery: 10, seed, ...choices })
    return {
      identity: { recipe, data: 'd', base: 'b', start: String(seed) },
      initial: Float32Array.from({ length: SIZE }, (_, index) => (index === SIZE - 1 ? 0 : seed)),
      examples,
      ...(own ? { evaluate: own } : {}),
    }
  })
  return { lanes, padId: 0, step: lines, now: () => (time += 7), checkpointMs: 30, ...more }
}

interface Ended {
  states: TrainState[]
  reasons: string[]
  stored: Uint8Array[]
  logs: string[][]
  /** Of the lanes, at each checkpoint. */
  steps: number[][]
}

async function run(options: TogetherOptions, onEvent: (event: TogetherEvent) => void = () => {}): Promise<Ended> {
  const ended: Ended = { states: [], reasons: [], stored: [], logs: options.lanes.map(() => []), steps: [] }
  for await (const told of trainTogether(options)) {
    onEvent(told)
    if ('states' in told) {
      ended.stored.push(seal(told.states))
      ended.steps.push(told.states.map(({ step }) => step))
    } else if (told.event.type === 'log') ended.logs[told.lane]!.push(JSON.stringify(told.event.line))
    else if (told.event.type === 'finished') {
      ended.states[told.lane] = told.event.state
      ended.reasons[told.lane] = told.event.reason
    }
  }
  return ended
}
const resumed = (options: TogetherOptions, bytes: Uint8Array): TogetherOptions => {
  const saved = unseal(bytes)
  return { ...options, lanes: options.lanes.map((lane, index) => ({ ...lane, resume: saved[index]! })) }
}
/** Two tasks of one seed: other rows, more of them, with longer inputs and targets. */
const taskOf = (which: 0 | 1): Lane => {
  const [lane] = optionsOf([2], {}, { evaluate }).lanes as [Lane]
  const longer = examples.map(({ inputIds }, index) => ({ inputIds: [...inputIds, 4, 6], targetIds: [index % 5, 6, 7, 1] }))
  return which === 0 ? lane : { ...lane, examples: [...longer, ...examples] }
}
const tasks = (...which: (0 | 1)[]): TogetherOptions => ({ ...optionsOf([]), lanes: which.map(taskOf) })

/** Patience ends the first prompt, of seed 1, and not the second. */
const late: NonNullable<Lane['evaluate']> = async (prompt, step) => ({
  metrics: [{ name: 'a', split: 'dev', n: 1, value: prompt[0]! > 1.5 ? step : -step }],
})

const accumulated = (): TogetherOptions => optionsOf([1, 2, 3], { accumulate: 2 }, { evaluate })
const uneven = (): TogetherOptions => optionsOf([1, 2], { patience: 1, steps: 40, learningRate: 0.001 }, { evaluate: late })
const evaluated = (): TogetherOptions => optionsOf([1, 2, 3], {}, { evaluate })
const broken: JoinedStep = async () => Promise.reject(new RangeError('no memory'))

describe('trainTogether', () => {
  it.each([{}, { accumulate: 3 }, { buckets: true }])('trains each prompt as alone: %j', async (choices) => {
    const together = await run(optionsOf([1, 2, 3], choices))
    for (const [index, seed] of [1, 2, 3].entries()) {
      const alone = await run(optionsOf([seed], choices))
      for (const [at, value] of alone.states[0]!.prompt.entries()) expect(together.states[index]!.prompt[at]).toBeCloseTo(value, 5)
    }
  })

  it('trains each task from its own rows as alone, and goes on from every checkpoint to the same bytes', async () => {
    const whole = await run(tasks(0, 1))
    for (const which of [0, 1] as const) {
      const alone = await run(tasks(which))
      for (const [at, value] of alone.states[0]!.prompt.entries()) expect(whole.states[which]!.prompt[at]).toBeCloseTo(value, 5)
    }
    expect(whole.states[0]!.prompt).not.toEqual(whole.states[1]!.prompt)
    expect(whole.stored.length).toBeGreaterThan(4)
    for (const bytes of whole.stored) expect(seal((await run(resumed(tasks(0, 1), bytes))).states)).toEqual(seal(whole.states))
  })

  it('goes on from every checkpoint to the same bytes and logs', async () => {
    const whole = await run(accumulated())
    expect(whole.stored.length).toBeGreaterThan(4)
    expect(whole.steps.every((steps) => new Set(steps).size === 1)).toBe(true)
    for (const bytes of whole.stored) {
      const again = await run(resumed(accumulated(), bytes))
      expect(seal(again.states)).toEqual(seal(whole.states))
      for (const [lane, log] of again.logs.entries()) expect(log).toEqual(whole.logs[lane]!.slice(whole.logs[lane]!.length - log.length))
    }
  })

  it('a prompt that ends early leaves the others to go on, resumed or not', async () => {
    const whole = await run(uneven())
    expect(whole.reasons).toEqual(['patience', 'steps'])
    expect(whole.states.map(({ step }) => step)).toEqual([20, 40])
    for (const bytes of whole.stored) expect(seal((await run(resumed(uneven(), bytes))).states)).toEqual(seal(whole.states))
  })

  it.each([1, 2, 3])('stopped while prompt %i of 3 is evaluated, goes on to the same bytes', async (nth) => {
    const whole = await run(evaluated())
    const stop = new AbortController()
    let asked = 0
    const cut: NonNullable<Lane['evaluate']> = async (prompt, step) => {
      if (++asked === 3 + nth) stop.abort() // at step 20
      stop.signal.throwIfAborted()
      return evaluate(prompt, step)
    }
    const stopped = await run(optionsOf([1, 2, 3], {}, { evaluate: cut, signal: stop.signal }))
    expect(stopped.reasons).toEqual(['aborted', 'aborted', 'aborted'])
    expect(stopped.states.map(({ step }) => step)).toEqual([20, 20, 20])
    const again = await run(resumed(evaluated(), stopped.stored.at(-1)!))
    expect(seal(again.states)).toEqual(seal(whole.states))
    for (const [lane, log] of again.logs.entries()) expect([...stopped.logs[lane]!, ...log]).toEqual(whole.logs[lane])
  })

  it('a step that fails fails the run', async () => {
    await expect(run(optionsOf([1, 2], {}, { step: broken }))).rejects.toThrow('no memory')
  })
})
