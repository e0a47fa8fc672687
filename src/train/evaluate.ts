/** A prompt's metrics on rows: by label scoring where there are labels, by generation elsewhere. */
import { padInputs } from '../data/collate.ts'
import type { EncodedExample } from '../data/examples.ts'
import type { Tokenizer } from '../data/tokenizer.ts'
import { generate } from '../decode/beam.ts'
import { bestLabel, scoreLabels } from '../decode/score.ts'
import type { EncodeInput, Seq2Seq } from '../decode/seq2seq.ts'
import type { Metric } from '../prompt/manifest.ts'
import { tensor } from '../tensor/tensor.ts'
import { accuracy, exactMatch, macroF1, squad } from './metrics.ts'

export interface EvaluateOptions {
  readonly model: Seq2Seq
  readonly tokenizer: Tokenizer
  readonly startId: number
  /** Each with the text it should give. */
  readonly rows: readonly (EncodedExample & { readonly target: string })[]
  /** Label words; absent = generate and compare the text. */
  readonly labels?: readonly string[]
  readonly split: string
  readonly batch?: number
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  readonly signal?: AbortSignal
}

export interface Evaluated {
  readonly metrics: readonly Metric[]
  /** What was answered, row by row. */
  readonly predictions: readonly string[]
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
}

const EVAL_BATCH = 64

/** The model's input for a group of rows that share one prompt ([P, D], or none). */
export function encodeInput(
  rows: readonly (readonly number[])[],
  padId: number,
  prompt?: { readonly data: Float32Array; readonly width: number },
): EncodeInput {
  const padded = padInputs(rows, padId)
  if (!prompt) return padded
  return {
    ...padded,
    prompts: tensor('F32', [1, prompt.data.length / prompt.width, prompt.width], prompt.data),
    promptIndex: tensor('I64', [rows.length], new BigInt64Array(rows.length)),
  }
}

/** Evaluates a prompt, or the bare model. Rows of like length run together; results come in the rows' order. */
export async function evaluate(
  options: EvaluateOptions,
  prompt?: { readonly data: Float32Array; readonly width: number },
): Promise<Evaluated> {
  const { model, tokenizer, rows, labels, startId } = options
  const labelIds = labels?.map((label) => tokenizer.encode(label))
  const order = rows.map((_, index) => index).toSorted((a, b) => (rows[a]?.inputIds.length ?? 0) - (rows[b]?.inputIds.length ?? 0))
  const predictions: string[] = Array.from({ length: rows.length }, () => '')
  const size = options.batch ?? EVAL_BATCH
  for (let from = 0; from < order.length; from += size) {
    options.signal?.throwIfAborted()
    const group = order.slice(from, from + size)
    const input = encodeInput(
      group.map((row) => rows[row]?.inputIds ?? []),
      tokenizer.padId,
      prompt,
    )
    const answers =
      labels && labelIds
        ? (await scoreLabels(model, input, labelIds, startId)).map((scores) => labels[bestLabel(scores)] as string)
        : (
            await generate(model, input, {
              startId,
              eosId: tokenizer.eosId,
              padId: tokenizer.padId,
              maxNewTokens: options.maxNewTokens ?? 64,
              beams: options.beams ?? 1,
            })
          ).map((ids) => tokenizer.decode(ids))
    for (const [index, row] of group.entries()) predictions[row] = answers[index] as string
  }
  const expected = rows.map(({ target }) => target)
  const by: Metric['by'] = labels ? 'labels' : 'generation'
  const figures = labels
    ? [accuracy(predictions, expected), macroF1(predictions, expected)]
    : [exactMatch(predictions, expected), ...squad(predictions, expected)]
  return {
    metrics: figures.map((figure): Metric => Object.assign(figure, { split: options.split, by })),
    predictions,
    warnings: collapse(predictions, expected),
  }
}

/** One answer for everything, where the rows want several, is a prompt that has not learnt or has collapsed. */
function collapse(predictions: readonly string[], expected: readonly string[]): Evaluated['warnings'] {
  if (new Set(expected).size < 2 || new Set(predictions).size > 1 || predictions.length < 8) return []
  return [
    {
      code: 'one-answer',
      message: `Every one of ${predictions.length} rows was answered ${JSON.stringify(predictions[0])}. Common in the first few hundred steps; if it stays, try more steps, a lower learning rate or another seed.`,
    },
  ]
}
