/** A loss curve that grows: every step, and its running mean. */
const SVG = 'http://www.w3.org/2000/svg'
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 200, 34, 20]
/** Steps that the mean looks back on, about. */
const WINDOW = 10

function make(tag: string, attributes: Readonly<Record<string, string | number>>, text = ''): Element {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.textContent = text
  return made
}

export interface Curve {
  add(loss: number): void
  clear(steps: number): void
}

export function createCurve(svg: Element): Curve {
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  let losses: number[] = []
  let steps = 1
  const draw = (): void => {
    const top = Math.max(1, Math.ceil(2 * Math.max(...losses, 0)) / 2)
    const x = (index: number): number => LEFT + ((WIDTH - LEFT - 4) * index) / Math.max(1, steps - 1)
    const y = (loss: number): number => 6 + (HEIGHT - BOTTOM - 6) * (1 - loss / top)
    const path = (values: readonly number[]): string =>
      values.map((loss, index) => `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(loss).toFixed(1)}`).join('')
    let mean = losses[0] ?? 0
    const means = losses.map((loss, index) => (mean += (loss - mean) / Math.min(index + 1, WINDOW)))
    svg.replaceChildren(
      ...[0, top / 2, top].flatMap((loss) => [
        make('line', { x1: LEFT, x2: WIDTH - 4, y1: y(loss), y2: y(loss), class: 'grid' }),
        make('text', { x: LEFT - 6, y: y(loss) + 4, 'text-anchor': 'end' }, String(loss)),
      ]),
      make('text', { x: LEFT, y: HEIGHT - 4 }, 'loss by step'),
      make('text', { x: WIDTH - 4, y: HEIGHT - 4, 'text-anchor': 'end' }, String(steps)),
      make('path', { d: path(losses), class: 'each' }),
      make('path', { d: path(means), class: 'mean' }),
    )
  }
  draw()
  return {
    add: (loss) => {
      losses.push(loss)
      draw()
    },
    clear: (of) => {
      losses = []
      steps = of
      draw()
    },
  }
}
