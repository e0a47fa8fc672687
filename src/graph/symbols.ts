/** What a graph's symbols stand for in one run, for engines that interpret graphs. */
import { ShapeError } from '../errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { evaluateDim, formatShape } from './dims.ts'
import type { Graph } from './ir.ts'

/**
 * Checks feeds against a graph's inputs and gives each symbol its value.
 * @throws {ShapeError} `engine-feeds` when names are missing or unknown, `engine-shape` when an axis is another than the graph's or two feeds disagree
 */
export function symbolValues(graph: Graph, feeds: Readonly<Record<string, Pick<Tensor, 'shape' | 'data'>>>): ReadonlyMap<string, number> {
  const names = graph.inputs.map(({ name }) => name)
  const missing = names.filter((name) => !feeds[name])
  const unknown = Object.keys(feeds).filter((name) => !names.includes(name))
  if (missing.length + unknown.length > 0) {
    const facts = { missing, unknown }
    throw new ShapeError('engine-feeds', `Feeds and inputs differ: missing ${list(missing)}, unknown ${list(unknown)}.`, { facts })
  }
  const values = new Map<string, number>()
  for (const { name, value } of graph.inputs) {
    const { shape } = feeds[name] as Tensor
    const fits =
      shape.length === value.shape.length &&
      value.shape.every((dim, axis) => {
        const expected = typeof dim === 'number' ? dim : values.get(dim)
        if (expected === undefined) values.set(dim as string, shape[axis] as number)
        return expected === undefined || expected === shape[axis]
      })
    if (!fits) {
      const known = [...values].map(([symbol, size]) => `${symbol} = ${size}`).join(', ')
      throw new ShapeError(
        'engine-shape',
        `${name} is ${formatShape(shape)}, the graph takes ${formatShape(value.shape)}${known === '' ? '' : ` with ${known}`}.`,
        { facts: { name, got: shape, expected: value.shape } },
      )
    }
  }
  for (const [symbol, source] of graph.symbols) {
    if (values.has(symbol)) continue
    const value =
      'input' in source ? Number(feeds[source.input]?.data[0]) : source.sum.reduce<number>((sum, dim) => sum + evaluateDim(dim, values), 0)
    values.set(symbol, value)
  }
  return values
}

const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '))
