/**
 * How rows of well-known tasks become text, by the columns of their Hub datasets (`nyu-mll/glue`, `aps/super_glue`, `rajpurkar/squad`). Source: T5's own texts
 * (Raffel et al. 2020, appendix D) without the leading task name, as Lester et al. 2021 use them.
 */
import { ConfigError } from '../errors.ts'

export interface Preset {
  readonly template: string
  readonly target: string
  readonly labelMap?: Readonly<Record<string, string>>
}

const classes = (template: string, ...words: readonly string[]): Preset => ({
  template,
  target: 'label',
  labelMap: Object.fromEntries(words.map((word, index) => [String(index), word])),
})
const PAIR = 'sentence1: {sentence1} sentence2: {sentence2}'
const PREMISE = 'hypothesis: {hypothesis} premise: {premise}'
const SQUAD: Preset = { template: 'question: {question} context: {context}', target: 'answers.text.0' }

export const PRESETS: Readonly<Record<string, Preset>> = {
  // GLUE
  cola: classes('sentence: {sentence}', 'unacceptable', 'acceptable'),
  sst2: classes('sentence: {sentence}', 'negative', 'positive'),
  mrpc: classes(PAIR, 'not_equivalent', 'equivalent'),
  qqp: classes('question1: {question1} question2: {question2}', 'not_duplicate', 'duplicate'),
  mnli: classes(PREMISE, 'entailment', 'neutral', 'contradiction'),
  qnli: classes('question: {question} sentence: {sentence}', 'entailment', 'not_entailment'),
  rte: classes(PAIR, 'entailment', 'not_entailment'),
  wnli: classes(PAIR, 'not_entailment', 'entailment'),
  // SuperGLUE
  boolq: classes('passage: {passage} question: {question}', 'False', 'True'),
  cb: classes(PREMISE, 'entailment', 'contradiction', 'neutral'),
  copa: classes('choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}', 'choice1', 'choice2'),
  superglue_rte: classes(PREMISE, 'entailment', 'not_entailment'),
  wic: classes('sentence1: {sentence1} sentence2: {sentence2} word: {word}', 'False', 'True'),
  // reading
  squad: SQUAD,
}

/** @throws {ConfigError} `preset-unknown` */
export function presetOf(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined
  if (preset) return preset
  throw new ConfigError(
    'preset-unknown',
    `No preset "${name}". Known: ${Object.keys(PRESETS).join(', ')}; or give template, target and label map yourself.`,
    {
      facts: { name, options: ['template', 'target', 'labelMap'] },
    },
  )
}
