/** What the passes leave of a training step; that its numbers stay right is for the step's own tests. */
import { describe, expect, it } from 'vitest'
import { specialise } from '../../src/graph/passes.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep } from '../../src/t5/step.ts'

const json = {
  model_type: 't5',
  d_model: 8,
  d_kv: 4,
  d_ff: 16,
  num_layers: 2,
  num_heads: 2,
  vocab_size: 50,
  decoder_start_token_id: 0,
  pad_token_id: 0,
}
const config = parseT5Config(json)

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

it('gathers what is transposed by whole rows, for an engine that does so sooner', () => {
  const wide = buildStep(parseT5Config({ ...json, d_kv: 16, d_model: 16 }))
  const rowsMoved = (gathers: boolean): number =>
    specialise(wide, { contrib: true, externalData: true, gathers }).nodes.filter(
      ({ op, attributes, outputs: [y] }) =>
        op === 'Transpose' && y?.dtype === 'F32' && attributes.perm.at(-1) === attributes.perm.length - 1,
    ).length
  expect(rowsMoved(false)).toBeGreaterThan(20)
  expect(rowsMoved(true)).toBe(0)
})

it("keeps ReLU's gradient as truth values where memory counts", () => {
  const { nodes } = specialise(buildStep(config), { contrib: true, externalData: true, lean: true })
  expect(nodes.filter(({ op }) => op === 'Step')).toEqual([])
  expect(nodes.filter(({ op }) => op === 'Where')).toHaveLength(4)
})
