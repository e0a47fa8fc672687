/** Figures as every command writes them. */
import type { Metric } from '../../src/prompt/manifest.ts'

/** `91.2` */
export const percent = (share: number): string => (100 * share).toFixed(1)

/** `accuracy 91.2 % (89.1 to 92.9, n 872)` */
export function formatMetric({ name, value, n, interval }: Pick<Metric, 'name' | 'value' | 'n' | 'interval'>): string {
  return `${name} ${percent(value)} % (${interval ? `${percent(interval[0])} to ${percent(interval[1])}, ` : ''}n ${n})`
}
