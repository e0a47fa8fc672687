/** A prompt's metrics on rows: by label scoring where there are labels, by generation elsewhere. */
import type { EncodedExample } from '../data/examples.ts'
import { answerRows, type AnswerRowsOptions } from '../decode/answer.ts'
import type { Failure, Metric } from '../prompt/manifest.ts'
import { tensor } from '../tensor/tensor.ts'
import type { Advice } from './advice.ts'
import { accuracy, exactMatch, macroF1, squad } from './metrics.ts'
import { quoted } from './outside.ts'

export interface EvaluateOptions extends Omit<AnswerRowsOptions, 'rows'> {
  /** Each with the text it should give. */
  readonly rows: readonly (EncodedExample & { readonly target: string })[]
  readonly split: string
}

export interface Evaluated {
  readonly metrics: readonly Metric[]
  /** What was answered, row by row. */
  readonly predictions: readonly string[]
  readonly warnings: readonly Advice[]
}

export interface MeasureOptions extends Pick<EvaluateOptions, 'rows' | 'labels' | 'split'> {
  /** Where text is generated: the words that the prompt was made to answer with, if it has any. */
  readonly words?: readonly string[]
}

/** Evaluates a prompt [P, D], or the bare model. */
export async function evaluate(
  options: EvaluateOptions,
  prompt?: { readonly data: Float32Array; readonly width: number },
): Promise<Evaluated> {
  const { rows } = options
  const own = prompt && tensor('F32', [prompt.data.length / prompt.width, prompt.width], prompt.data)
  const asked = rows.map(({ inputIds }) => ({ inputIds, ...(own ? { prompt: own } : {}) }))
  const predictions = (await answerRows({ ...options, rows: asked })).map(({ answer }) => answer)
  return measure(predictions, options)
}

/** Metrics of answers to rows. */
export function measure(predictions: readonly string[], options: MeasureOptions): Evaluated {
  const { labels, words, rows } = options
  const expected = rows.map(({ target }) => target)
  const by: Metric['by'] = labels ? 'labels' : 'generation'
  const figures = labels
    ? [accuracy(predictions, expected), macroF1(predictions, expected)]
    : [exactMatch(predictions, expected), ...squad(predictions, expected)]
  return {
    metrics: figures.map((figure): Metric => Object.assign(figure, { split: options.split, by })),
    predictions,
    warnings: [...collapse(predictions, expected), ...(labels ? [] : outside(predictions, expected, words))],
  }
}

/** The first `count` rows that were answered wrongly. */
export const wrongRows = (
  rows: readonly { readonly target: string; readonly input: string }[],
  predictions: readonly string[],
  count: number,
): Failure[] =>
  rows
    .flatMap(({ input, target }, row) => {
      const answered = predictions[row] ?? ''
      return answered.trim() === target.trim() ? [] : [{ input, expected: target, answered }]
    })
    .slice(0, count)

/** One answer for everything, where the rows want several, is a prompt that has not learnt or has collapsed. */
function collapse(predictions: readonly string[], expected: readonly string[]): Advice[] {
  if (new Set(expected).size < 2 || new Set(predictions).size > 1 || predictions.length < 8) return []
  return [
    {
      code: 'one-answer',
      message: `Every one of ${predictions.length} rows was answered ${JSON.stringify(predictions[0])}. Common in the first few hundred steps; if it stays, try more steps, a lower learning rate or another seed.`,
    },
  ]
}

/** Shares of the rows: answers this seldom met are free text, and this many others are worth a word. */
const [FEW_ANSWERS, MANY_OTHERS] = [0.25, 0.1]

/** Generated answers that are none of the prompt's words, or where it has none, of the few that the rows ask for. */
function outside(predictions: readonly string[], expected: readonly string[], words: readonly string[] | undefined): Advice[] {
  const answers = new Set((words ?? expected).map((answer) => answer.trim()))
  const others = predictions.filter((answer) => !answers.has(answer.trim()))
  const free = words === undefined && answers.size > FEW_ANSWERS * expected.length
  if (others.length === 0 || free || (words === undefined && others.length <= MANY_OTHERS * predictions.length)) return []
  const whose = words === undefined ? `the ${answers.size} that the rows ask for` : `the prompt's labels (${quoted(words, 8)})`
  return [
    {
      code: 'answers-not-labels',
      message: `${others.length} of ${predictions.length} generated answers are none of ${whose}, as ${JSON.stringify(others[0])}. Common in the first few hundred steps; label scoring only ever answers with one of them: name the labels.`,
      options: ['labels'],
    },
  ]
}
