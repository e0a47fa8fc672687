/** Arithmetic of symbolic axes: products, equality, broadcasting. */
import { ShapeError } from '../errors.ts'
import type { Dim, Shape } from './ir.ts'

const factorsOf = (dim: Dim): string[] => (typeof dim === 'number' ? [String(dim)] : dim.split('*'))

/** The symbols of an axis, and its numeric coefficient. */
export function splitDim(dim: Dim): { readonly coefficient: number; readonly symbols: readonly string[] } {
  const factors = factorsOf(dim)
  const symbols = factors.filter((factor) => !/^-?\d+$/.test(factor)).toSorted()
  return {
    coefficient: factors.filter((factor) => /^-?\d+$/.test(factor)).reduce((product, factor) => product * Number(factor), 1),
    symbols,
  }
}

/** The product of axes, in the one form that makes equal products equal strings. */
export function times(...dims: Dim[]): Dim {
  const { coefficient, symbols } = splitDim(dims.length === 0 ? 1 : dims.map(String).join('*'))
  if (symbols.length === 0) return coefficient
  return (coefficient === 1 ? symbols : [String(coefficient), ...symbols]).join('*')
}

export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`

/** The shape of an elementwise operator's output. @throws {ShapeError} `graph-broadcast` */
export function broadcast(...shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) => {
    const found = new Set(shapes.map((shape) => shape[axis - rank + shape.length] ?? 1).filter((dim) => dim !== 1))
    if (found.size > 1) {
      throw new ShapeError('graph-broadcast', `Shapes ${shapes.map(formatShape).join(' and ')} do not broadcast to one another.`, {
        facts: { shapes },
      })
    }
    return [...found][0] ?? 1
  })
}

/** The value of an axis, given its symbols' values. @throws {ShapeError} `graph-symbol` for a symbol without value */
export function evaluateDim(dim: Dim, symbols: ReadonlyMap<string, number>): number {
  const { coefficient, symbols: names } = splitDim(dim)
  return names.reduce((product, name) => {
    const value = symbols.get(name)
    if (value === undefined) throw new ShapeError('graph-symbol', `The axis ${name} is on no input of the graph.`, { facts: { name } })
    return product * value
  }, coefficient)
}
