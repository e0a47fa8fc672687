/** What is worth saying of a run before it begins and at its end: a base that prompt-tunes badly, labels that cannot be told apart, no right answer. */
import { collate } from '../data/collate.ts'
import type { Tokenizer } from '../data/tokenizer.ts'
import type { Failure, Metric } from '../prompt/manifest.ts'
import type { TrainRecipe } from './recipe.ts'
import type { JoinedStep } from './together.ts'

export interface Advice {
  readonly code: string
  readonly message: string
  /** The choices it is about, by their names in the options of a training. */
  readonly options?: readonly string[]
}

/** T5s that were only trained to fill spans: the paper's section 2.2 and figure 3c. */
const SPANS_ONLY = /(^|\/)(t5-v1_1-|mt5-|umt5-)(?!.*(lm-adapt|lm100k))/i
/** The original T5s: tasks were mixed into their training, so that prompts work, but less well than on an adapted one. */
const ORIGINAL = /(^|\/)t5-(small|base|large|3b|11b)$/i
/** Hidden size under which the paper has no figure (T5-small has 512). */
const SMALLEST_WIDTH = 512

const spansOnly = (id: string): Advice => ({
  code: 'base-spans-only',
  message: `${id} was only trained to fill gaps; prompts learn badly on such models (Lester et al. 2021, section 2.2). Take an adapted one: google/t5-small-lm-adapt, google/t5-base-lm-adapt, google/flan-t5-base.`,
})

/** A text without a gap: only a model that knows nothing else begins its answer with the mark of one. */
const PROBE = 'The weather was fine in the morning, and in the afternoon'
const SENTINEL = /^▁?<extra_id_0>$/

/** Advice on a base model by what it does: one run of the training step. */
export async function adviseByAnswer(
  id: string,
  tokenizer: Tokenizer,
  step: JoinedStep,
  prompts: readonly Float32Array[] /* K of [P, D] */,
): Promise<Advice[]> {
  const sentinel = tokenizer.pieces.findIndex((piece) => SENTINEL.test(piece))
  if (sentinel < 0) return []
  const { rowLoss } = await step(collate([{ inputIds: tokenizer.encode(PROBE), targetIds: [sentinel] }], tokenizer.padId), prompts)
  return Math.exp(-(rowLoss[0] as number)) > 0.5 ? [spansOnly(id)] : []
}

/** What a run has that bears on advice. */
export interface RunFacts {
  /** Rows to evaluate on. */
  readonly evaluates: boolean
  readonly schedule: TrainRecipe['schedule']
}

/** Advice on a base model by its Hub id and width. */
export function adviseBase(id: string, width: number, { evaluates, schedule }: RunFacts): Advice[] {
  const advice: Advice[] = []
  if (SPANS_ONLY.test(id)) {
    advice.push(spansOnly(id))
  } else if (ORIGINAL.test(id)) {
    advice.push({
      code: 'base-not-adapted',
      message: `${id} was not adapted to language modelling; google/t5-base-lm-adapt or google/flan-t5-base mostly tune better with the same effort.`,
    })
  }
  const remedies = [
    ...(evaluates ? [] : [{ what: 'Rows to evaluate on let the best step be kept.', options: ['dev', 'holdOut'] }]),
    ...(schedule === 'constant' ? [{ what: 'A rate that falls to 0 settles it.', options: ['schedule'] }] : []),
  ]
  if (width < SMALLEST_WIDTH && remedies.length > 0) {
    advice.push({
      code: 'base-very-small',
      message: `${id} is smaller than any model of the paper (width ${width}): expect swings between evaluations. ${remedies.map(({ what }) => what).join(' ')}`,
      options: remedies.flatMap(({ options }) => options),
    })
  }
  return advice
}

const gb = (bytes: number): string => (bytes / 1e9).toFixed(1)

/** Advice where a run will hardly fit into memory. */
export function adviseMemory(neededBytes: number, availableBytes: number): Advice[] {
  if (neededBytes <= availableBytes) return []
  return [
    {
      code: 'memory-short',
      message: `The run takes about ${gb(neededBytes)} GB of memory, and ${gb(availableBytes)} GB are free. Take smaller batches and more of them to an update, which is the same; or shorter inputs, or a shorter prompt.`,
      options: ['batch', 'accumulate', 'maxInputTokens', 'length'],
    },
  ]
}

/** Advice on choices that leave nothing of each other. */
export function adviseRecipe({ warmup, steps, learningRate }: Pick<TrainRecipe, 'warmup' | 'steps' | 'learningRate'>): Advice[] {
  if (warmup <= steps) return []
  return [
    {
      code: 'warmup-long',
      message: `The rate rises over ${warmup} steps and the run has ${steps}: it ends before the rate is ${learningRate}. Take a shorter rise, or more steps.`,
      options: ['warmup', 'steps'],
    },
  ]
}

/** Advice on label words: the same pieces for two, unknown pieces, development answers that are no label. */
export function adviseLabels(
  labels: readonly string[],
  tokenizer: Tokenizer,
  devTargets: readonly string[] = [],
  targets: readonly string[] = [],
): Advice[] {
  const advice: Advice[] = []
  const byIds = new Map<string, string>()
  const unknown = tokenizer.pieces.indexOf('<unk>')
  for (const label of labels) {
    const ids = tokenizer.encode(label)
    const same = byIds.get(ids.join())
    if (same !== undefined) {
      advice.push({
        code: 'labels-same',
        message: `The labels ${JSON.stringify(same)} and ${JSON.stringify(label)} have the same tokens and cannot be told apart: the first always wins. Map them to other words.`,
        options: ['labelMap'],
      })
    }
    byIds.set(ids.join(), label)
    if (unknown >= 0 && ids.includes(unknown)) {
      advice.push({
        code: 'label-unknown-piece',
        message: `The label ${JSON.stringify(label)} holds characters the tokenizer does not know. Map it to plain words.`,
        options: ['labelMap'],
      })
    }
  }
  if (labels.length === 1) {
    advice.push({
      code: 'labels-one',
      message: `${JSON.stringify(labels[0])} is the only label: every input is answered with it, right or wrong. Name the others, or compare generated text.`,
      options: ['labels'],
    })
  }
  const known = new Set(labels)
  const untaught = targets.filter((target) => !known.has(target))
  if (untaught.length > 0) {
    advice.push({
      code: 'train-labels',
      message: `${untaught.length} of ${targets.length} training rows have an answer that is no label (${JSON.stringify(untaught[0])}): the prompt learns to say what it is never scored on. Labels: ${labels.join(', ')}.`,
      options: ['labels', 'labelMap'],
    })
  }
  const outside = devTargets.filter((target) => !known.has(target))
  if (outside.length > 0) {
    advice.push({
      code: 'dev-labels',
      message: `${outside.length} of ${devTargets.length} development rows have an answer that is no label (${JSON.stringify(outside[0])}); they count as wrong. Labels: ${labels.join(', ')}.`,
    })
  }
  return advice
}

const shown = (text: string): string => JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)

/** Advice at the end of a run, on its best evaluation. */
export function adviseEnd(best: { readonly metrics: readonly Metric[] } | undefined, wrong: Failure | undefined): Advice[] {
  const [metric] = best?.metrics ?? []
  if (metric?.by !== 'generation' || metric.value > 0) return []
  const example = wrong ? `, as ${shown(wrong.answered)} where ${shown(wrong.expected)} was wanted` : ''
  return [
    {
      code: 'never-right',
      message: `No generated answer was right at any evaluation (0 of ${metric.n} rows${example}). See that targets are short and follow from the inputs; take more steps, a base adapted to language modelling, or name the labels where there are few answers.`,
    },
  ]
}
