/** What a card shows beside a prompt's figure: the untuned base and the commonest answer on the same rows, the words near its tokens, rows it got wrong. */
import type { EncodedExample } from '../../src/data/examples.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import type { Baseline, Manifest } from '../../src/prompt/manifest.ts'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { nearestTokens } from '../../src/prompt/statistics.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { evaluate, wrongRows, type EvaluateOptions } from '../../src/train/evaluate.ts'
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
  readonly signal?: AbortSignal
}

/** Pieces listed for each virtual token. */
const NEAREST = 3

/** The pieces of the vocabulary nearest to each virtual token [P, D]. @throws {ShapeError} `prompt-width` */
export const nearestPieces = (prompt: Tensor<'F32'>, table: EmbeddingTable, pieces: readonly string[]): string[][] =>
  nearestTokens(prompt, table, NEAREST).map((near) => near.flatMap(({ id }) => pieces[id] ?? []))

type Evidence = Pick<Manifest, 'baselines' | 'nearest' | 'failures'>

/** Measures. Once `signal` has aborted, what was found by then is all there is. */
export async function gatherEvidence(options: EvidenceOptions): Promise<Evidence> {
  const { base, prompt, rows = [], labels, trained, signal } = options
  const { width } = base.config
  let found: Evidence = {}
  if (signal?.aborted) return found
  found = { nearest: nearestPieces(tensor('F32', [prompt.length / width, width], prompt), base.embeddingTable(), base.tokenizer.pieces) }
  if (rows.length === 0) return found
  try {
    const asked: EvaluateOptions = {
      model: await options.model(),
      tokenizer: base.tokenizer,
      startId: base.config.startId,
      rows,
      ...(labels ? { labels } : {}),
      split: 'dev',
      maxNewTokens: options.maxNewTokens,
      ...(signal ? { signal } : {}),
    }
    const untuned = (await evaluate(asked)).metrics.map((metric) => Object.assign(metric, { of: 'untuned' as const }))
    found = { ...found, baselines: [...untuned, ...(labels ? majorityOf(rows, trained) : [])] }
    const failures =
      options.failures > 0 ? wrongRows(rows, (await evaluate(asked, { data: prompt, width })).predictions, options.failures) : []
    return { ...found, ...(failures.length > 0 ? { failures } : {}) }
  } catch (error) {
    if (!signal?.aborted) throw error
    return found
  }
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
