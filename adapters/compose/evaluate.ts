/** Metrics of prompts on data files: the library's `eval`. */
import { basename } from 'node:path'
import { encodeExamples, labelsOf } from '../../src/data/examples.ts'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { answerRows, type AskedRow, type LabelScore, type RowAnswer } from '../../src/decode/answer.ts'
import { joinAnswers, type Ensemble } from '../../src/decode/ensemble.ts'
import { ConfigError, SoftPromptError } from '../../src/errors.ts'
import type { Manifest, Metric } from '../../src/prompt/manifest.ts'
import { adviseLabels, type Advice } from '../../src/train/advice.ts'
import { classScores, confusionOf, type ClassScore, type Confusion } from '../../src/train/classes.ts'
import { emptyInputs } from '../../src/train/data-advice.ts'
import { measure } from '../../src/train/evaluate.ts'
import { adviseTargets, checkTargets } from '../../src/train/outside.ts'
import { openData, type Data, type DataOptions, type ReadDataOptions } from './data.ts'
import { generationOf, groupsOf, type Generation } from './generation.ts'
import { openPrompted, type Prompted, type PromptedOptions } from './prompted.ts'

/** A data file that is read in a way of its own. */
export interface EvaluateData extends DataOptions {
  readonly file: string
}

/** Template, target and label map given here win over those of a prompt's manifest, and those of one file over these. */
export interface EvaluateOptions extends PromptedOptions, DataOptions {
  readonly data: readonly (string | EvaluateData)[]
  /** Label words; default: the prompt's own, else the data's. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  readonly signal?: AbortSignal
  /** Tokens generated at most. Default: the prompt's own, else what it was trained with, else 64. */
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default: the prompt's own, else 1: greedy. */
  readonly beams?: number
  /** Also the bare model, as `(no prompt)`. */
  readonly bare?: boolean
  /** Also all prompts as one, by majority or mean probability; then a pack may be named, whose prompts all count. */
  readonly ensemble?: Ensemble
  /** Told of a prompt that could not be measured on a file, and why; the others are measured all the same. Default: it is thrown. */
  readonly onFailure?: (failure: EvaluateFailure) => void
}

export interface EvaluateFailure {
  readonly prompt: string
  readonly data: string
  readonly error: SoftPromptError
}

/** One row and how it was answered. */
export interface Prediction {
  /** Its number in the file, from 1, and its place in it. */
  readonly row: number
  readonly where: string
  /** The text that was asked: the template filled. */
  readonly input: string
  readonly target: string
  readonly answer: string
  readonly correct: boolean
  /** Best first, where labels were scored. */
  readonly labels?: readonly LabelScore[]
}

export interface EvaluateResult {
  readonly prompt: string
  readonly data: string
  readonly metrics: readonly Metric[]
  readonly truncatedInputs: number
  readonly warnings: readonly Advice[]
  /** Row by row. */
  readonly predictions: readonly Prediction[]
  /** By label, and which was taken for which; where the answers are labels. */
  readonly classes?: readonly ClassScore[]
  readonly confusion?: Confusion
  /** Of an ensemble: what its prompts score alone, by the first metric. */
  readonly single?: { readonly mean: number; readonly best: number; readonly bestPrompt: string }
}

const MOST_TOKENS = { maxInput: 512, maxTarget: 128 }

/** A row of a file as a prompt is asked it. */
type Row = AskedRow & { readonly targetIds: readonly number[]; readonly input: string; readonly target: string; readonly where: string }

/** One prompt's side of a file. */
interface Asked {
  readonly name: string
  /** Label words that are scored; undefined where text is generated. */
  readonly labels: readonly string[] | undefined
  /** Where text is generated: the words that the prompt was made to answer with. */
  readonly words: readonly string[] | undefined
  readonly generation: Generation
  /** What is to be said of the rows and the labels. */
  readonly advice: readonly Advice[]
  readonly rows: readonly Row[]
  readonly truncatedInputs: number
}

/**
 * Evaluates every prompt on every file, in order: all prompts of a file in mixed batches, its results as soon as they are there.
 * What a prompt's manifest says of template, target, label map and labels is obeyed, where the options do not say otherwise.
 * @throws {DataError} `targets-not-labels` where a file asks for no answer that is a label of the prompt
 * @throws {ConfigError} `ensemble-labels` for the mean of prompts with other labels; `labels-generate`
 */
export async function* evaluatePrompts(options: EvaluateOptions): AsyncGenerator<EvaluateResult, void> {
  const prompted = await openPrompted(options)
  try {
    const names = dataNames(options.data)
    for (const [index, data] of options.data.entries()) {
      const name = names[index] ?? ''
      const asked = await askedOf(typeof data === 'string' ? { file: data } : data, name, prompted, options)
      const answers = await answersOf(asked, prompted, options)
      const found = asked.map((each, at) => resultOf(each, name, answers[at] ?? []))
      yield* found
      const whole = asked.length === prompted.prompts.length + (options.bare ? 1 : 0)
      if (options.ensemble !== undefined && whole) yield together(options.ensemble, name, asked, answers, found, options.bare ? 1 : 0)
    }
  } finally {
    await prompted.dispose()
  }
}

/** What the files are called in results: by their names, or where that does not tell them apart by their paths, or numbered. */
export function dataNames(data: EvaluateOptions['data']): string[] {
  const files = data.map((each) => (typeof each === 'string' ? each : each.file))
  const short = files.map((file) => (file === '-' ? 'standard input' : basename(file)))
  const names = files.map((file, index) =>
    files.some((other, at) => other !== file && short[at] === short[index]) ? file : (short[index] ?? file),
  )
  return names.map((name, index) => {
    const before = names.slice(0, index).filter((other) => other === name).length
    return before === 0 ? name : `${name} (${before + 1})`
  })
}

/** The rows of a file as each prompt reads them; prompts that cannot are told of, or thrown. */
async function askedOf(source: EvaluateData, name: string, prompted: Prompted, options: EvaluateOptions): Promise<Asked[]> {
  const opened = new Map<string, Promise<Data>>()
  const asked: Asked[] = []
  for (const each of [...(options.bare ? [{ name: '(no prompt)', prompt: undefined }] : []), ...prompted.prompts]) {
    try {
      // The bare model reads what the first prompt reads.
      const { manifest } = each.prompt ?? prompted.prompts[0]?.prompt ?? {}
      const reading = readingOf(source, options, manifest)
      const key = JSON.stringify(reading)
      const opening = opened.get(key) ?? openData(source.file, reading)
      opened.set(key, opening)
      const data = await opening
      const { labels, words } = answersAsked(options, manifest, data, `${each.name} on ${name}`)
      const targets = data.examples.map(({ target }) => target)
      const known = labels ?? words
      const advice = [
        ...(labels ? adviseLabels(labels, prompted.tokenizer) : []),
        ...(known ? adviseTargets(targets, known) : []),
        ...emptyInputs(data.examples, parseTemplate(reading.template ?? DEFAULT_TEMPLATE).frame),
      ]
      const generation = generationOf(manifest, options)
      asked.push({ name: each.name, labels, words, generation, advice, ...encoded(data, manifest, prompted, each.prompt) })
    } catch (error) {
      if (!(error instanceof SoftPromptError) || options.onFailure === undefined) throw error
      options.onFailure({ prompt: each.name, data: name, error })
    }
  }
  return asked
}

/** How a prompt reads a file: as told for the file, as told for all, as its manifest says. */
function readingOf(source: EvaluateData, options: EvaluateOptions, manifest: Manifest | undefined): ReadDataOptions {
  const template = source.template ?? options.template ?? manifest?.template
  const target = source.target ?? options.target ?? manifest?.data?.target
  const given = source.labelMap ?? options.labelMap
  const own = manifest?.data?.labelMap
  return {
    ...(template === undefined ? {} : { template }),
    ...(target === undefined ? {} : { target }),
    // Another file than the prompt's may hold the label words as they are.
    ...(given ? { labelMap: given } : own ? { labelMap: own, keepUnmapped: true } : {}),
  }
}

/** What the rows are to be answered with. @throws {DataError} `targets-not-labels`; {ConfigError} `labels-none` */
function answersAsked(
  { labels: given }: EvaluateOptions,
  manifest: Manifest | undefined,
  { examples }: Data,
  what: string,
): Pick<Asked, 'labels' | 'words'> {
  if (given !== undefined && given !== false && given.length === 0) {
    throw new ConfigError('labels-none', 'The labels to score are an empty list. Name them, or leave them out for those of the prompt.')
  }
  const labels = given === false ? undefined : (given ?? manifest?.labels ?? labelsOf(examples))
  const words = labels ? undefined : manifest?.labels
  const known = labels ?? words
  const targets = examples.map(({ target }) => target)
  const help = given
    ? 'Name labels that the rows ask for'
    : 'Say which field holds the answer by --target, and what its values mean by --label-map or --preset (in code: target, labelMap)'
  if (known) checkTargets(targets, known, what, help)
  return { labels, words }
}

function encoded(
  { examples }: Data,
  manifest: Manifest | undefined,
  { tokenizer }: Prompted,
  prompt: Prompted['prompts'][number]['prompt'] | undefined,
): Pick<Asked, 'rows' | 'truncatedInputs'> {
  const { examples: ids, truncatedInputs } = encodeExamples(examples, tokenizer, {
    maxInput: manifest?.recipe?.maxInputTokens ?? MOST_TOKENS.maxInput,
    maxTarget: manifest?.recipe?.maxTargetTokens ?? MOST_TOKENS.maxTarget,
  })
  const rows = examples.map((example, index): Row => {
    const { inputIds, targetIds } = ids[index] as (typeof ids)[number]
    return { ...example, inputIds, targetIds, ...(prompt ? { prompt: prompt.embeddings } : {}) }
  })
  return { rows, truncatedInputs }
}

/** Answers of each prompt to its rows; rows with the same label words run together, whatever their prompts. */
async function answersOf(
  asked: readonly Asked[],
  { tokenizer, startId, model }: Prompted,
  { signal }: EvaluateOptions,
): Promise<RowAnswer[][]> {
  const answers: RowAnswer[][] = []
  for (const group of groupsOf(asked)) {
    const { labels, generation } = asked[group[0] as number] as Asked
    const made = await answerRows({
      model,
      tokenizer,
      startId,
      rows: group.flatMap((index) => asked[index]?.rows ?? []),
      ...generation,
      ...(labels ? { labels } : {}),
      ...(signal ? { signal } : {}),
    })
    let from = 0
    for (const index of group) answers[index] = made.slice(from, (from += asked[index]?.rows.length ?? 0))
  }
  return answers
}

/** Figures of one prompt's answers. */
function resultOf(
  { name, labels, words, advice, rows, truncatedInputs }: Asked,
  data: string,
  answers: readonly RowAnswer[],
): EvaluateResult {
  const told = answers.map(({ answer }) => answer)
  const { metrics, warnings } = measure(told, { rows, split: data, ...(labels ? { labels } : {}), ...(words ? { words } : {}) })
  const [answered, wanted] = [told, rows.map(({ target }) => target)].map((all) => (labels ? all : all.map((text) => text.trim())))
  const predictions = rows.map(({ where, input, target }, row): Prediction => {
    const { answer = '', labels: scores } = answers[row] ?? {}
    return { row: row + 1, where, input, target, answer, correct: answered?.[row] === wanted?.[row], ...(scores ? { labels: scores } : {}) }
  })
  const known = labels ?? words
  const classes = known
    ? { classes: classScores(answered ?? [], wanted ?? [], known), confusion: confusionOf(answered ?? [], wanted ?? [], known) }
    : {}
  return { prompt: name, data, metrics, truncatedInputs, warnings: [...advice, ...warnings], predictions, ...classes }
}

/** The ensemble of all prompts, beside what they score alone. */
function together(
  how: Ensemble,
  data: string,
  asked: readonly Asked[],
  answers: readonly (readonly RowAnswer[])[],
  found: readonly EvaluateResult[],
  from: number,
): EvaluateResult {
  const own = answers.slice(from)
  const first = asked[from] as Asked
  const joined = first.rows.map((_, row) =>
    joinAnswers(
      own.map((each) => each[row] as RowAnswer),
      how,
    ),
  )
  const single = found.slice(from).map(({ prompt, metrics: [metric] }) => ({ prompt, value: metric?.value ?? 0 }))
  const [best] = single.toSorted((a, b) => b.value - a.value)
  return {
    ...resultOf({ ...first, name: `${how} of ${own.length}`, truncatedInputs: 0 }, data, joined),
    single: {
      mean: single.reduce((sum, { value }) => sum + value / single.length, 0),
      best: best?.value ?? 0,
      bestPrompt: best?.prompt ?? '',
    },
  }
}
