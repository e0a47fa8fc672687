/** Answers that are no label: a figure measured on them says nothing of the prompt. */
import { DataError } from '../errors.ts'
import type { Advice } from './advice.ts'

export interface Outside {
  readonly count: number
  readonly of: number
  /** A few of them, each once, in the rows' order. */
  readonly examples: readonly string[]
}

const MOST_EXAMPLES = 5

/** Answers that are none of the labels; undefined where all are. */
export function outsideLabels(answers: readonly string[], labels: readonly string[]): Outside | undefined {
  const known = new Set(labels)
  const others = answers.filter((answer) => !known.has(answer))
  if (others.length === 0) return undefined
  return { count: others.length, of: answers.length, examples: [...new Set(others)].slice(0, MOST_EXAMPLES) }
}

/** `"a", "b", …`; for people. */
export const quoted = (words: readonly string[], most: number = MOST_EXAMPLES): string =>
  words
    .slice(0, most)
    .map((word) => JSON.stringify(word.length > 40 ? `${word.slice(0, 40)}…` : word))
    .join(', ') + (words.length > most ? ', …' : '')

/**
 * Refuses rows of which none asks for a label: whatever is answered counts as wrong.
 * @param where what the rows are called
 * @throws {DataError} `targets-not-labels`
 */
export function checkTargets(targets: readonly string[], labels: readonly string[], where: string, help: string): void {
  const outside = outsideLabels(targets, labels)
  if (!outside || outside.count < outside.of) return
  throw new DataError(
    'targets-not-labels',
    `${where}: none of ${outside.of} rows asks for one of the labels (${quoted(labels, 8)}); they ask for ${quoted(outside.examples)}. ${help}.`,
    { facts: { labels, examples: outside.examples, rows: outside.of } },
  )
}

/** Rows that no label answers: they count as wrong whatever the prompt says. */
export function adviseTargets(targets: readonly string[], labels: readonly string[]): Advice[] {
  const found = outsideLabels(targets, labels)
  if (!found) return []
  return [
    {
      code: 'targets-not-labels',
      message: `${found.count} of ${found.of} rows ask for an answer that is none of the labels (${quoted(labels, 8)}), as ${quoted(found.examples)}; they count as wrong. Map them to the labels, or leave these rows out.`,
    },
  ]
}
