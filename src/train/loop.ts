/** The training loop: an async generator of events over an injected gradient step, evaluation and clock. */
import { collate, type TrainBatch } from '../data/collate.ts'
import type { EncodedExample } from '../data/examples.ts'
import { ConfigError, DataError } from '../errors.ts'
import type { Metric } from '../prompt/manifest.ts'
import { mixSeeds } from '../tensor/random.ts'
import { planBatches, type BatchPlan } from './batches.ts'
import type { FinishReason, LogLine, TrainEvent } from './events.ts'
import { clipNorm } from './optimizer.ts'
import { learningRateAt, optimizerOf, type TrainRecipe } from './recipe.ts'
import { copyState, type RunIdentity, type TrainState } from './state.ts'

/** Row losses summed over their tokens, their token counts, and the gradient of Σ row_weight · row_loss. */
export interface StepResult {
  readonly rowLoss: Float32Array // [B]
  readonly rowTokens: Float32Array // [B]
  readonly gradient: Float32Array // [P, D]
}

export type GradientStep = (batch: TrainBatch, prompt: Float32Array /* [P, D] */) => Promise<StepResult>

export interface Evaluation {
  /** The first metric decides which step is best; higher is better. */
  readonly metrics: readonly Metric[]
  readonly warnings?: readonly { readonly code: string; readonly message: string }[]
}

export interface TrainOptions {
  readonly identity: RunIdentity
  readonly examples: readonly EncodedExample[]
  readonly padId: number
  /** The prompt to begin with, [P, D]; ignored where `resume` is given. */
  readonly initial: Float32Array
  readonly step: GradientStep
  readonly evaluate?: (prompt: Float32Array, step: number) => Promise<Evaluation>
  /** A state of the same run to go on from (checked by checkResume). */
  readonly resume?: TrainState
  /** Milliseconds, of any origin. */
  readonly now: () => number
  readonly signal?: AbortSignal
  /** The run ends, saved, after this long. */
  readonly timeLimitMs?: number
  /** Least time between checkpoints; one also follows each evaluation and the end. Default 30 s. */
  readonly checkpointMs?: number
}

/** At most about this many loss lines in a log. */
const LOG_LINES = 1000
const CHECKPOINT_MS = 30_000

/** Steps between the loss lines of the log. */
export const logEvery = (recipe: TrainRecipe): number => Math.max(1, Math.ceil(recipe.steps / LOG_LINES))

/** The state before the first step. */
export function startState(identity: RunIdentity, initial: Float32Array): TrainState {
  return {
    identity,
    step: 0,
    prompt: initial.slice(),
    optimizer: optimizerOf(identity.recipe).create(initial.length),
    stale: 0,
    window: { loss: 0, tokens: 0 },
  }
}

interface Gradient {
  readonly gradient: Float32Array
  readonly loss: number
  readonly tokens: number
}

/** The gradient of the mean loss per token over the step's `accumulate` batches. */
async function gradientOf(options: TrainOptions, plan: BatchPlan, state: TrainState): Promise<Gradient> {
  const { accumulate, dropout, seed } = options.identity.recipe
  const batches = Array.from({ length: accumulate }, (_, part) =>
    plan.at(state.step * accumulate + part).map((row) => options.examples[row] as EncodedExample),
  )
  const all = batches.flat().reduce((sum, { targetIds }) => sum + targetIds.length, 0)
  let gradient: Float32Array | undefined
  let loss = 0
  for (const [part, batch] of batches.entries()) {
    const made = collate(batch, options.padId)
    made.rowWeight.data.fill(1 / all)
    const dropoutSeed = mixSeeds(seed, 3, state.step * accumulate + part)
    const result = await options.step(dropout > 0 ? { ...made, dropoutSeed } : made, state.prompt)
    for (const value of result.rowLoss) loss += value
    // Copied: the runtime may hand out a view of its own memory.
    if (gradient) for (const [index, value] of result.gradient.entries()) gradient[index] = (gradient[index] as number) + value
    else gradient = result.gradient.slice()
  }
  return { gradient: gradient as Float32Array, loss, tokens: all }
}

/** Exponential mean of durations: follows length buckets and a machine that slows down. */
function meanOf(): { add(ms: number): void; readonly value: number } {
  let value = 0
  let weight = 0
  return {
    add: (ms) => {
      value = 0.95 * value + 0.05 * ms
      weight = 0.95 * weight + 0.05
    },
    get value() {
      return weight === 0 ? 0 : value / weight
    },
  }
}

/**
 * Trains a prompt. Yields events; the last is `finished`. Given the same options, every event but its durations is the same, resumed or not.
 * @throws {DataError} `rows-none`
 * @throws {ConfigError} `training-diverged` when the loss or the gradient stops being a number; the last checkpoint stands.
 */
export async function* trainLoop(options: TrainOptions): AsyncGenerator<TrainEvent, void> {
  const { identity, examples, now, signal } = options
  const { recipe } = identity
  if (examples.length === 0) throw new DataError('rows-none', 'There are no examples to train on.')
  const optimizer = optimizerOf(recipe)
  const plan = planBatches(examples, recipe)
  const state = options.resume ? { ...copyState(options.resume), identity } : startState(identity, options.initial)
  const rows = recipe.batch * recipe.accumulate
  const stepMs = meanOf()
  const evalMs = meanOf()
  const began = now()
  let saved = began
  let first = true

  const leftMs = (): number => {
    const left = recipe.steps - state.step
    return left * stepMs.value + (options.evaluate ? Math.ceil(left / recipe.evalEvery) * evalMs.value : 0)
  }
  const reason = (): FinishReason | undefined => {
    if (signal?.aborted && state.evaluationDue) return 'aborted'
    if (state.step >= recipe.steps) return 'steps'
    if (recipe.patience > 0 && state.stale >= recipe.patience) return 'patience'
    if (signal?.aborted) return 'aborted'
    return options.timeLimitMs !== undefined && now() - began >= options.timeLimitMs ? 'time' : undefined
  }

  const evaluateNow = async function* (): AsyncGenerator<TrainEvent, void> {
    if (!options.evaluate) return
    const before = now()
    state.evaluationDue = true
    yield* evaluated(options.evaluate, state, signal)
    evalMs.add(now() - before)
  }
  if (state.evaluationDue) yield* evaluateNow()
  let end = reason()
  while (end === undefined) {
    const from = now()
    let made: Gradient
    try {
      made = await gradientOf(options, plan, state)
    } catch (error) {
      if (!signal?.aborted) throw error
      break
    }
    const { gradient, loss, tokens } = made
    const norm = clipNorm(gradient, recipe.clipNorm > 0 ? recipe.clipNorm : Infinity)
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      throw new ConfigError(
        'training-diverged',
        `Training diverged at step ${state.step + 1}: loss ${loss / tokens}, gradient norm ${norm}. Lower the learning rate (now ${recipe.learningRate}) or clip the gradient; --resume goes on from the last checkpoint only with the same recipe.`,
        { facts: { step: state.step + 1 } },
      )
    }
    if (first) {
      const ms = now() - from
      yield { type: 'started', step: state.step, steps: recipe.steps, stepMs: ms, estimateMs: ms * (recipe.steps - state.step) }
      first = false
    }
    const learningRate = learningRateAt(recipe, state.step + 1)
    optimizer.update(state.optimizer, state.prompt, gradient, learningRate)
    state.step += 1
    state.window.loss += loss
    state.window.tokens += tokens
    stepMs.add(now() - from)
    yield {
      type: 'step',
      step: state.step,
      steps: recipe.steps,
      loss: loss / tokens,
      gradientNorm: norm,
      examplesPerSecond: (1000 * rows) / Math.max(stepMs.value, 1e-3),
      leftMs: leftMs(),
    }
    if (state.step % logEvery(recipe) === 0 || state.step === recipe.steps) {
      const line: LogLine = {
        step: state.step,
        loss: state.window.loss / state.window.tokens,
        learning_rate: learningRate,
        gradient_norm: norm,
      }
      state.window = { loss: 0, tokens: 0 }
      yield { type: 'log', line }
    }
    const due = state.step % recipe.evalEvery === 0 || state.step === recipe.steps
    if (due) yield* evaluateNow()
    end = reason()
    if (end === undefined && (due || now() - saved >= (options.checkpointMs ?? CHECKPOINT_MS))) {
      yield { type: 'checkpoint', state: copyState(state) }
      saved = now()
    }
  }
  yield { type: 'checkpoint', state: copyState(state) }
  yield { type: 'finished', reason: end ?? 'aborted', state: copyState(state) }
}

/** Evaluates the state, unless the signal cuts it short: then it stays due. */
async function* evaluated(
  evaluate: NonNullable<TrainOptions['evaluate']>,
  state: TrainState,
  signal: AbortSignal | undefined,
): AsyncGenerator<TrainEvent, void> {
  let evaluation: Evaluation
  try {
    evaluation = await evaluate(state.prompt, state.step)
  } catch (error) {
    if (signal?.aborted) return
    throw error
  }
  const { metrics, warnings = [] } = evaluation
  delete state.evaluationDue
  const value = metrics[0]?.value ?? 0
  // Of equals the earlier step stays.
  const best = state.best === undefined || value > (state.best.metrics[0]?.value ?? -Infinity)
  if (best) state.best = { step: state.step, prompt: state.prompt.slice(), metrics }
  state.stale = best ? 0 : state.stale + 1
  yield { type: 'log', line: { step: state.step, metrics } }
  yield { type: 'evaluated', step: state.step, metrics, best }
  for (const { code, message } of warnings) yield { type: 'warning', code, message, step: state.step }
}
