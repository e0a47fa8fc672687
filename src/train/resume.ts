/** Whether a run may go on from a checkpoint and, in words, why not: which choice, then and now. */
import { MismatchError } from '../errors.ts'
import type { TrainRecipe } from './recipe.ts'
import type { RunIdentity } from './state.ts'

type Choice = keyof { [K in keyof TrainRecipe as string extends K ? never : K]: unknown }

/** Every choice in words; undefined for one that may differ: it decides when the run ends or where it runs, not what a step does. */
const WORDS: Readonly<Record<Choice, string | undefined>> = {
  length: 'virtual tokens',
  init: 'beginning',
  steps: 'steps', // of a constant rate they may differ
  batch: 'rows a batch',
  learningRate: 'learning rate',
  optimizer: 'optimizer',
  weightDecay: 'weight decay',
  stepOffset: 'step offset',
  seed: 'seed',
  maxInputTokens: 'input tokens kept',
  maxTargetTokens: 'target tokens kept',
  evalEvery: 'steps between evaluations',
  schedule: 'schedule',
  warmup: 'warm-up steps',
  accumulate: 'batches an update',
  clipNorm: 'largest gradient norm',
  zLoss: 'z-loss weight',
  dropout: 'dropout',
  patience: undefined,
  buckets: 'batches of like length',
  holdOut: 'rows held out',
  engine: undefined,
}

/** What is chosen by an option of another name. */
const OPTION: Readonly<Record<string, string>> = { base: 'model', weights: 'model', start: 'init' }

/** A choice or an input that differs, and what to say of it. */
interface Difference {
  readonly name: string
  readonly words: string
}

const shown = (value: unknown): string => {
  if (value === undefined) return 'none'
  if (Array.isArray(value)) return value.join(', ')
  return typeof value === 'string' && /^[\w.-]+$/.test(value) ? value : JSON.stringify(value)
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

const thenAndNow = (name: string, what: string, then: unknown, now: unknown): Difference[] =>
  same(then, now) ? [] : [{ name, words: `${what} ${shown(then)} then, ${shown(now)} now` }]

function ofRecipe(then: TrainRecipe, now: TrainRecipe): Difference[] {
  return (Object.entries(WORDS) as [Choice, string | undefined][]).flatMap(([name, what]) => {
    // A falling rate depends on the number of steps; a constant one does not.
    if (what === undefined || (name === 'steps' && then.schedule === 'constant' && now.schedule === 'constant')) return []
    return thenAndNow(name, what, then[name], now[name])
  })
}

/** How rows become texts. */
const READING: { readonly [K in 'template' | 'target' | 'labelMap']: string } = {
  template: 'template',
  target: 'field of the answer',
  labelMap: 'label map',
}

/** A text of its own where the source has another name, else that it changed. */
const changed = (name: string, what: string, then: string | undefined, now: string | undefined): Difference[] =>
  then !== undefined && then === now
    ? [{ name, words: `the ${what} of ${shown(then)} have changed since` }]
    : [{ name, words: then === undefined ? `other ${what}` : `the ${what} of ${shown(then)} then, of ${shown(now)} now` }]

/** Why rows differ, where it is not said yet. */
function ofRows(saved: RunIdentity, wanted: RunIdentity, chosen: readonly Difference[]): Difference[] {
  if (saved.data === wanted.data && saved.dev === wanted.dev) return []
  const [then, now] = [saved.from, wanted.from]
  const reading = (Object.entries(READING) as [keyof typeof READING, string][]).flatMap(([name, what]) =>
    thenAndNow(name, what, then?.[name], now?.[name]),
  )
  if (reading.length > 0) return reading
  const isHeldOut = then?.dev === undefined && now?.dev === undefined
  // Which rows are held out, the seed and their number decide.
  if (isHeldOut && chosen.some(({ name }) => name === 'holdOut' || name === 'seed')) return []
  const rows = saved.data === wanted.data ? [] : changed('data', 'rows', then?.data, now?.data)
  if (saved.dev === wanted.dev || (isHeldOut && rows.length > 0)) return rows
  const [before, after] = [saved.dev && (then?.dev ?? 'held out'), wanted.dev && (now?.dev ?? 'held out')]
  return [
    ...rows,
    ...(before && before === after
      ? changed('dev', 'development rows', before, after)
      : thenAndNow('dev', 'development rows', before, after)),
  ]
}

function ofModel(saved: RunIdentity, wanted: RunIdentity): Difference[] {
  const [then, now] = [saved.from?.model, wanted.from?.model]
  if (saved.base !== wanted.base) return changed('base', 'configuration, tokenizer or weights', then, now)
  return saved.weights === wanted.weights ? [] : changed('weights', 'weights', then, now)
}

function ofStart(saved: RunIdentity, wanted: RunIdentity): Difference[] {
  if (saved.start === wanted.start) return []
  const [then, now] = [saved.from?.init, wanted.from?.init]
  const named = thenAndNow('start', 'what it begins from:', then, now)
  return named.length > 0
    ? named
    : [{ name: 'start', words: `what it begins from (${shown(now ?? wanted.recipe.init)}) has changed since` }]
}

/** All that differs, each cause once: what follows from it is not said. */
function differences(saved: RunIdentity, wanted: RunIdentity): Difference[] {
  const recipe = ofRecipe(saved.recipe, wanted.recipe)
  const found = [
    ...recipe,
    ...ofRows(saved, wanted, recipe),
    ...thenAndNow('labels', 'label words', saved.labels, wanted.labels),
    ...ofModel(saved, wanted),
  ]
  return found.some(({ name }) => name !== 'steps') ? found : [...found, ...ofStart(saved, wanted)]
}

/**
 * Checks that a checkpoint belongs to this run; more (or fewer) steps are allowed where the learning rate does not depend on them, another engine always.
 * @param name what the checkpoint is called in the message
 * @throws {MismatchError} `resume-mismatch`, naming what differs, then and now
 */
export function checkResume(saved: RunIdentity, wanted: RunIdentity, name = 'The checkpoint'): void {
  const found = differences(saved, wanted)
  if (found.length === 0) return
  const names = found.map((each) => each.name)
  const { schedule, steps } = saved.recipe
  const facts = { names, schedule, steps }
  if (names.length === 1 && names[0] === 'steps') {
    throw new MismatchError(
      'resume-mismatch',
      `The learning rate of this run falls over its ${steps} steps (schedule ${schedule}): over ${wanted.recipe.steps} of them the steps it has done would have had other rates, so it ends after ${steps}. To train longer, begin another run from its prompt, into another folder.`,
      { facts },
    )
  }
  throw new MismatchError(
    'resume-mismatch',
    `${name} goes on only with what it began with; train anew into another folder, or leave as it was: ${found.map(({ words }) => words).join('; ')}.`,
    { facts: { ...facts, options: names.map((each) => OPTION[each] ?? each) } },
  )
}
