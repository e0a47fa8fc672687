/** Metrics with their number of rows and a 95 % interval. */
import type { Metric } from '../prompt/manifest.ts'

/** Standard normal quantile of a two-sided 95 % interval. */
const Z = 1.959963984540054

/** Wilson's score interval of a proportion (Wilson 1927): sound at small n and near 0 and 1. */
export function wilson(right: number, n: number): readonly [number, number] {
  if (n === 0) return [0, 1]
  const p = right / n
  const centre = p + (Z * Z) / (2 * n)
  const half = Z * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n))
  const scale = 1 + (Z * Z) / n
  // At p = 0 and p = 1 an end is exactly 0 or 1; rounding must not cross it.
  return [Math.max(0, (centre - half) / scale), Math.min(1, (centre + half) / scale)]
}

type Figure = Pick<Metric, 'name' | 'value' | 'n' | 'interval'>

function proportion(name: string, right: number, n: number): Figure {
  return { name, value: n === 0 ? 0 : right / n, n, interval: wilson(right, n) }
}

const countEqual = (predicted: readonly string[], expected: readonly string[], norm = (text: string): string => text): number =>
  expected.reduce((count, want, row) => count + (norm(predicted[row] ?? '') === norm(want) ? 1 : 0), 0)

/** Share of rows whose label is the expected one. */
export const accuracy = (predicted: readonly string[], expected: readonly string[]): Figure =>
  proportion('accuracy', countEqual(predicted, expected), expected.length)

/** Share of generated texts equal to the expected one but for surrounding space. */
export const exactMatch = (predicted: readonly string[], expected: readonly string[]): Figure =>
  proportion(
    'exact_match',
    countEqual(predicted, expected, (text) => text.trim()),
    expected.length,
  )

/** Unweighted mean of each label's F1, over the labels expected or predicted (scikit-learn's `f1_score(average="macro")`). */
export function macroF1(predicted: readonly string[], expected: readonly string[]): Figure {
  const labels = new Set([...expected, ...predicted])
  let sum = 0
  for (const label of labels) {
    let both = 0
    let said = 0
    let was = 0
    for (const [row, want] of expected.entries()) {
      if (want === label) was++
      if (predicted[row] === label) said++
      if (want === label && predicted[row] === label) both++
    }
    sum += said + was === 0 ? 0 : (2 * both) / (said + was)
  }
  return { name: 'f1', value: labels.size === 0 ? 0 : sum / labels.size, n: expected.length }
}
