/** The recipe: every choice of a run, with the paper's defaults (Lester et al. 2021, section 3 and google-research/prompt-tuning's gin files). */
import { ConfigError } from '../errors.ts'
import { INITS, OPTIMIZERS, type Recipe } from '../prompt/manifest.ts'
import { adafactor } from './adafactor.ts'
import { adamw, sgd } from './gradient-descent.ts'
import type { Optimizer } from './optimizer.ts'

/** What the rate does after its warmup. */
export const SCHEDULES = ['constant', 'linear', 'cosine'] as const

/** A recipe with every choice made. */
export interface TrainRecipe extends Recipe {
  readonly schedule: (typeof SCHEDULES)[number]
  /** Steps over which the rate rises from 0. */
  readonly warmup: number
  /** Batches whose gradients are averaged for one update. */
  readonly accumulate: number
  /** Largest norm of the gradient; 0 = not clipped. */
  readonly clipNorm: number
  /** Weight of the squared log of the softmax's sum in the loss; 0 = plain cross entropy. */
  readonly zLoss: number
  /** Share of activations dropped at each of T5's places; 0 = none. */
  readonly dropout: number
  /** Evaluations without a better one after which the run ends; 0 = never. */
  readonly patience: number
  /** Rows of like length share a batch: less padding, other batches. */
  readonly buckets: boolean
  /** Rows taken from the training rows to evaluate on, where no development rows are given. */
  readonly holdOut: number
}

/** What a user may choose; the engine is chosen beside it. */
export type RecipeChoices = Readonly<Partial<Omit<TrainRecipe, 'engine'>>>

type Check = (value: unknown) => string | undefined

const whole =
  (least: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least ? undefined : `a whole number of at least ${least}`
const from =
  (least: number, above = false): Check =>
  (value) =>
    typeof value === 'number' && Number.isFinite(value) && (above ? value > least : value >= least)
      ? undefined
      : `a number ${above ? 'above' : 'of at least'} ${least}`
const oneOf =
  (...choices: readonly string[]): Check =>
  (value) =>
    choices.includes(value as string) ? undefined : `one of ${choices.join(', ')}`
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')

interface Field<T> {
  readonly value: T
  readonly check: Check
}

/** Each choice with its default and what may stand there. */
const FIELDS: { readonly [K in keyof TrainRecipe]-?: Field<TrainRecipe[K]> } = {
  // Paper: 100 tokens; past 20 the gain is small, and 20 is what a CPU affords (see the presets of the train command).
  length: { value: 100, check: whole(1) },
  // Paper: best at every size below XXL.
  init: { value: 'labels', check: oneOf(...INITS) },
  steps: { value: 30_000, check: whole(1) },
  batch: { value: 32, check: whole(1) },
  // Adafactor without parameter scaling: each step moves the prompt by about this RMS.
  learningRate: { value: 0.3, check: from(0, true) },
  optimizer: { value: 'adafactor', check: oneOf(...OPTIMIZERS) },
  weightDecay: { value: 1e-5, check: from(0) },
  // What the paper ran: T5X counts on from the checkpoint's 1,100,000 steps, so that the second moment sums this run's gradients instead of averaging them and the clip
  // stays active. t5-tiny-en on SST-2 (P 20, B 16, 600 steps at 0.3, in length buckets, the best of six evaluations on 400 rows, seeds 0 to 2), against 0: 72.1 to 66.8 % where the rate
  // falls to 0 (better with each seed), 62.4 to 63.4 % where it stays; the training loss ends lower in all six pairs.
  stepOffset: { value: 1_100_000, check: whole(0) },
  seed: { value: 0, check: whole(0) },
  maxInputTokens: { value: 512, check: whole(2) },
  maxTargetTokens: { value: 128, check: whole(2) },
  evalEvery: { value: 1_000, check: whole(1) },
  schedule: { value: 'constant', check: oneOf(...SCHEDULES) },
  warmup: { value: 0, check: whole(0) },
  accumulate: { value: 1, check: whole(1) },
  clipNorm: { value: 0, check: from(0) },
  // T5X trains with 1e-4, and its loss contains it. Off, so that the losses shown are plain cross entropy and equal PEFT's; the weights it keeps in bounds are frozen here.
  zLoss: { value: 0, check: from(0) },
  // Off, as in the paper's base configuration (its demo sets 0.1): the frozen model has settled, prompts have few values to overfit with, and the masks of all places cost time
  // and memory; losses shown are then those of the model as it is used.
  dropout: {
    value: 0,
    check: (value) => (typeof value === 'number' && value >= 0 && value < 1 ? undefined : 'a number from 0 to below 1'),
  },
  patience: { value: 0, check: whole(0) },
  // Off, as batches of one length are no random ones; no harm was seen (t5-tiny-en on SST-2, P 20, B 32, 600 steps, 4 seeds: mean loss of the second half 0.30 with and without,
  // mean accuracy of its 6 evaluations 72.5 and 73.2 %), and each step is cheaper.
  buckets: { value: false, check: flag },
  holdOut: { value: 0, check: whole(0) },
  engine: { value: undefined, check: (value) => (value === undefined || typeof value === 'string' ? undefined : 'a name') },
}

/** For a CPU and an hour instead of a day: few tokens and steps, a rate that falls to 0 (see the figures at `stepOffset`: it is worth ten points there). */
export const QUICK: RecipeChoices = {
  length: 20,
  steps: 1_000,
  batch: 16,
  schedule: 'linear',
  evalEvery: 100,
  maxInputTokens: 128,
}

/**
 * Fills a recipe with the defaults and checks every choice.
 * @throws {ConfigError} `recipe-unknown` for a name that is no choice, `recipe-value` for a value out of range.
 */
export function makeRecipe(choices: Readonly<Record<string, unknown>> = {}): TrainRecipe {
  for (const name of Object.keys(choices)) {
    if (!Object.hasOwn(FIELDS, name)) {
      throw new ConfigError('recipe-unknown', `A recipe has no "${name}". Known: ${Object.keys(FIELDS).join(', ')}.`, { facts: { name } })
    }
  }
  const recipe: Partial<Record<keyof TrainRecipe, unknown>> = {}
  for (const name of Object.keys(FIELDS) as (keyof TrainRecipe)[]) {
    const { value: otherwise, check } = FIELDS[name]
    const value = choices[name] ?? otherwise
    const wanted = check(value)
    if (wanted !== undefined) {
      throw new ConfigError('recipe-value', `The recipe's ${name} must be ${wanted}, got ${JSON.stringify(value)}.`, {
        facts: { name, got: value, options: [name] },
      })
    }
    if (value !== undefined) recipe[name] = value
  }
  return recipe as TrainRecipe
}

/** The optimizer a recipe names. */
export function optimizerOf(recipe: TrainRecipe): Optimizer {
  const { stepOffset, weightDecay } = recipe
  return { adafactor: () => adafactor({ stepOffset, weightDecay }), adamw: () => adamw({ weightDecay }), sgd: () => sgd({ weightDecay }) }[
    recipe.optimizer
  ]()
}

/** The learning rate of a step (counted from 1). */
export function learningRateAt(recipe: TrainRecipe, step: number): number {
  const { learningRate, schedule, warmup, steps } = recipe
  if (step <= warmup) return (learningRate * step) / warmup
  const done = (step - warmup - 1) / Math.max(1, steps - warmup)
  if (schedule === 'linear') return learningRate * (1 - done)
  return schedule === 'cosine' ? (learningRate * (1 + Math.cos(Math.PI * done))) / 2 : learningRate
}
