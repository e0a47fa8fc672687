/** The training curve as an SVG that needs no script and reads on light and dark pages. */
import { scaleLinear, scaleLog } from 'd3-scale'
import { line } from 'd3-shape'
import type { LogFacts, LossPoint } from './facts.ts'
import { isPercent } from './figures.ts'

const WIDTH = 640
const HEIGHT = 260
const MARGIN = { top: 28, right: 56, bottom: 40, left: 56 }
/** Points a curve is drawn with at most; more are averaged. */
const MAX_POINTS = 400

const round = (value: number): number => Math.round(value * 100) / 100
const shown = (value: number): string => String(Number(value.toPrecision(3)))

/** Neighbouring points as one, so that the file stays small. */
function thin(points: readonly LossPoint[]): LossPoint[] {
  const group = Math.ceil(points.length / MAX_POINTS)
  return Array.from({ length: Math.ceil(points.length / group) }, (_, index) => {
    const part = points.slice(index * group, (index + 1) * group)
    const mean = part.reduce((sum, { loss }) => sum + loss, 0) / part.length
    return { step: part.at(-1)?.step ?? 0, loss: mean }
  })
}

/** Ticks at least 20 units apart: a logarithmic axis has many. */
function apart(ticks: readonly number[], scale: (value: number) => number): number[] {
  const kept: number[] = []
  for (const tick of ticks) {
    const last = kept.at(-1)
    if (last === undefined || Math.abs(scale(tick) - scale(last)) >= 20) kept.push(tick)
  }
  return kept
}

interface Curve {
  readonly path: string
  readonly end: readonly [number, number]
}

function curve(points: readonly (readonly [number, number])[], x: (value: number) => number, y: (value: number) => number): Curve {
  const draw = line<readonly [number, number]>()
    .x(([step]) => round(x(step)))
    .y(([, value]) => round(y(value)))
  const [step, value] = points.at(-1) ?? [0, 0]
  return { path: draw(points) ?? '', end: [round(x(step)), round(y(value))] }
}

const STYLE = `
text{font:11px system-ui,sans-serif;fill:#57606a}.axis{stroke:#d0d7de}.loss{stroke:#0969da}.dev{stroke:#bc4c00}.lossText{fill:#0969da}.devText{fill:#bc4c00}
@media(prefers-color-scheme:dark){text{fill:#9198a1}.axis{stroke:#3d444d}.loss{stroke:#4493f8}.dev{stroke:#db6d28}.lossText{fill:#4493f8}.devText{fill:#db6d28}}`

/**
 * Loss by step, and the dev accuracy (or first metric) on the right-hand axis where there is one.
 * @returns undefined with fewer than two points: there is no curve to show
 */
export function lossChart(log: LogFacts): string | undefined {
  const losses = thin(log.losses.toSorted((a, b) => a.step - b.step))
  if (losses.length < 2) return undefined
  const name = log.evaluations[0]?.metrics[0]?.name
  const dev = log.evaluations.flatMap(({ step, metrics }) => {
    const found = metrics.find((metric) => metric.name === name)
    return found === undefined ? [] : [[step, found.value] as const]
  })
  const steps = [...losses.map(({ step }) => step), ...dev.map(([step]) => step)]
  const values = losses.map(({ loss }) => loss)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const right = WIDTH - MARGIN.right
  const bottom = HEIGHT - MARGIN.bottom
  const x = scaleLinear([Math.min(...steps), Math.max(...steps)], [MARGIN.left, right])
  // A loss that falls by more than tenfold is readable on a logarithmic axis only.
  const y =
    low > 0 && high / low > 10
      ? scaleLog([low, high], [bottom, MARGIN.top])
      : scaleLinear([Math.min(0, low), high], [bottom, MARGIN.top]).nice()
  const yDev = scaleLinear(
    [Math.min(0, ...dev.map(([, value]) => value)), Math.max(1, ...dev.map(([, value]) => value))],
    [bottom, MARGIN.top],
  )
  // Two or three figures: the axis is for the height of the curve, the table for its values.
  const isShare = name !== undefined && isPercent(name) && dev.every(([, value]) => value >= 0 && value <= 1)
  const ofAxis = (value: number): string => (isShare ? `${shown(100 * value)} %` : shown(value))
  const loss = curve(
    losses.map((point) => [point.step, point.loss] as const),
    x,
    y,
  )
  const accuracy = dev.length > 0 ? curve(dev, x, yDev) : undefined
  const xTicks = x.ticks(6).map((tick) => `<text x="${round(x(tick))}" y="${bottom + 16}" text-anchor="middle">${shown(tick)}</text>`)
  const yTicks = apart(y.ticks(5), y).map(
    (tick) =>
      `<line class="axis" x1="${MARGIN.left}" x2="${right}" y1="${round(y(tick))}" y2="${round(y(tick))}"/>` +
      `<text class="lossText" x="${MARGIN.left - 6}" y="${round(y(tick)) + 4}" text-anchor="end">${shown(tick)}</text>`,
  )
  const devTicks =
    accuracy === undefined
      ? []
      : yDev.ticks(2).map((tick) => `<text class="devText" x="${right + 8}" y="${round(yDev(tick)) + 4}">${ofAxis(tick)}</text>`)
  // The name is a stranger's: only plain letters of it are drawn.
  const label = (name ?? '').replace(/[^\w ]/g, ' ').slice(0, 30)
  const summary = `Loss ${shown(losses[0]?.loss ?? 0)} at step ${losses[0]?.step}, ${shown(losses.at(-1)?.loss ?? 0)} at step ${losses.at(-1)?.step}.`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${summary}">`,
    `<title>${summary}</title><style>${STYLE}</style>`,
    ...yTicks,
    ...xTicks,
    ...devTicks,
    `<text class="lossText" x="${MARGIN.left}" y="16">training loss</text>`,
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">step</text>`,
    `<path class="loss" fill="none" stroke-width="1.5" d="${loss.path}"/>`,
    ...(accuracy === undefined
      ? []
      : [
          `<text class="devText" x="${right}" y="16" text-anchor="end">${label}</text>`,
          `<path class="dev" fill="none" stroke-width="1.5" stroke-dasharray="4 3" d="${accuracy.path}"/>`,
          `<circle class="dev" fill="none" cx="${accuracy.end[0]}" cy="${accuracy.end[1]}" r="2.5"/>`,
        ]),
    '</svg>',
    '',
  ].join('\n')
}
