/** The training loop: an async generator of events over an injected gradient step, evaluation and clock. */
import { collate, type TrainBatch } from '../data/collate.ts'
import type { EncodedExample } from '../data/examples.ts'
import { ConfigError, DataError } from '../errors.ts'
import type { Failure, Metric } from '../prompt/manifest.ts'
import { mixSeeds } from '../tensor/random.ts'
import { adviseEnd, type Advice } from './advice.ts'
import { planBatches, type BatchPlan } from './batches.ts'
import type { FinishReason, LogLine, TrainEvent } from './events.ts'
import { clipNorm } from './optimizer.ts'
import { evaluationsAfter, paceOf } from './pace.ts'
import { learningRateAt, optimizerOf, type TrainRecipe } from './recipe.ts'
import { copyState, type RunIdentity, type TrainState } from './state.ts'

/** Row losses summed over their tokens, their token counts, and the gradient of Σ row_weight · row_loss. */
export interface StepResult {
  readonly rowLoss: Float32Array // [B]
  readonly rowTokens: Float32Array // [B]
  readonly gradient: Float32Array // [P, D]
  /** What it took, where the loop's clock does not show it. */
  readonly ms?: number
}

export type GradientStep = (batch: TrainBatch, prompt: Float32Array /* [P, D] */) => Promise<StepResult>

export interface Evaluation {
  /** The first metric decides which step is best; higher is better. */
  readonly metrics: readonly Metric[]
  readonly warnings?: readonly Advice[]
  /** A row that was answered wrongly. */
  readonly wrong?: Failure
  /** What it took, where the loop's clock does not show it. */
  readonly ms?: number
}

export interface TrainOptions {
  readonly identity: RunIdentity
  readonly examples: readonly EncodedExample[]
  readonly padId: number
  /** The prompt to begin with, [P, D]; ignored where `resume` is given. */
  readonly initial: Float32Array
  readonly step: GradientStep
  readonly evaluate?: (prompt: Float32Array, step: number) => Promise<Evaluation>
  /** Rows that it reads: what the first estimate of its time goes by. */
  readonly evaluationRows?: number
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
  readonly ms?: number
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
  let ms: number | undefined
  for (const [part, batch] of batches.entries()) {
    const made = collate(batch, options.padId)
    made.rowWeight.data.fill(1 / all)
    const dropoutSeed = mixSeeds(seed, 3, state.step * accumulate + part)
    const result = await options.step(dropout > 0 ? { ...made, dropoutSeed } : made, state.prompt)
    for (const value of result.rowLoss) loss += value
    if (result.ms !== undefined) ms = (ms ?? 0) + result.ms
    // Copied: the runtime may hand out a view of its own memory.
    if (gradient) for (const [index, value] of result.gradient.entries()) gradient[index] = (gradient[index] as number) + value
    else gradient = result.gradient.slice()
  }
  return { gradient: gradient as Float32Array, loss, tokens: all, ...(ms === undefined ? {} : { ms }) }
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
  const pace = paceOf(recipe, options.evaluate ? (options.evaluationRows ?? 0) : 0)
  const began = now()
  let saved = began
  let first = true
  let wrong: Failure | undefined

  const reason = (): FinishReason | undefined => {
    if (signal?.aborted && state.evaluationDue) return 'aborted'
    if (state.step >= recipe.steps) return 'steps'
    if (recipe.patience > 0 && state.stale >= recipe.patience) return 'patience'
    if (signal?.aborted) return 'aborted'
    return options.timeLimitMs !== undefined && now() - began >= options.timeLimitMs ? 'time' : undefined
  }

  const evaluateNow = async function* (): AsyncGenerator<TrainEvent, void> {
    if (!options.evaluate) return
    state.evaluationDue = true
    const before = now()
    const evaluation = await unlessStopped(options.evaluate(state.prompt, state.step), signal)
    if (evaluation === undefined) return
    pace.evaluation(evaluation.ms ?? now() - before)
    yield* evaluated(evaluation, state, pace.leftMs(state.step))
    wrong = evaluation.wrong
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
    const { gradient, loss, tokens, ms = now() - from } = made
    const norm = clipNorm(gradient, recipe.clipNorm > 0 ? recipe.clipNorm : Infinity)
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      throw new ConfigError(
        'training-diverged',
        `Training diverged at step ${state.step + 1}: loss ${loss / tokens}, gradient norm ${norm}. Lower the learning rate (now ${recipe.learningRate}) or clip the gradient, and train anew: the last checkpoint goes on with the same recipe only.`,
        { facts: { step: state.step + 1, options: ['learningRate', 'clipNorm'] } },
      )
    }
    if (first) {
      pace.step(ms)
      yield {
        type: 'started',
        step: state.step,
        steps: recipe.steps,
        stepMs: ms,
        evaluations: options.evaluate ? evaluationsAfter(recipe, state.step) : 0,
        estimateMs: pace.leftMs(state.step),
      }
    }
    const learningRate = learningRateAt(recipe, state.step + 1)
    optimizer.update(state.optimizer, state.prompt, gradient, learningRate)
    state.step += 1
    state.window.loss += loss
    state.window.tokens += tokens
    if (!first) pace.step(ms)
    first = false
    const due = state.step % recipe.evalEvery === 0 || state.step === recipe.steps
    yield {
      type: 'step',
      step: state.step,
      steps: recipe.steps,
      loss: loss / tokens,
      gradientNorm: norm,
      examplesPerSecond: (1000 * rows) / Math.max(pace.stepMs, 1e-3),
      leftMs: pace.leftMs(state.step, due && options.evaluate !== undefined),
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
    if (due) yield* evaluateNow()
    end = reason()
    if (end === undefined && (due || now() - saved >= (options.checkpointMs ?? CHECKPOINT_MS))) {
      yield { type: 'checkpoint', state: copyState(state) }
      saved = now()
    }
  }
  for (const advice of end === undefined || end === 'aborted' ? [] : adviseEnd(state.best, wrong))
    yield { type: 'warning', step: state.step, ...advice }
  yield { type: 'checkpoint', state: copyState(state) }
  yield { type: 'finished', reason: end ?? 'aborted', state: copyState(state) }
}

/** What comes of it, or nothing where the signal cut it short. */
async function unlessStopped<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (signal?.aborted) return undefined
    throw error
  }
}

/** Notes an evaluation of the state in it. */
function* evaluated({ metrics, warnings = [] }: Evaluation, state: TrainState, leftMs: number): Generator<TrainEvent, void> {
  delete state.evaluationDue
  const value = metrics[0]?.value ?? 0
  // Of equals the earlier step stays.
  const best = state.best === undefined || value > (state.best.metrics[0]?.value ?? -Infinity)
  if (best) state.best = { step: state.step, prompt: state.prompt.slice(), metrics }
  state.stale = best ? 0 : state.stale + 1
  yield { type: 'log', line: { step: state.step, metrics } }
  yield { type: 'evaluated', step: state.step, metrics, best, leftMs }
  for (const advice of warnings) yield { type: 'warning', step: state.step, ...advice }
}
