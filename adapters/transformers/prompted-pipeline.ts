/** A stock transformers.js pipeline that speaks soft prompts: templates, generation defaults, label words with probabilities. */
import type { Text2TextGenerationPipeline } from '@huggingface/transformers'
import { DEFAULT_TEMPLATE, fillTemplate, parseTemplate, type TemplateInput } from '../../src/data/template.ts'
import { alike } from '../../src/decode/alike.ts'
import { generate } from '../../src/decode/beam.ts'
import { labelProbabilities, scoreLabels } from '../../src/decode/score.ts'
import type { EncodeInput, Seq2Seq } from '../../src/decode/seq2seq.ts'
import { ConfigError, DataError } from '../../src/errors.ts'
import type { PromptBank } from '../../src/prompt/bank.ts'
import { joinPrompts, tokenRows } from '../../src/prompt/join.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { Attachment, PromptChoice } from './attach.ts'
import { ignoredOptions, planGeneration, type Generation } from './generation.ts'
import { stockSeq2Seq, type TensorClass } from './seq2seq.ts'

export interface CallOptions {
  /** Which prompt: a name, null for none, or one of these for each text. Default: the only one. */
  readonly soft_prompt?: PromptChoice
  /** Generation options of transformers.js: max_new_tokens, streamer, …; with `num_beams` over 1 a beam search, which takes `length_penalty` too. */
  readonly [option: string]: unknown
}

/** A text, or the fields of the prompt's template. */
export type PromptedInput = TemplateInput

export interface LabelScore {
  readonly label: string
  /** Probability among the labels. */
  readonly score: number
}

type Stock = Text2TextGenerationPipeline

interface Generated {
  readonly generated_text: string
}

export interface PromptedPipeline {
  /** Generated texts, one for each input. */
  (input: PromptedInput | readonly PromptedInput[], options?: CallOptions): Promise<{ readonly generated_text: string }[]>
  /** Label words with their probabilities, best first. */
  classify(input: PromptedInput, options?: ClassifyOptions): Promise<LabelScore[]>
  classify(input: readonly PromptedInput[], options?: ClassifyOptions): Promise<LabelScore[][]>
  /** Prompts by name; add and remove them at any time. */
  readonly bank: PromptBank
  /** What to know before trusting answers (a dynamically quantised encoder); empty where there is nothing to say. */
  readonly warnings: readonly string[]
  /** The stock pipeline, with the option `soft_prompt`. */
  readonly stock: Stock
  detach(): void
  dispose(): Promise<void>
}

export interface ClassifyOptions {
  readonly soft_prompt?: PromptChoice
  /** Default: the prompt's own label words. */
  readonly labels?: readonly string[]
}

const CLASSIFY_BATCH = 32

/** Makes the pipeline from a stock one and what is attached to its model. */
export function promptedPipeline(stock: Stock, { bank, session, warnings, detach }: Attachment): PromptedPipeline {
  const choose = (choice: PromptChoice | undefined, count: number): readonly (string | null)[] => {
    if (choice === undefined && bank.names.length !== 1) {
      throw new ConfigError('prompt-choice', `Say which prompt: { soft_prompt: … } with one of ${bank.names.join(', ')}, or null for none.`)
    }
    const one = choice === undefined ? (bank.names[0] as string) : choice
    return one === null || typeof one === 'string' ? Array<string | null>(count).fill(one) : one
  }
  const texts = (inputs: readonly PromptedInput[], names: readonly (string | null)[]): string[] =>
    inputs.map((input, row) => fill(input, typeof names[row] === 'string' ? bank.get(names[row]) : undefined, row))

  const call = async (input: PromptedInput | readonly PromptedInput[], options: CallOptions = {}) => {
    const { soft_prompt, ...asked } = options
    const inputs = listOf(input)
    if (inputs.length === 0) return []
    const names = choose(soft_prompt, inputs.length)
    const filled = texts(inputs, names)
    const made: Generated[] = []
    for (const rows of alike(names, (name) => searchOf(name, bank))) {
      const own = rows.map((row) => names[row] as string | null)
      const plan = planGeneration(asked, generationOf(own.flatMap((name) => (name === null ? [] : [bank.get(name)]))))
      const part = await generated(
        rows.map((row) => filled[row] as string),
        own,
        plan,
      )
      for (const [index, row] of rows.entries()) made[row] = part[index] as Generated
    }
    return made
  }

  const generated = async (rows: readonly string[], names: readonly (string | null)[], plan: Generation): Promise<Generated[]> => {
    if (plan.search === 'stock') return stock([...rows], { ...plan.options, soft_prompt: names } as never) as Promise<Generated[]>
    const { model, startId, padId, eosId, encoded } = openRows(rows, names)
    const made = await generate(model, encoded, { ...plan, startId, padId, eosId })
    return made.map((ids) => ({ generated_text: stock.tokenizer.decode(ids, { skip_special_tokens: true }) }))
  }

  const classify = async (
    input: PromptedInput | readonly PromptedInput[],
    options: ClassifyOptions = {},
  ): Promise<LabelScore[] | LabelScore[][]> => {
    const inputs = listOf(input)
    const names = choose(options.soft_prompt, inputs.length)
    const filled = texts(inputs, names)
    const scores: LabelScore[][] = []
    const words = names.map((name) => options.labels ?? labelsOf(name, bank))
    // Rows with the same labels are scored together, whatever their prompts.
    for (const rows of alike(words, (labels) => labels)) {
      for (let from = 0; from < rows.length; from += CLASSIFY_BATCH) {
        const part = rows.slice(from, from + CLASSIFY_BATCH)
        const scored = await score(
          part.map((row) => filled[row] as string),
          part.map((row) => names[row] as string | null),
          words[part[0] as number] as readonly string[],
        )
        for (const [index, row] of part.entries()) scores[row] = scored[index] as LabelScore[]
      }
    }
    return Array.isArray(input) ? scores : (scores[0] as LabelScore[])
  }

  /** Texts behind their prompts, and the model as our own searches take it. */
  const openRows = (rows: readonly string[], names: readonly (string | null)[]): OpenedRows => {
    const { pad_token_id: padId = 0, decoder_start_token_id, eos_token_id: eosId = 1 } = stock.model.config as unknown as TokenIds
    const tokens = stock.tokenizer([...rows], { padding: true, truncation: true })
    const prompts = names.map((name) => (name === null ? null : bank.tokens(name)))
    const joined = joinPrompts(tokenRows(tokens.input_ids, tokens.attention_mask, padId), prompts, session.vocabSize, padId)
    return {
      model: stockSeq2Seq(stock.model, session, tokens.input_ids.constructor as TensorClass),
      encoded: { inputIds: joined.ids, attentionMask: joined.mask },
      startId: decoder_start_token_id ?? padId,
      padId,
      eosId: [eosId].flat()[0] ?? 1,
    }
  }

  const score = async (rows: readonly string[], names: readonly (string | null)[], labels: readonly string[]): Promise<LabelScore[][]> => {
    const { model, startId, encoded } = openRows(rows, names)
    const labelIds = labels.map((label) => stock.tokenizer.encode(label))
    const scores = await scoreLabels(model, encoded, labelIds, startId)
    return scores.map((row) => {
      const chances = labelProbabilities(row)
      return labels.map((label, index) => ({ label, score: chances[index] as number })).toSorted((a, b) => b.score - a.score)
    })
  }

  const made = Object.assign(call, { classify, bank, stock, detach, dispose: async () => void (await stock.dispose()) })
  // Prompts come and go.
  const allWarnings = { get: () => [...warnings, ...bank.names.flatMap((name) => unheeded(name, bank.get(name)))], enumerable: true }
  return Object.defineProperty(made, 'warnings', allWarnings) as PromptedPipeline
}

interface TokenIds {
  readonly pad_token_id?: number
  readonly decoder_start_token_id?: number
  readonly eos_token_id?: number | readonly number[]
}

interface OpenedRows {
  readonly model: Seq2Seq
  readonly encoded: EncodeInput
  readonly startId: number
  readonly padId: number
  readonly eosId: number
}

/** What a prompt asks of generation that nobody obeys. */
function unheeded(name: string, { manifest: { generation = {} } }: SoftPrompt): string[] {
  const options = ignoredOptions(generation)
  const search = generation['num_beams'] === undefined || generation['num_beams'] === 1 ? 'transformers.js 4' : 'its beam search'
  return options.length === 0 ? [] : [`${name} asks for ${options.join(', ')}, which ${search} does nothing with: left out.`]
}

/** @throws {DataError} `input-kind` for what is no text and no fields */
function listOf(input: PromptedInput | readonly PromptedInput[]): readonly PromptedInput[] {
  const inputs = (Array.isArray(input) ? input : [input]) as readonly PromptedInput[]
  for (const [row, each] of (inputs as readonly unknown[]).entries()) {
    if (typeof each === 'string' || (typeof each === 'object' && each !== null && !Array.isArray(each))) continue
    const got = each === null ? 'null' : Array.isArray(each) ? 'a list' : typeof each === 'number' ? String(each) : typeof each
    throw new DataError(
      'input-kind',
      `Input ${row} is ${got}. Give a text, an object with the fields of the prompt's template, or a list of these.`,
      { facts: { row, got } },
    )
  }
  return inputs
}

/** The prompt's template filled; with no prompt, the text. */
const fill = (input: PromptedInput, prompt: SoftPrompt | undefined, row: number): string =>
  fillTemplate(parseTemplate(prompt?.manifest.template ?? DEFAULT_TEMPLATE), input, `input ${row}`)

function labelsOf(name: string | null, bank: PromptBank): readonly string[] {
  const labels = name === null ? undefined : bank.get(name).manifest.labels
  if (labels !== undefined && labels.length > 0) return labels
  throw new ConfigError(
    'prompt-labels',
    `${name === null ? 'With no prompt there are no label words' : `The prompt "${name}" names no label words`}; give them: classify(text, { labels: […] }).`,
  )
}

/** What a prompt's rows are generated by; a length is the longest of the rows that run together. */
function searchOf(name: string | null, bank: PromptBank): readonly unknown[] {
  const { max_new_tokens: _, ...search } = name === null ? {} : (bank.get(name).manifest.generation ?? {})
  return Object.entries(search).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** The generation defaults of prompts that search alike: of different lengths the longest. */
function generationOf(prompts: readonly SoftPrompt[]): Record<string, number | boolean> {
  const all = prompts.map(({ manifest }) => manifest.generation ?? {})
  const { max_new_tokens: _, ...search } = all[0] ?? {}
  const lengths = all.map(({ max_new_tokens: length }) => length)
  const areNumbers = lengths.length > 0 && lengths.every((length) => typeof length === 'number')
  return { ...search, ...(areNumbers ? { max_new_tokens: Math.max(...(lengths as number[])) } : {}) }
}
