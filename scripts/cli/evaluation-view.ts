/** Results of an evaluation for people: figures, each label's scores, which label was taken for which, and the table of transfer. */
import type { EvaluateResult } from '../../adapters/compose/evaluate.ts'
import type { TransferTable } from '../../adapters/compose/transfer-table.ts'
import type { Confusion } from '../../src/train/classes.ts'
import type { Output } from './output.ts'
import { formatMetric, percent } from './figures.ts'
import { withFlags } from './option-flags.ts'

/** More labels than this make a table too wide to read: of them the commonest mistakes are shown. */
const MOST_COLUMNS = 10
const MOST_MISTAKES = 10

const named = (label: string | null): string => label ?? '(no label)'

export function showResult(out: Output, result: EvaluateResult): void {
  out.line(`${result.prompt} on ${result.data}: ${result.metrics.map(formatMetric).join(', ')}`)
  const { single, classes, confusion } = result
  if (single) out.line(`  its prompts alone: mean ${percent(single.mean)} %, best ${percent(single.best)} % (${single.bestPrompt})`)
  for (const { message, options } of result.warnings) out.note(`warning: ${withFlags(message, options)}`)
  if (result.truncatedInputs > 0) out.note(`warning: ${result.truncatedInputs} inputs were cut to the prompt's limit`)
  if (classes) {
    out.table(
      ['label', 'precision, %', 'recall, %', 'F1, %', 'rows'],
      classes.map(({ label, precision, recall, f1, support }) => [
        label,
        percent(precision),
        percent(recall),
        percent(f1),
        String(support),
      ]),
    )
  }
  if (confusion) showConfusion(out, confusion)
  if (classes) out.line('')
}

function showConfusion(out: Output, { expected, answered, counts }: Confusion): void {
  if (answered.length <= MOST_COLUMNS) {
    out.table(
      ['wanted \\ answered', ...answered.map(named)],
      expected.map((label, row) => [named(label), ...(counts[row] ?? []).map(String)]),
    )
    return
  }
  const mistakes = expected.flatMap((wanted, row) =>
    answered.flatMap((said, column) => {
      const count = counts[row]?.[column] ?? 0
      return wanted === said || count === 0 ? [] : [{ wanted, said, count }]
    }),
  )
  const commonest = mistakes.toSorted((a, b) => b.count - a.count).slice(0, MOST_MISTAKES)
  if (commonest.length === 0) return
  out.table(
    ['wanted', 'answered', 'rows'],
    commonest.map(({ wanted, said, count }) => [named(wanted), named(said), String(count)]),
  )
}

export function showTransfer(out: Output, { metric, data, rows }: TransferTable): void {
  out.line(
    `${metric}, %: rows are prompts, columns data sets${rows.some(({ values }) => values.includes(null)) ? '; - could not be measured' : ''}`,
  )
  out.table(
    ['prompt', ...data],
    rows.map(({ prompt, values }) => [prompt, ...values.map((value) => (value === null ? '-' : percent(value)))]),
  )
}
