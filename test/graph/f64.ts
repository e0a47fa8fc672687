/** A graph in F64, for oracles of real size: onnxruntime's CPU runs it; weights and feeds stay F32. */
import * as ort from 'onnxruntime-node'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import type { Engine } from '../../src/graph/engine.ts'
import type { Graph, Value } from '../../src/graph/ir.ts'
import { cast, greater } from '../../src/graph/ops.ts'
import { decompose } from '../../src/graph/passes.ts'
import { rewrite } from '../../src/graph/rewrite.ts'
import { tensor } from '../../src/tensor/tensor.ts'

/** Every float is made in F64, of inputs, weights and constants as they are. */
function toF64(graph: Graph): Graph {
  return rewrite(decompose(graph, ['Gelu', 'CrossEntropy', 'RmsNorm']), (g, node, inputs) => {
    const wide = (value: Value): Value => (value.dtype === 'F32' ? cast(g, value, 'F64') : value)
    const given = inputs.map(wide)
    const [x] = given as [Value]
    if (node.op === 'Cast' && node.attributes.to === 'F32') return [cast(g, x, 'F64')]
    // its operator has no F64
    if (node.op === 'Step') return [cast(g, greater(g, x, g.constant(tensor('F64', [], new Float64Array(1)))), 'F64')]
    return g.apply(node.op, given, node.attributes as never).map(wide)
  })
}

const cpu = createEngine(ort, { threads: 1, capabilities: { contrib: false } })

/** Outputs are F64. */
export const F64: Engine = { ...cpu, name: 'f64', load: (graph, weights) => cpu.load(toF64(graph), weights) }
