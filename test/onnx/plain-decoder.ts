/** The decoder without cache that a merged one holds: the branch that is taken where there is no cache yet. */
import { readFileSync, writeFileSync } from 'node:fs'
import { formatModel, parseModel } from '../../src/onnx/model.ts'
import type { GraphProto } from '../../src/onnx/schema.ts'
import { makeNode } from '../../src/onnx/tensors.ts'

/** Writes what optimum writes as `decoder_model.onnx`, from a `decoder_model_merged.onnx`. */
export function writePlainDecoder(merged: string, to: string): void {
  const model = parseModel(new Uint8Array(readFileSync(merged)))
  const graph = model.graph as GraphProto
  const branch = graph.nodes.find(({ opType }) => opType === 'If')?.attributes.find(({ name }) => name === 'else_branch')?.g as GraphProto
  const own = new Set(['input_ids', 'encoder_attention_mask', 'encoder_hidden_states'])
  const logits = branch.outputs[0] as (typeof branch.outputs)[number]
  const plain: GraphProto = {
    ...branch,
    inputs: graph.inputs.filter(({ name }) => own.has(name ?? '')),
    initializers: [...graph.initializers, ...branch.initializers],
    outputs: [{ ...logits, name: 'logits' }],
    nodes: logits.name === 'logits' ? branch.nodes : [...branch.nodes, makeNode('Identity', [logits.name ?? ''], ['logits'])],
  }
  writeFileSync(to, formatModel({ ...model, graph: plain }))
}
