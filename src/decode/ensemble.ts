/** Answers of several prompts to one text joined into one. Source: prompt ensembling, Lester et al. 2021, section 6. */
import { ConfigError } from '../errors.ts'
import type { LabelScore, RowAnswer } from './answer.ts'

export type Ensemble = 'vote' | 'mean'

/**
 * Joins answers: `vote` takes what most say (of equals, what the earlier prompt says), `mean` the label of the highest mean probability.
 * @returns the answer, with each one's share of the votes or mean probability, best first
 * @throws {ConfigError} `ensemble-labels` for the mean of answers without the same labels
 */
export function joinAnswers(answers: readonly RowAnswer[], how: Ensemble): Required<RowAnswer> {
  const shares = new Map<string, number>()
  const give = (label: string, share: number): unknown => shares.set(label, (shares.get(label) ?? 0) + share / answers.length)
  if (how === 'vote') for (const { answer } of answers) give(answer, 1)
  else {
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

const labelsOf = (answer: Pick<RowAnswer, 'labels'> | undefined): string =>
  JSON.stringify((answer?.labels ?? []).map(({ label }) => label).toSorted())
