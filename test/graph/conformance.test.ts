/** Every operator, and every pass, on real engines against the f64 interpreter. A new engine is a row in `ENGINES`. */
import { describe, expect, test } from 'vitest'
import { createBuilder } from '../../src/graph/builder.ts'
import type { OpName } from '../../src/graph/ir.ts'
import { fuseSums } from '../../src/graph/passes.ts'
import { add, linear, mul } from '../../src/graph/ops.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { ENGINES } from '../engines.ts'
import { CASES, numbers } from './cases.ts'
import { array, interpret, type Array64 } from './interpreter.ts'

const toTensor = ({ shape, data }: Array64): Tensor => tensor('F32', shape, Float32Array.from(data))

describe.each(Object.entries(ENGINES))('%s', (_, engine) => {
  test.each(Object.keys(CASES) as OpName[])('%s', async (name) => {
    expect(CASES[name].length).toBeGreaterThan(0)
    for (const { shapes, build, at = (value: number): number => value } of CASES[name]) {
      const g = createBuilder('case')
      const inputs = shapes.map((shape, index) => g.input(`x${index}`, 'F32', shape))
      const y = build(g, inputs)
      // every output of the operator: what only gradients read goes wrong unseen
      const own = g.nodes.filter(({ op }) => op === name).flatMap(({ outputs }) => outputs)
      const graph = g.finish({ y, ...Object.fromEntries(own.map((value) => [`own${value.id}`, value])) })
      const feeds = Object.fromEntries(shapes.map((shape, index) => [`x${index}`, array(shape, numbers(shape, index).data.map(at))]))
      const expected = interpret(graph, feeds)
      const program = await engine.load(graph, new Map())
      const found = await program.run(Object.fromEntries(Object.entries(feeds).map(([key, value]) => [key, toTensor(value)])))
      await program.dispose()
      expect(Object.keys(found).toSorted()).toEqual(Object.keys(expected).toSorted())
      for (const [output, { shape, data }] of Object.entries(expected)) {
        expect(found[output]!.shape).toEqual(shape)
        for (const [index, value] of data.entries()) expect(Number(found[output]!.data[index])).toBeCloseTo(value, 5)
      }
    }
  })
})

test('sums of products become one Gemm each, and only where the product is used once', () => {
  const g = createBuilder('sums')
  const x = g.input('x', 'F32', ['N', 3])
  const weights = ['a', 'b', 'c'].map((name) => g.weight(name, [3, 3]))
  const products = weights.map((weight) => linear(g, x, weight))
  const sum = products.reduce((total, product) => add(g, total, product), x)
  const graph = g.finish({ sum, square: mul(g, products[2]!, products[2]!) })
  const fused = fuseSums(graph)
  expect(fused.nodes.map(({ op, inputs }) => `${op}${inputs.length}`).toSorted()).toEqual(['Add2', 'Gemm2', 'Gemm3', 'Gemm3', 'Mul2'])
  const feeds = { x: numbers([2, 3], 0) }
  const table = { a: numbers([3, 3], 1), b: numbers([3, 3], 2), c: numbers([3, 3], 3) }
  const [before, after] = [interpret(graph, feeds, table), interpret(fused, feeds, table)]
  for (const name of ['sum', 'square']) {
    after[name]!.data.forEach((value, index) => expect(value).toBeCloseTo(before[name]!.data[index]!, 12))
  }
})
