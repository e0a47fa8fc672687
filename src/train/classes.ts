/** How each label fared: precision, recall and F1 by label, and which answers were taken for which. */

export interface ClassScore {
  readonly label: string
  /** Share of the rows answered so that ask for it; 0 where none was answered so. */
  readonly precision: number
  /** Share of the rows that ask for it that were answered so; 0 where none asks for it. */
  readonly recall: number
  readonly f1: number
  /** Rows that ask for it. */
  readonly support: number
}

/** Rows counted by what they ask for and what was answered; null stands for everything that is no label, where there is any. */
export interface Confusion {
  readonly expected: readonly (string | null)[]
  readonly answered: readonly (string | null)[]
  /** `[expected][answered]` */
  readonly counts: readonly (readonly number[])[]
}

/** One score a label, in the labels' order. */
export function classScores(predicted: readonly string[], expected: readonly string[], labels: readonly string[]): ClassScore[] {
  return labels.map((label) => {
    let [both, said, support] = [0, 0, 0]
    for (const [row, want] of expected.entries()) {
      if (want === label) support++
      if (predicted[row] === label) said++
      if (want === label && predicted[row] === label) both++
    }
    const share = (of: number): number => (of === 0 ? 0 : both / of)
    return { label, precision: share(said), recall: share(support), f1: said + support === 0 ? 0 : (2 * both) / (said + support), support }
  })
}

export function confusionOf(predicted: readonly string[], expected: readonly string[], labels: readonly string[]): Confusion {
  const known = new Map(labels.map((label, index) => [label, index]))
  const other = labels.length
  const indexOf = (answer: string | undefined): number => known.get(answer ?? '') ?? other
  const axis = (answers: readonly string[]): (string | null)[] =>
    answers.some((answer) => indexOf(answer) === other) ? [...labels, null] : [...labels]
  const [rows, columns] = [axis(expected), axis(predicted)]
  const counts = rows.map(() => Array<number>(columns.length).fill(0))
  for (const [row, want] of expected.entries()) {
    const line = counts[indexOf(want)] as number[]
    const column = indexOf(predicted[row])
    line[column] = (line[column] ?? 0) + 1
  }
  return { expected: rows, answered: columns, counts }
}
