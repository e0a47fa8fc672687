/** What the passes leave of a training step; that its numbers stay right is for the step's own tests. */
import { describe, expect, it } from 'vitest'
import { specialise } from '../../src/graph/passes.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep } from '../../src/t5/step.ts'

const config = parseT5Config({
  model_type: 't5',
  d_model: 8,
  d_kv: 4,
  d_ff: 16,
  num_layers: 2,
  num_heads: 2,
  vocab_size: 50,
  decoder_start_token_id: 0,
  pad_token_id: 0,
})

describe.each([true, false])('the step for an engine, contrib operators: %s', (contrib) => {
  const graph = specialise(buildStep(config), { contrib, externalData: true })
  const shapesOf = (op: string): string[] => graph.nodes.flatMap((node) => (node.op === op ? [String(node.inputs[0]?.shape)] : []))

  it('never makes the gradient of the logits', () => {
    expect(shapesOf('ScatterAdd')).toEqual([])
    expect(shapesOf('Mul').filter((shape) => shape === 'B*U,50')).toEqual([])
  })

  it("sums the rows of attention's output, not of its weights", () => {
    expect(shapesOf('ReduceSum').filter((shape) => shape === 'B,2,S,4')).toHaveLength(2)
    expect(shapesOf('ReduceSum').filter((shape) => shape.startsWith('B,2,S,S'))).toEqual([])
  })

  it('computes no feed-forward part for padding', () => {
    expect(new Set(shapesOf('Relu'))).toEqual(new Set(['N,16', 'B*U,16']))
  })
})
