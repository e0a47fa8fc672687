/** The loop on a real problem small enough for plain arithmetic: a line fitted by its gradient. Resuming, best step, accumulation, limits. */
import { describe, expect, it } from 'vitest'
import { collate } from '../../src/data/collate.ts'
import type { EncodedExample } from '../../src/data/examples.ts'
import { seal, unseal } from './checkpoint.ts'
import type { TrainEvent } from '../../src/train/events.ts'
import { trainLoop, type GradientStep, type TrainOptions } from '../../src/train/loop.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import type { RunIdentity } from '../../src/train/state.ts'

const SIZE = 4
const examples: EncodedExample[] = Array.from({ length: 37 }, (_row, index) => ({
  inputIds: Array.from({ length: 1 + (index % 5) }, (_position, position) => ((index * 7 + position * 3) % 11) + 2),
  targetIds: index % 3 === 0 ? [5, 1] : [6, 7, 1],
}))

/** Each row wants prompt · x = tokens, x counting its ids; loss and gradient of the squared error, weighted as the real step weighs them. */
const line: GradientStep = (batch, prompt) => {
  const [rows = 0, width = 0] = batch.inputIds.shape
  const rowLoss = new Float32Array(rows)
  const rowTokens = new Float32Array(rows)
  const gradient = new Float32Array(SIZE)
  const targets = batch.labels.shape[1] ?? 0
  for (let row = 0; row < rows; row++) {
    const x = new Float64Array(SIZE)
    for (let column = 0; column < width; column++) {
      if (batch.attentionMask.data[row * width + column] === 1n) x[Number(batch.inputIds.data[row * width + column]) % SIZE]! += 0.25
    }
    const tokens = batch.labels.data.subarray(row * targets, (row + 1) * targets).filter((id) => id !== -100n).length
    const off = x.reduce((sum, value, index) => sum + value * (prompt[index] ?? 0), 0) - tokens
    rowLoss[row] = off * off
    rowTokens[row] = tokens
    for (const [index, value] of x.entries()) gradient[index]! += 2 * off * value * (batch.rowWeight.data[row] ?? 0)
  }
  return Promise.resolve({ rowLoss, rowTokens, gradient })
}

function optionsOf(choices: Record<string, unknown> = {}, more: Partial<TrainOptions> = {}): TrainOptions {
  const recipe = makeRecipe({ length: 1, steps: 40, batch: 4, learningRate: 0.05, evalEvery: 10, ...choices })
  const identity: RunIdentity = { recipe, data: 'd', base: 'b', start: 's' }
  let time = 0
  return { identity, examples, padId: 0, initial: new Float32Array(SIZE), step: line, now: () => (time += 7), checkpointMs: 0, ...more }
}

async function collect(options: TrainOptions, onEvent: (event: TrainEvent) => void = () => {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of trainLoop(options)) {
    events.push(event)
    onEvent(event)
  }
  return events
}
const last = (events: TrainEvent[]): Extract<TrainEvent, { type: 'finished' }> => events.at(-1) as Extract<TrainEvent, { type: 'finished' }>
const of = <T extends TrainEvent['type']>(events: TrainEvent[], type: T): Extract<TrainEvent, { type: T }>[] =>
  events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type)
const withoutTimes = (events: TrainEvent[]): unknown[] =>
  events
    .filter(({ type }) => type === 'log' || type === 'evaluated')
    .map((event) => ('leftMs' in event ? Object.assign({}, event, { leftMs: 0 }) : event))

/** Higher the nearer the prompt is to all ones, so that the best step is not the last. */
const evaluate: NonNullable<TrainOptions['evaluate']> = async (prompt) => ({
  metrics: [{ name: 'near', split: 'dev', n: 1, value: -prompt.reduce((sum, value) => sum + (value - 0.9) ** 2, 0) }],
})

const broken: GradientStep = async (batch, prompt) => {
  const result = await line(batch, prompt)
  return prompt[0] === 0 ? result : { ...result, gradient: result.gradient.fill(Number.NaN) }
}
const same: NonNullable<TrainOptions['evaluate']> = async () => ({ metrics: [{ name: 'a', split: 'dev', n: 1, value: 0.5 }] })

describe('trainLoop', () => {
  it('learns, tells each step, and ends with the last', async () => {
    const events = await collect(optionsOf())
    expect(events[0]).toMatchObject({ type: 'started', step: 0, steps: 40 })
    const steps = of(events, 'step')
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
    const mean = (part: typeof steps): number => part.reduce((sum, { loss }) => sum + loss, 0) / part.length
    expect(mean(steps.slice(-8))).toBeLessThan(mean(steps.slice(0, 8)) / 2)
    expect(steps.at(-1)!.leftMs).toBe(0)
    expect(last(events)).toMatchObject({ reason: 'steps', state: { step: 40 } })
  })

  it.each(['adafactor', 'adamw', 'sgd'])(
    'resumed from the bytes of every checkpoint, %s ends with the same bytes and log',
    async (optimizer) => {
      const options = (): TrainOptions => optionsOf({ optimizer, learningRate: 0.01, schedule: 'cosine', warmup: 3 }, { evaluate })
      const whole = await collect(options())
      const end = seal([last(whole).state])
      const checkpoints = of(whole, 'checkpoint')
      expect(checkpoints.length).toBeGreaterThanOrEqual(40)
      for (const { state } of checkpoints) {
        const resumed = await collect({ ...options(), resume: unseal(seal([state]))[0]! })
        expect(seal([last(resumed).state])).toEqual(end)
        const later = withoutTimes(whole).filter(
          (event) => ((event as { step?: number }).step ?? (event as { line: { step: number } }).line.step) > state.step,
        )
        expect(withoutTimes(resumed)).toEqual(later)
      }
    },
  )

  it('checkpoints are copies: a later step does not change one', async () => {
    const seen: Uint8Array[] = []
    const kept: Extract<TrainEvent, { type: 'checkpoint' }>[] = []
    await collect(optionsOf(), (event) => {
      if (event.type !== 'checkpoint') return
      seen.push(seal([event.state]))
      kept.push(event)
    })
    expect(kept.map(({ state }) => seal([state]))).toEqual(seen)
  })

  it('keeps the best evaluated step, the earlier of equals', async () => {
    const events = await collect(optionsOf({}, { evaluate }))
    const evaluated = of(events, 'evaluated')
    expect(evaluated.map(({ step }) => step)).toEqual([10, 20, 30, 40])
    const values = evaluated.map(({ metrics }) => metrics[0]!.value)
    const { best } = last(events).state
    expect(best?.metrics[0]?.value).toBe(Math.max(...values))
    expect(await evaluate(best!.prompt, 0)).toMatchObject({ metrics: [{ value: Math.max(...values) }] })
    const level = await collect(optionsOf({}, { evaluate: same }))
    expect(last(level).state.best?.step).toBe(10)
  })

  it('ends after `patience` evaluations without a better one', async () => {
    const events = await collect(optionsOf({ patience: 2 }, { evaluate: same }))
    expect(last(events)).toMatchObject({ reason: 'patience', state: { step: 30 } })
  })

  it('accumulated batches move the prompt as one batch of their size', async () => {
    const whole = last(await collect(optionsOf({ batch: 8, buckets: false })))
    const parts = last(await collect(optionsOf({ batch: 2, accumulate: 4, buckets: false })))
    for (const [index, value] of whole.state.prompt.entries()) expect(parts.state.prompt[index]).toBeCloseTo(value, 4)
  })

  it('stops, saved, on a signal and at the time limit', async () => {
    const stop = new AbortController()
    const stopped = await collect(optionsOf({}, { signal: stop.signal }), (event) => {
      if (event.type === 'step' && event.step === 7) stop.abort()
    })
    expect(last(stopped)).toMatchObject({ reason: 'aborted', state: { step: 7 } })
    expect(stopped.at(-2)).toMatchObject({ type: 'checkpoint', state: { step: 7 } })
    const limited = await collect(optionsOf({}, { timeLimitMs: 200 }))
    expect(last(limited).reason).toBe('time')
    expect(last(limited).state.step).toBeLessThan(40)
  })

  it('says that it diverged instead of saving what is no number', async () => {
    const seen: TrainEvent[] = []
    await expect(collect(optionsOf({}, { step: broken }), (event) => void seen.push(event))).rejects.toThrow(
      expect.objectContaining({ code: 'training-diverged' }),
    )
    expect(of(seen, 'checkpoint').every(({ state }) => state.prompt.every(Number.isFinite))).toBe(true)
  })
})

it('collate weighs each token the same and pads to the longest only', () => {
  const batch = collate([examples[0]!, examples[4]!], 0)
  expect(batch.inputIds.shape).toEqual([2, 5])
  expect([...batch.rowWeight.data]).toEqual([Math.fround(1 / 5), Math.fround(1 / 5)])
  expect([...batch.labels.data]).toEqual([5n, 1n, -100n, 6n, 7n, 1n])
})
