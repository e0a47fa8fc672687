/** Every gradient rule against central differences in f64, on cases.ts. */
import { describe, expect, test } from 'vitest'
import { createBuilder, type Builder } from '../../src/graph/builder.ts'
import { gradients, NOT_DIFFERENTIABLE, RULES } from '../../src/graph/gradients.ts'
import type { OpName, Shape, Value } from '../../src/graph/ir.ts'
import { apply, matMul, mul, reduceSum } from '../../src/graph/ops.ts'
import { CASES, numbers, type Case } from './cases.ts'
import { array, interpret, type Array64 } from './interpreter.ts'

describe('each rule equals central differences', () => {
  const differentiable = Object.entries(RULES).filter(([, rule]) => rule !== NOT_DIFFERENTIABLE)
  test.each(differentiable.map(([name]) => name as OpName))('%s', (name) => {
    expect(CASES[name].length).toBeGreaterThan(0)
    for (const each of CASES[name]) check(each)
  })
})

function check({ shapes, build, at = (value) => value }: Case): void {
  const g = createBuilder('case')
  const inputs = shapes.map((shape, index) => g.input(`x${index}`, 'F32', shape))
  const output = build(g, inputs)
  const seed = g.input('seed', 'F32', output.shape)
  const found = gradients(g, output, seed, inputs)
  const graph = g.finish({ output, ...Object.fromEntries(found.map((value, index) => [`d${index}`, value])) })
  const feeds: Record<string, Array64> = { seed: numbers(output.shape as number[], 9) }
  for (const [index, shape] of shapes.entries()) feeds[`x${index}`] = array(shape, numbers(shape, index).data.map(at))
  const loss = (changed: Record<string, Array64>): number =>
    interpret(graph, changed)['output']!.data.reduce((sum, value, index) => sum + value * feeds['seed']!.data[index]!, 0)
  const computed = interpret(graph, feeds)
  for (const [index, shape] of shapes.entries()) {
    const { data } = feeds[`x${index}`]!
    expect(computed[`d${index}`]!.shape).toEqual(shape)
    for (const [position, value] of data.entries()) {
      const step = 1e-5
      const move = (by: number): number => loss({ ...feeds, [`x${index}`]: array(shape, data.with(position, value + by)) })
      expect(computed[`d${index}`]!.data[position]).toBeCloseTo((move(step) - move(-step)) / (2 * step), 6)
    }
  }
}

const product = (): { g: Builder; x: Value; weight: Value; y: Value } => {
  const g = createBuilder('walk')
  const x = g.input('x', 'F32', ['N', 3])
  const weight = g.weight('w', [3, 4])
  return { g, x, weight, y: matMul(g, x, weight) }
}

describe('the walk', () => {
  test('makes no product for a frozen weight', () => {
    const { g, x, y } = product()
    const before = g.nodes.length
    gradients(g, y, g.input('seed', 'F32', y.shape), [x])
    expect(g.nodes.slice(before).map((node) => node.op)).toEqual(['Transpose', 'MatMul'])
  })

  test('sums broadcasting over symbolic axes', () => {
    const g = createBuilder('bias')
    const bias = g.input('bias', 'F32', [4])
    const y = apply(g, 'Add', [g.input('x', 'F32', ['N', 4]), bias], {})
    const [d] = gradients(g, y, g.input('seed', 'F32', y.shape), [bias])
    expect(d?.shape).toEqual([4])
  })

  test('refuses a path through an operator without a gradient', () => {
    const { g, x, y } = product()
    const cut = apply(g, 'Slice', [y], { axis: 1, start: 0, end: 2, size: 2 })
    expect(() => gradients(g, cut, g.scalar(1), [x])).toThrow(expect.objectContaining({ code: 'graph-not-differentiable' }))
  })

  test('gives zeros for a trainable that the output does not use', () => {
    const { g, y } = product()
    const unused = g.input('unused', 'F32', [2])
    const [d] = gradients(g, reduceSum(g, y, [0, 1], false), g.scalar(1), [unused])
    const graph = g.finish({ d: d as Value })
    expect(interpret(graph, { x: array([1, 3], [1, 2, 3]), unused: array([2], [1, 1]) }, { w: numbers([3, 4], 1) })['d']!.data).toEqual([
      0, 0,
    ])
  })
})

test('equal nodes are made once', () => {
  const g = createBuilder('once')
  const shape: Shape = ['N', 3]
  const x = g.input('x', 'F32', shape)
  expect(mul(g, x, g.scalar(2))).toBe(mul(g, x, g.scalar(2)))
})
