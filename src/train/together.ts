/** Several prompts trained in one batch, of several seeds or tasks: each keeps its own rows, order, state and events; the frozen model runs once a step for all of them. Masks of dropout are drawn for the whole batch. */
import { joinBatches, type TrainBatch } from '../data/collate.ts'
import type { TrainEvent } from './events.ts'
import { trainLoop, type Evaluation, type GradientStep, type StepResult, type TrainOptions } from './loop.ts'
import type { TrainState } from './state.ts'

/** One step of K prompts: the batch's `promptIndex` says which rows are whose. */
export type JoinedStep = (
  batch: TrainBatch,
  prompts: readonly Float32Array[] /* K of [P, D] */,
) => Promise<Omit<StepResult, 'gradient'> & { readonly gradient: Float32Array /* [K, P, D] */ }>

/** One prompt: its run and its rows. */
export type Lane = Pick<TrainOptions, 'identity' | 'initial' | 'resume' | 'examples' | 'evaluate' | 'evaluationRows'>

export interface TogetherOptions extends Omit<TrainOptions, keyof Lane | 'step'> {
  readonly lanes: readonly Lane[]
  readonly step: JoinedStep
}

export type TogetherEvent =
  | { readonly lane: number; readonly event: TrainEvent }
  /** The states of all lanes, to be stored as one; lanes that have not ended stand at the same step. */
  | { readonly states: readonly TrainState[] }

interface Asked {
  readonly batch: TrainBatch
  readonly prompt: Float32Array
  readonly resolve: (result: StepResult) => void
  readonly reject: (reason: unknown) => void
}

/** Gathers one batch of every lane that still trains, then runs them as one. */
class Gate {
  readonly #waiting = new Map<number, Asked>()
  readonly #active: Set<number>
  readonly #run: (asked: readonly Asked[]) => Promise<readonly StepResult[]>

  readonly #signal: AbortSignal

  constructor(lanes: number, signal: AbortSignal, run: (asked: readonly Asked[]) => Promise<readonly StepResult[]>) {
    this.#active = new Set(Array.from({ length: lanes }, (_, lane) => lane))
    this.#signal = signal
    this.#run = run
  }

  stepOf(lane: number): GradientStep {
    return (batch, prompt) =>
      new Promise((resolve, reject) => {
        this.#waiting.set(lane, { batch, prompt, resolve, reject })
        void this.#go()
      })
  }

  leave(lane: number): void {
    this.#active.delete(lane)
    void this.#go()
  }

  async #go(): Promise<void> {
    if (this.#waiting.size === 0 || this.#waiting.size < this.#active.size) return
    // By lane: the order of rows decides the bits.
    const asked = [...this.#waiting].toSorted(([a], [b]) => a - b).map(([, each]) => each)
    this.#waiting.clear()
    try {
      // Where one lane was stopped, none goes a step further.
      this.#signal.throwIfAborted()
      const results = await this.#run(asked)
      for (const [index, { resolve }] of asked.entries()) resolve(results[index] as StepResult)
    } catch (error) {
      for (const { reject } of asked) reject(error)
    }
  }
}

/** Trains all lanes to their ends. Given the same options, every lane's events but their durations are the same, resumed or not. */
export async function* trainTogether(options: TogetherOptions): AsyncGenerator<TogetherEvent, void> {
  const { lanes, step, now, signal, padId } = options
  // Lanes must all decide alike when to store and stop: between two steps they see one time and one signal.
  let time = now()
  const stop = new AbortController()
  if (signal?.aborted) stop.abort()
  const gate = new Gate(lanes.length, stop.signal, async (asked) => {
    const joined = joinBatches(
      asked.map(({ batch }) => batch),
      padId,
    )
    const from = now()
    const result = await step(
      joined,
      asked.map(({ prompt }) => prompt),
    )
    time = now()
    if (signal?.aborted) stop.abort()
    const ms = time - from
    return splitResult(
      result,
      asked.map(({ batch }) => batch.rowWeight.data.length),
    ).map((each) => ({ ...each, ms }))
  })
  let last: Promise<unknown> = Promise.resolve()
  const evaluated = lanes.filter(({ evaluate }) => evaluate).length
  /** One evaluation at a time. */
  const inTurn =
    (evaluate: NonNullable<TrainOptions['evaluate']>) =>
    (prompt: Float32Array, at: number): Promise<Evaluation> => {
      const next = last.then(async () => {
        const from = now()
        const evaluation = await evaluate(prompt, at)
        // The others' have their turn before the next step.
        return { ...evaluation, ms: (now() - from) * evaluated }
      })
      last = next.catch(() => {
        if (signal?.aborted) stop.abort()
      })
      return last.then(() => next)
    }
  const alone = lanes.length === 1
  const loops = lanes.map((lane, index) => {
    const { evaluate } = lane
    return trainLoop({
      ...options,
      ...lane,
      step: gate.stepOf(index),
      now: alone ? now : () => time,
      ...(signal ? { signal: alone ? signal : stop.signal } : {}),
      ...(evaluate ? { evaluate: inTurn(evaluate) } : {}),
    })
  })
  const ask = async (lane: number): Promise<{ lane: number; next: IteratorResult<TrainEvent, void> }> => ({
    lane,
    next: await (loops[lane] as (typeof loops)[number]).next(),
  })
  const asking = new Map(loops.map((_, lane) => [lane, ask(lane)]))
  const states: (TrainState | undefined)[] = lanes.map(() => undefined)
  const training = new Set(asking.keys())
  const fresh = new Set<number>()
  while (asking.size > 0) {
    const { lane, next } = await Promise.race(asking.values())
    if (next.done) {
      asking.delete(lane)
      continue
    }
    const event = next.value
    if (event.type === 'checkpoint') {
      states[lane] = event.state
      fresh.add(lane)
    } else if (event.type === 'finished') {
      training.delete(lane)
      gate.leave(lane)
    }
    if (fresh.size > 0 && states.every(Boolean) && [...training].every((each) => fresh.has(each))) {
      fresh.clear()
      yield { states: states.map((state) => state as TrainState) }
    }
    yield { lane, event }
    const following = ask(lane)
    // Its failure is thrown where it is awaited; until then another lane may fail first.
    following.catch(() => {})
    asking.set(lane, following)
  }
}

function splitResult({ rowLoss, rowTokens, gradient }: Awaited<ReturnType<JoinedStep>>, rows: readonly number[]): StepResult[] {
  const size = gradient.length / rows.length
  let from = 0
  return rows.map((count, lane) => {
    const to = from + count
    const part = {
      rowLoss: rowLoss.subarray(from, to),
      rowTokens: rowTokens.subarray(from, to),
      gradient: gradient.subarray(lane * size, (lane + 1) * size),
    }
    from = to
    return part
  })
}
