/** What a card shows beside a prompt's figure: the untuned base and the commonest answer on the same rows, the words near its tokens, rows it got wrong. */
import type { EncodedExample } from '../../src/data/examples.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import type { Baseline, Failure, Manifest } from '../../src/prompt/manifest.ts'
import { nearestTokens } from '../../src/prompt/statistics.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { evaluate, type EvaluateOptions } from '../../src/train/evaluate.ts'
import { accuracy, macroF1 } from '../../src/train/metrics.ts'
import type { Base } from './open-base.ts'

export interface EvidenceOptions {
  readonly base: Base
  readonly prompt: Float32Array // [P, D]
  /** Development rows, where there are any. */
  readonly rows?: readonly (EncodedExample & { readonly target: string; readonly input: string })[]
  /** Answers of the training rows. */
  readonly trained: readonly string[]
  readonly labels?: readonly string[]
  readonly maxNewTokens: number
  /** Rows answered wrongly that are shown at most; 0 = none: rows may be private. */
  readonly failures: number
  readonly model: () => Promise<Seq2Seq>
}

/** Pieces listed for each virtual token. */
const NEAREST = 3

/** Measures. */
export async function gatherEvidence(options: EvidenceOptions): Promise<Pick<Manifest, 'baselines' | 'nearest' | 'failures'>> {
  const { base, prompt, rows = [], labels, trained } = options
  const { width } = base.config
  const embeddings = tensor('F32', [prompt.length / width, width], prompt)
  const pieces = base.tokenizer.pieces
  const nearest = nearestTokens(embeddings, base.embeddingTable(), NEAREST).map((near) => near.flatMap(({ id }) => pieces[id] ?? []))
  if (rows.length === 0) return { nearest }
  const asked: EvaluateOptions = {
    model: await options.model(),
    tokenizer: base.tokenizer,
    startId: base.config.startId,
    rows,
    ...(labels ? { labels } : {}),
    split: 'dev',
    maxNewTokens: options.maxNewTokens,
  }
  const untuned = (await evaluate(asked)).metrics.map((metric) => Object.assign(metric, { of: 'untuned' as const }))
  const majority = labels ? majorityOf(rows, trained) : []
  const failures = options.failures > 0 ? wrong(rows, (await evaluate(asked, { data: prompt, width })).predictions, options.failures) : []
  return { baselines: [...untuned, ...majority], nearest, ...(failures.length > 0 ? { failures } : {}) }
}

/** What always giving the answer that training met most would score. */
function majorityOf(rows: readonly { readonly target: string }[], trained: readonly string[]): Baseline[] {
  const counts = new Map<string, number>()
  for (const target of trained) counts.set(target, (counts.get(target) ?? 0) + 1)
  const [answer = ''] = [...counts].toSorted((a, b) => b[1] - a[1])[0] ?? []
  const expected = rows.map(({ target }) => target)
  const constant = expected.map(() => answer)
  return [accuracy(constant, expected), macroF1(constant, expected)].map((figure) =>
    Object.assign(figure, { split: 'dev', by: 'labels' as const, of: 'majority' as const }),
  )
}

const wrong = (
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
