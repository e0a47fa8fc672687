/** Domain transfer: how prompts do on each other's data. */
import type { EvaluateFailure, EvaluateResult } from './evaluate.ts'

/** One metric of each prompt (rows) on each data set (columns); null where it could not be measured. */
export interface TransferTable {
  readonly metric: string
  readonly data: readonly string[]
  readonly rows: readonly { readonly prompt: string; readonly values: readonly (number | null)[] }[]
}

/**
 * Results of several prompts on several files as a table; undefined where either is one.
 * @param order names of the files in their order; default: as results and failures come
 */
export function transferTable(
  results: readonly EvaluateResult[],
  failures: readonly EvaluateFailure[] = [],
  order: readonly string[] = [],
): TransferTable | undefined {
  const all = [...results, ...failures]
  const measured = new Set(all.map((each) => each.data))
  const data = [...new Set([...order.filter((name) => measured.has(name)), ...measured])]
  const prompts = [...new Set(all.map(({ prompt }) => prompt))]
  if (data.length < 2 || prompts.length < 2) return undefined
  const valueOf = (prompt: string, on: string): number | null =>
    results.find((result) => result.prompt === prompt && result.data === on)?.metrics[0]?.value ?? null
  return {
    metric: [...new Set(results.map(({ metrics: [metric] }) => metric?.name ?? ''))].join(' / '),
    data,
    rows: prompts.map((prompt) => ({ prompt, values: data.map((on) => valueOf(prompt, on)) })),
  }
}
