/** Answers of several prompts to one text joined into one. Source: prompt ensembling, Lester et al. 2021, section 6. */
import { ConfigError } from '../errors.ts'
import type { LabelScore, RowAnswer } from './answer.ts'

export type Ensemble = 'vote' | 'mean'

/**
 * Joins answers: `vote` takes what most say (of equals, what the earlier prompt says), `mean` the label of the highest mean probability.
 * @returns the answer, with each one's share of the votes or mean probability, best first
 * @throws {ConfigError} `ensemble-labels` for the mean of answers without the same labels, and for a vote that no label could win with all
 */
export function joinAnswers(answers: readonly RowAnswer[], how: Ensemble): Required<RowAnswer> {
  const shares = new Map<string, number>()
  const give = (label: string, share: number): unknown => shares.set(label, (shares.get(label) ?? 0) + share / answers.length)
  if (how === 'vote') {
    checkCommon(answers)
    for (const { answer } of answers) give(answer, 1)
  } else {
    const known = labelsOf(answers[0])
    for (const { labels = [] } of answers) {
      if (labels.length === 0 || labelsOf({ labels }) !== known) {
        throw new ConfigError(
          'ensemble-labels',
          'The mean needs prompts that score the same labels; join them by vote, or name the labels.',
        )
      }
      for (const { label, score } of labels) give(label, score)
    }
  }
  const labels = [...shares].map(([label, score]): LabelScore => ({ label, score })).toSorted((a, b) => b.score - a.score)
  return { answer: labels[0]?.label ?? '', labels }
}

/** Prompts of which each knows other answers never agree: their vote would say nothing. */
function checkCommon(answers: readonly RowAnswer[]): void {
  const known = answers.map(({ labels = [] }) => labels.map(({ label }) => label))
  const [first = [], ...others] = known
  if (known.some((labels) => labels.length === 0) || first.some((label) => others.every((labels) => labels.includes(label)))) return
  const lists = [...new Set(known.map((labels) => labels.toSorted().join(', ')))]
  throw new ConfigError(
    'ensemble-labels',
    `These prompts have no label in common (${lists.join('; ')}), so that a vote says nothing. Join prompts of one task, or name the labels.`,
    { facts: { labels: known } },
  )
}

const labelsOf = (answer: Pick<RowAnswer, 'labels'> | undefined): string =>
  JSON.stringify((answer?.labels ?? []).map(({ label }) => label).toSorted())
