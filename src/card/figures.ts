/** Figures as a card shows them. */
import type { Metric } from '../prompt/manifest.ts'

/** A number with four digits at most. */
const figure = (value: number): string => String(Number(value.toPrecision(4)))

const PERCENT: ReadonlySet<string> = new Set(['accuracy', 'f1', 'exact_match', 'macro_f1'])

/** Whether a metric of this name is a share, shown as per cent. */
export const isPercent = (name: string): boolean => PERCENT.has(name)

/** A drift with two digits; none at all is 0. */
export const shownDrift = (share: number): string => `${share === 0 ? '0' : figure(Number((100 * share).toPrecision(2)))} %`

/** 0.9123 as 91.2 %, with its interval. */
export function shownMetric({ name, value, interval }: Metric): { readonly value: string; readonly interval: string } {
  const percent = isPercent(name) && value >= 0 && value <= 1
  const format = (number: number): string => (percent ? `${(100 * number).toFixed(1)} %` : figure(number))
  return { value: format(value), interval: interval === undefined ? '' : `${format(interval[0])} to ${format(interval[1])}` }
}

/** A figure with its interval, in one cell. */
export function cell(metric: Metric | undefined): string {
  if (metric === undefined) return ''
  const { value, interval } = shownMetric(metric)
  return interval === '' ? value : `${value} (${interval})`
}

/** `89.5 % accuracy on dev (200 rows)`, in plain text. */
export const shownResult = (metric: Metric): string =>
  `${shownMetric(metric).value} ${metric.name} on ${metric.split} (${metric.n} row${metric.n === 1 ? '' : 's'})`
