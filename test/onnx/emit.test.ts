import { expect, it } from 'vitest'
import { createBuilder } from '../../src/graph/builder.ts'
import { apply } from '../../src/graph/ops.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'

function gelu(): Graph {
  const g = createBuilder('small')
  const y = apply(g, 'Gelu', [g.input('x', 'F32', [2, 3])], {})
  return g.finish({ y })
}
const place = (): Uint8Array => new Uint8Array()

it('a graph that no runtime has operators for is refused: by the compiler, and where that was not asked by a code', () => {
  // @ts-expect-error its operators may be composite
  const emit = (): unknown => emitModel(gelu(), new Map(), place)
  expect(emit).toThrow(expect.objectContaining({ code: 'engine-op', facts: { op: 'Gelu' } }))
  const { graph } = emitModel(specialise(gelu(), { contrib: false, externalData: false }), new Map(), place)
  expect(graph?.nodes.map(({ opType }) => opType)).toContain('Sigmoid')
})
