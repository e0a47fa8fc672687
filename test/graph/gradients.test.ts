/** Every gradient rule against central differences in f64. An operator with a rule and no case here fails. */
import { describe, expect, test } from 'vitest'
import { createBuilder, type Builder } from '../../src/graph/builder.ts'
import { gradients, NOT_DIFFERENTIABLE, RULES } from '../../src/graph/gradients.ts'
import type { OpName, Shape, Value } from '../../src/graph/ir.ts'
import { apply, concat, gather, matMul, mul, reduceSum, transpose } from '../../src/graph/ops.ts'
import { sizeOf, tensor } from '../../src/tensor/tensor.ts'
import { array, interpret, type Array64 } from './interpreter.ts'

interface Case {
  /** Shapes of the trainables. */
  readonly shapes: readonly (readonly number[])[]
  build(g: Builder, x: Value[]): Value
  /** Moves the values to where the function is smooth. */
  readonly at?: (value: number) => number
}

const op =
  <K extends OpName>(name: K, attributes: object = {}) =>
  (g: Builder, x: Value[]): Value =>
    apply(g, name, x, attributes as never)
const ints = (g: Builder, shape: readonly number[], values: number[]): Value =>
  g.constant(tensor('I64', shape, BigInt64Array.from(values.map(BigInt))))
const positive = (value: number): number => Math.abs(value) + 0.5
const awayFromZero = (value: number): number => value + Math.sign(value) * 0.1

const gemms: Case[] = [false, true].flatMap((transA) =>
  [false, true].map((transB) => ({
    shapes: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4], [1, 4]],
    build: op('Gemm', { transA, transB }),
  })),
)

const CASES: { readonly [K in OpName]?: readonly Case[] } = {
  Add: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      build: op('Add'),
    },
    {
      shapes: [
        [2, 1, 3],
        [4, 1],
      ],
      build: op('Add'),
    },
  ],
  Sub: [{ shapes: [[2, 3], [3]], build: op('Sub') }],
  Mul: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: op('Mul'),
    },
    { shapes: [[2, 3]], build: (g, [x]) => mul(g, x!, x!) }, // used twice
  ],
  Div: [{ shapes: [[2, 3], [3]], build: op('Div'), at: positive }],
  Where: [
    {
      shapes: [[2, 3], [3]],
      build: (g, [a, b]) => apply(g, 'Where', [g.constant(tensor('BOOL', [2, 1], Uint8Array.of(1, 0))), a!, b!], {}),
    },
  ],
  Neg: [{ shapes: [[2, 3]], build: op('Neg') }],
  Sqrt: [{ shapes: [[2, 3]], build: op('Sqrt'), at: positive }],
  Exp: [{ shapes: [[2, 3]], build: op('Exp') }],
  Relu: [{ shapes: [[4, 3]], build: op('Relu'), at: awayFromZero }],
  Tanh: [{ shapes: [[2, 3]], build: op('Tanh') }],
  Sigmoid: [{ shapes: [[2, 3]], build: op('Sigmoid') }],
  Gemm: gemms,
  MatMul: [
    {
      shapes: [
        [2, 2, 3],
        [2, 3, 4],
      ],
      build: op('MatMul'),
    },
    {
      shapes: [
        [2, 2, 3],
        [3, 4],
      ],
      build: op('MatMul'),
    }, // batch axes broadcast
  ],
  ReduceSum: [
    { shapes: [[2, 3, 4]], build: op('ReduceSum', { axes: [1], keep: true }) },
    { shapes: [[2, 3, 4]], build: op('ReduceSum', { axes: [0, 2], keep: false }) },
  ],
  Softmax: [{ shapes: [[2, 2, 3]], build: op('Softmax') }],
  Log: [{ shapes: [[2, 3]], build: op('Log'), at: positive }],
  CrossEntropy: [{ shapes: [[3, 4]], build: (g, [x]) => apply(g, 'CrossEntropy', [x!, ints(g, [3], [2, -100, 0])], {}) }],
  RmsNorm: [{ shapes: [[2, 4], [4]], build: op('RmsNorm', { epsilon: 0.01 }) }],
  Gelu: [{ shapes: [[3, 4]], build: op('Gelu') }],
  Reshape: [{ shapes: [[2, 6]], build: op('Reshape', { shape: [3, 4] }) }],
  Expand: [{ shapes: [[2, 1]], build: op('Expand', { shape: [3, 2, 4] }) }],
  Transpose: [
    { shapes: [[2, 3, 4]], build: op('Transpose', { perm: [2, 0, 1] }) },
    { shapes: [[2, 3, 4]], build: (g, [x]) => transpose(g, mul(g, transpose(g, x!, [1, 2, 0]), g.scalar(2)), [2, 1, 0]) },
  ],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 4],
      ],
      build: (g, [a, b]) => concat(g, a!, b!, 1, 7),
    },
  ],
  Gather: [{ shapes: [[3, 2]], build: (g, [x]) => gather(g, x!, ints(g, [2, 2], [2, 0, 2, 2])) }], // rows used twice
}

/** Values that look random and are the same in every run. */
function numbers(shape: readonly number[], seed: number): Array64 {
  return array(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, index) => 2 * Math.sin(12.9898 * (index + 1) + 78.233 * (seed + 1))),
  )
}

describe('each rule equals central differences', () => {
  const differentiable = Object.entries(RULES).filter(([, rule]) => rule !== NOT_DIFFERENTIABLE)
  test.each(differentiable.map(([name]) => name as OpName))('%s', (name) => {
    const cases = CASES[name] ?? []
    expect(cases.length, `${name} has a gradient rule and no case`).toBeGreaterThan(0)
    for (const each of cases) check(each)
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
