/** Every operator, and every pass, on real engines against the f64 interpreter. A new engine is a row in `ENGINES`. */
import { describe, expect, test } from 'vitest'
import { createBuilder } from '../../src/graph/builder.ts'
import type { OpName } from '../../src/graph/ir.ts'
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
