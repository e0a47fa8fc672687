/** What one task of a run trains on: its rows, label words and recipe, ready for the loop. */
import { encodeExamples, labelsOf, type EncodedExample, type EncodedExamples } from '../../src/data/examples.ts'
import { holdOut } from '../../src/data/split.ts'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { ConfigError } from '../../src/errors.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { initialise } from '../../src/prompt/initialise.ts'
import { adviseLabels, type Advice } from '../../src/train/advice.ts'
import { adviseData } from '../../src/train/data-advice.ts'
import { checkTargets } from '../../src/train/outside.ts'
import { makeRecipe, type RecipeChoices, type TrainRecipe } from '../../src/train/recipe.ts'
import { dataOf, openData, type Data, type DataOptions, type DataSource } from './data.ts'
import type { Base } from './open-base.ts'
import { findPrompt } from './find-prompt.ts'
import { openPrompt } from './open-prompt.ts'

/** What may differ between tasks that train together. */
export interface TrainTask extends DataOptions {
  /** Rows to train on: a file, or a split of a Hub dataset. */
  readonly data: DataSource
  /** Development rows; without them the last step is kept. */
  readonly dev?: DataSource
  /** Label words; default: the answers of the data, where they repeat. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  /** Words to begin from; of `init: 'text'`, default the task's line. */
  readonly initText?: string
  /** Prompt to begin from: folder, bundle, file or Hub id. Its length is the recipe's, unless that says another. */
  readonly initPrompt?: string
  /** One line on what the prompt does. */
  readonly task?: string
}

export type DevRow = EncodedExample & { readonly target: string; readonly input: string }

export interface PreparedTask {
  /** Absent where the run has one task only. */
  readonly name?: string
  readonly options: TrainTask
  readonly data: Data
  /** Where development rows were given, or held out. */
  readonly dev?: Data
  readonly devRows?: readonly DevRow[]
  readonly labels: readonly string[] | undefined
  readonly recipe: TrainRecipe
  /** The prompt to begin from, where it is another's. */
  readonly begun?: Tensor<'F32'> // [P, D]
  readonly encoded: EncodedExamples
  /** What is worth saying of its rows and labels. */
  readonly advice: readonly Advice[]
}

/** The words a prompt begins from. */
export const initTextOf = ({ initText, task }: Pick<TrainTask, 'initText' | 'task'>): string => initText ?? task ?? ''

/** A folder of the run, beside `checkpoint`. */
const NAME = /^(?!checkpoint$)\w[\w.-]{0,63}$/

const refuse = (what: string): never => {
  throw new ConfigError('train-tasks', what)
}

/**
 * The tasks of a run by name; one without a name where the options themselves are the task.
 * @throws {ConfigError} `train-tasks`
 */
export function tasksOf(
  common: Partial<TrainTask>,
  named: Readonly<Record<string, Partial<TrainTask>>> | undefined,
): { readonly name?: string; readonly options: TrainTask }[] {
  const tasks =
    named === undefined ? [{ options: common }] : Object.entries(named).map(([name, own]) => ({ name, options: { ...common, ...own } }))
  if (tasks.length === 0) refuse('No tasks to train: give each a name and its rows, as { "mood": { "data": "mood.jsonl" } }.')
  return tasks.map((task) => {
    const { data } = task.options
    const name = 'name' in task ? task.name : undefined
    if (name !== undefined && !NAME.test(name))
      refuse(`${JSON.stringify(name)} cannot name a task: it becomes a folder. Use letters, digits, - _ and dots; not "checkpoint".`)
    if (data === undefined) return refuse(`${name === undefined ? 'The run' : `The task ${name}`} has no rows to train on: give it data.`)
    return { ...(name === undefined ? {} : { name }), options: { ...task.options, data } }
  })
}

/**
 * Reads and encodes a task's rows.
 * @throws {DataError} for rows that cannot be used; {ConfigError} `recipe-*`
 */
export async function prepareTask(
  { name, options }: { readonly name?: string; readonly options: TrainTask },
  choices: RecipeChoices,
  base: Promise<Base>,
): Promise<PreparedTask> {
  const asked = choices.init ?? (options.initPrompt !== undefined ? 'prompt' : options.initText ? 'text' : undefined)
  const [whole, given, begun] = await Promise.all([
    openData(options.data, options),
    options.dev === undefined ? undefined : openData(options.dev, options),
    asked === 'prompt' ? findPrompt(options.initPrompt ?? '').then(openPrompt) : undefined,
  ])
  const { tokenizer } = await base
  const labels = options.labels === false ? undefined : (options.labels ?? labelsOf(whole.examples))
  for (const { name: rows, examples } of labels ? [whole, ...(given ? [given] : [])] : []) {
    const targets = examples.map(({ target }) => target)
    checkTargets(targets, labels ?? [], rows, 'Name the labels as the rows have them, or map their values by a label map')
  }
  // Label words are the best beginning where there are any (paper, figure 3b); free text has none.
  const recipe = makeRecipe({
    ...choices,
    init: asked ?? (labels ? 'labels' : 'vocab'),
    holdOut: heldOut(options, choices.holdOut, name !== undefined),
    length: choices.length ?? begun?.embeddings.shape[0],
  })
  const { data, dev } = split(whole, given, recipe)
  const { frame } = parseTemplate(options.template ?? DEFAULT_TEMPLATE)
  const encode = (of: Data): EncodedExamples =>
    encodeExamples(of.examples, tokenizer, { maxInput: recipe.maxInputTokens, maxTarget: recipe.maxTargetTokens })
  return {
    ...(name === undefined ? {} : { name }),
    options,
    data,
    ...(dev ? { dev, devRows: withTexts(dev, encode(dev).examples) } : {}),
    labels,
    recipe,
    ...(begun ? { begun: begun.embeddings } : {}),
    encoded: encode(data),
    advice: [
      ...adviseData(data.examples, dev?.examples ?? [], frame),
      ...(labels ? adviseLabels(labels, tokenizer, targetsOf(dev), targetsOf(data)) : []),
    ],
  }
}

/**
 * Rows to hold out; of several tasks, those with development rows of their own hold out none.
 * @throws {ConfigError} `dev-twice`
 */
function heldOut({ dev }: TrainTask, count = 0, several: boolean): number {
  if (dev === undefined || count === 0) return count
  if (several) return 0
  throw new ConfigError(
    'dev-twice',
    `The rows to evaluate on are named twice: by dev, and as ${count} rows to hold out. Keep one of them, or set holdOut to 0.`,
  )
}

/** The rows to train and to evaluate on. */
function split(whole: Data, given: Data | undefined, { holdOut: count, seed }: TrainRecipe): { data: Data; dev: Data | undefined } {
  if (given !== undefined || count === 0) return { data: whole, dev: given }
  const { rest, held } = holdOut(whole.examples, count, seed)
  return { data: dataOf(whole.name, rest), dev: dataOf(whole.name, held) }
}

const targetsOf = (data: Data | undefined): string[] => data?.examples.map(({ target }) => target) ?? []

const withTexts = ({ examples }: Data, encoded: readonly EncodedExample[]): DevRow[] =>
  encoded.map(({ inputIds, targetIds }, index) => {
    const { input = '', target = '' } = examples[index] ?? {}
    return { inputIds, targetIds, input, target }
  })

/** The prompt [P, D] that a run of this recipe begins with. */
export function initialPrompt(
  { options, labels = [], begun }: PreparedTask,
  { init, length, seed }: TrainRecipe,
  base: Base,
): Float32Array {
  const texts = init === 'text' ? [initTextOf(options)] : labels
  const words = texts.map((text) => base.tokenizer.encode(text).slice(0, -1))
  return initialise({ kind: init, length, table: base.embeddingTable(), words, seed, ...(begun ? { prompt: begun } : {}) }).data
}
