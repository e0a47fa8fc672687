/** Rows with prompts of their own, answered in mixed batches: label words with their probabilities, or generated text. */
import { padInputs } from '../data/collate.ts'
import type { Tokenizer } from '../data/tokenizer.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import { generate } from './beam.ts'
import { labelProbabilities, scoreLabels } from './score.ts'
import type { EncodeInput, Seq2Seq } from './seq2seq.ts'

export interface AskedRow {
  readonly inputIds: readonly number[] // [T]
  /** Absent = the bare model. */
  readonly prompt?: Tensor<'F32'> // [P, D]
}

export interface LabelScore {
  readonly label: string
  /** Probability among the labels. */
  readonly score: number
}

export interface RowAnswer {
  /** The best label, or the generated text. */
  readonly answer: string
  /** Best first; the first of equals stays first. */
  readonly labels?: readonly LabelScore[]
}

export interface AnswerRowsOptions {
  readonly model: Seq2Seq
  readonly tokenizer: Tokenizer
  readonly startId: number
  readonly rows: readonly AskedRow[]
  /** Label words; absent = generate. */
  readonly labels?: readonly string[]
  readonly batch?: number
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  /** Told the text of a row so far, as greedy search makes it. */
  readonly onText?: (row: number, text: string) => void
  readonly signal?: AbortSignal
}

const BATCH = 64

/** The model's input for rows with prompts of any lengths. */
export function encodeRows(rows: readonly AskedRow[], padId: number): EncodeInput {
  const padded = padInputs(
    rows.map(({ inputIds }) => inputIds),
    padId,
  )
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))]
  const promptLengths = prompts.map((prompt) => prompt?.shape[0] ?? 0)
  const longest = Math.max(...promptLengths)
  const width = prompts.find((prompt) => prompt !== undefined)?.shape[1]
  if (width === undefined || longest === 0) return padded
  // A shorter prompt stands next to its text, as it does alone: T5's positions are relative.
  const data = new Float32Array(prompts.length * longest * width)
  for (const [index, prompt] of prompts.entries()) {
    if (prompt) data.set(prompt.data, ((index + 1) * longest - (promptLengths[index] as number)) * width)
  }
  return {
    ...padded,
    prompts: tensor('F32', [prompts.length, longest, width], data),
    promptIndex: tensor(
      'I64',
      [rows.length],
      BigInt64Array.from(rows, ({ prompt }) => BigInt(prompts.indexOf(prompt))),
    ),
    promptLengths,
  }
}

/** Answers every row, those of like length together; answers come in the rows' order. */
export async function answerRows(options: AnswerRowsOptions): Promise<RowAnswer[]> {
  const { model, tokenizer, startId, rows, labels, batch = BATCH, maxNewTokens = 64, beams = 1, onText, signal } = options
  const labelIds = labels?.map((label) => tokenizer.encode(label))
  const { eosId, padId } = tokenizer
  const order = rows.map((_, index) => index).toSorted((a, b) => (rows[a]?.inputIds.length ?? 0) - (rows[b]?.inputIds.length ?? 0))
  const answers: RowAnswer[] = []
  for (let from = 0; from < order.length; from += batch) {
    signal?.throwIfAborted()
    const group = order.slice(from, from + batch)
    const input = encodeRows(
      group.map((row) => rows[row] as AskedRow),
      padId,
    )
    const onStep =
      onText && ((made: readonly (readonly number[])[]) => made.forEach((ids, at) => onText(group[at] as number, tokenizer.decode(ids))))
    const generation = { startId, eosId, padId, maxNewTokens, beams, ...(onStep ? { onStep } : {}) }
    const made =
      labels && labelIds
        ? (await scoreLabels(model, input, labelIds, startId)).map((scores) => ranked(labels, scores))
        : (await generate(model, input, generation)).map((ids) => ({ answer: tokenizer.decode(ids) }))
    for (const [index, row] of group.entries()) answers[row] = made[index] as RowAnswer
  }
  return answers
}

function ranked(labels: readonly string[], scores: Float64Array): RowAnswer {
  const chances = labelProbabilities(scores)
  const order = labels.map((_, index) => index).toSorted((a, b) => (scores[b] as number) - (scores[a] as number))
  return {
    answer: labels[order[0] as number] as string,
    labels: order.map((index) => ({ label: labels[index] as string, score: chances[index] as number })),
  }
}
