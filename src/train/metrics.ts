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
  // At p = 0 and p = 1 an end is 0 or 1, which rounding misses.
  return [right === 0 ? 0 : (centre - half) / scale, right === n ? 1 : (centre + half) / scale]
}

/** 95 % interval of the difference a − b of two shares from their own Wilson intervals (Newcombe 1998, method 10). */
export function differenceInterval(
  a: Required<Pick<Metric, 'value' | 'interval'>>,
  b: Required<Pick<Metric, 'value' | 'interval'>>,
): readonly [number, number] {
  const difference = a.value - b.value
  return [
    difference - Math.hypot(a.value - a.interval[0], b.interval[1] - b.value),
    difference + Math.hypot(a.interval[1] - a.value, b.value - b.interval[0]),
  ]
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

/** SQuAD's normalisation: lower case, no ASCII punctuation, no articles, single spaces (official evaluation v1.1, `normalize_answer`). */
function normalizeAnswer(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[!-/:-@[-`{-~]/g, '')
    .replaceAll(/(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .trim()
    .replaceAll(/\s+/g, ' ')
}

/** F1 of two texts by their normalised words, each counted as often as it stands there. */
function wordF1(predicted: string, expected: string): number {
  const said = normalizeAnswer(predicted).split(' ').filter(Boolean)
  const want = normalizeAnswer(expected).split(' ').filter(Boolean)
  const left = new Map<string, number>()
  for (const word of want) left.set(word, (left.get(word) ?? 0) + 1)
  let same = 0
  for (const word of said) {
    const count = left.get(word) ?? 0
    if (count > 0) {
      same++
      left.set(word, count - 1)
    }
  }
  return same === 0 ? 0 : (2 * same) / (said.length + want.length)
}

/** SQuAD's F1 (mean over rows) and exact match, both on normalised texts, for one expected answer a row. */
export function squad(predicted: readonly string[], expected: readonly string[]): Figure[] {
  const n = expected.length
  const sum = expected.reduce((total, want, row) => total + wordF1(predicted[row] ?? '', want), 0)
  return [
    { name: 'squad_f1', value: n === 0 ? 0 : sum / n, n },
    proportion('squad_exact_match', countEqual(predicted, expected, normalizeAnswer), n),
  ]
}
