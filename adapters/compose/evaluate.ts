/** Metrics of prompts on data files: the library's `eval`. */
import { encodeExamples, labelsOf } from '../../src/data/examples.ts'
import { answerRows, type AskedRow, type RowAnswer } from '../../src/decode/answer.ts'
import { joinAnswers, type Ensemble } from '../../src/decode/ensemble.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { measure } from '../../src/train/evaluate.ts'
import { openData, type Data, type DataOptions } from './data.ts'
import { openPrompted, type Prompted, type PromptedOptions } from './prompted.ts'

export interface EvaluateOptions extends PromptedOptions, DataOptions {
  readonly data: readonly string[]
  /** Label words; default: the prompt's own, else the data's. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  readonly signal?: AbortSignal
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  /** Also the bare model, as `(no prompt)`. */
  readonly bare?: boolean
  /** Also all prompts as one, by majority or mean probability. */
  readonly ensemble?: Ensemble
}

export interface EvaluateResult {
  readonly prompt: string
  readonly data: string
  readonly metrics: readonly Metric[]
  readonly truncatedInputs: number
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
  /** Of an ensemble: what its prompts score alone, by the first metric. */
  readonly single?: { readonly mean: number; readonly best: number; readonly bestPrompt: string }
}

/** Domain transfer: one metric of each prompt (rows) on each data set (columns). */
export interface TransferTable {
  readonly metric: string
  readonly data: readonly string[]
  readonly rows: readonly { readonly prompt: string; readonly values: readonly number[] }[]
}

const MOST_TOKENS = { maxInput: 512, maxTarget: 128 }

/** One prompt's side of a file. */
interface Asked {
  readonly name: string
  readonly labels: readonly string[] | undefined
  readonly rows: readonly (AskedRow & { readonly target: string; readonly targetIds: readonly number[] })[]
  readonly truncatedInputs: number
}

/**
 * Evaluates every prompt on every file, in order: all prompts of a file in mixed batches, its results as soon as they are there.
 * @throws {ConfigError} `ensemble-labels` for the mean of prompts with other labels
 */
export async function* evaluatePrompts(options: EvaluateOptions): AsyncGenerator<EvaluateResult, void> {
  const prompted = await openPrompted(options)
  try {
    for (const path of options.data) {
      const { asked, name } = await askedOf(path, prompted, options)
      const answers = await answersOf(asked, prompted, options)
      const found = asked.map(({ name: prompt, labels, rows, truncatedInputs }, index): EvaluateResult => {
        const predictions = (answers[index] as readonly RowAnswer[]).map(({ answer }) => answer)
        const { metrics, warnings } = measure(predictions, { rows, split: name, ...(labels ? { labels } : {}) })
        return { prompt, data: name, metrics, truncatedInputs, warnings }
      })
      yield* found
      if (options.ensemble !== undefined) yield together(options.ensemble, name, asked, answers, found, options.bare ? 1 : 0)
    }
  } finally {
    await prompted.dispose()
  }
}

/** The rows of a file as each prompt reads them. */
async function askedOf(path: string, { base, prompts }: Prompted, options: EvaluateOptions): Promise<{ asked: Asked[]; name: string }> {
  const opened = new Map<string | undefined, Promise<Data>>()
  const asked: Asked[] = []
  let name = ''
  for (const each of [...(options.bare ? [{ name: '(no prompt)', prompt: undefined }] : []), ...prompts]) {
    // The bare model reads what the first prompt reads.
    const { manifest } = (each.prompt ?? prompts[0]?.prompt ?? {}) as Partial<SoftPrompt>
    const template = options.template ?? manifest?.template
    const opening = opened.get(template) ?? openData(path, { ...options, ...(template === undefined ? {} : { template }) })
    opened.set(template, opening)
    const data = await opening
    const { examples, truncatedInputs } = encodeExamples(data.examples, base.tokenizer, {
      maxInput: manifest?.recipe?.maxInputTokens ?? MOST_TOKENS.maxInput,
      maxTarget: manifest?.recipe?.maxTargetTokens ?? MOST_TOKENS.maxTarget,
    })
    // Files of one name in several folders are told apart by their paths.
    name = options.data.some((other) => other !== path && other.endsWith(`/${data.name}`)) ? path : data.name
    asked.push({
      name: each.name,
      labels: options.labels === false ? undefined : (options.labels ?? manifest?.labels ?? labelsOf(data.examples)),
      rows: examples.map((example, index) => ({
        ...example,
        target: data.examples[index]?.target ?? '',
        ...(each.prompt ? { prompt: each.prompt.embeddings } : {}),
      })),
      truncatedInputs,
    })
  }
  return { asked, name }
}

/** Answers of each prompt to its rows; rows with the same label words run together, whatever their prompts. */
async function answersOf(asked: readonly Asked[], { base, model }: Prompted, options: EvaluateOptions): Promise<RowAnswer[][]> {
  const answers: RowAnswer[][] = []
  for (const labels of new Map(asked.map((each) => [JSON.stringify(each.labels), each.labels])).values()) {
    const group = [...asked.keys()].filter((index) => JSON.stringify(asked[index]?.labels) === JSON.stringify(labels))
    const made = await answerRows({
      model,
      tokenizer: base.tokenizer,
      startId: base.config.startId,
      rows: group.flatMap((index) => asked[index]?.rows ?? []),
      ...(labels ? { labels } : {}),
      ...(options.beams === undefined ? {} : { beams: options.beams }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
    let from = 0
    for (const index of group) answers[index] = made.slice(from, (from += asked[index]?.rows.length ?? 0))
  }
  return answers
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
  const { rows = [], labels } = asked[from] ?? {}
  const joined = rows.map(
    (_, row) =>
      joinAnswers(
        own.map((each) => each[row] as RowAnswer),
        how,
      ).answer,
  )
  const { metrics, warnings } = measure(joined, { rows, split: data, ...(labels ? { labels } : {}) })
  const single = found.slice(from).map(({ prompt, metrics: [metric] }) => ({ prompt, value: metric?.value ?? 0 }))
  const [best] = single.toSorted((a, b) => b.value - a.value)
  return {
    prompt: `${how} of ${own.length}`,
    data,
    metrics,
    truncatedInputs: 0,
    warnings,
    single: {
      mean: single.reduce((sum, { value }) => sum + value / single.length, 0),
      best: best?.value ?? 0,
      bestPrompt: best?.prompt ?? '',
    },
  }
}

/** Results of several prompts on several files as a table; undefined where either is one. */
export function transferTable(results: readonly EvaluateResult[]): TransferTable | undefined {
  const data = [...new Set(results.map((result) => result.data))]
  const prompts = [...new Set(results.map(({ prompt }) => prompt))]
  if (data.length < 2 || prompts.length < 2) return undefined
  const valueOf = (prompt: string, on: string): number =>
    results.find((result) => result.prompt === prompt && result.data === on)?.metrics[0]?.value ?? Number.NaN
  return {
    metric: [...new Set(results.map(({ metrics: [metric] }) => metric?.name ?? ''))].join(' / '),
    data,
    rows: prompts.map((prompt) => ({ prompt, values: data.map((on) => valueOf(prompt, on)) })),
  }
}
