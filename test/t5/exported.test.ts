/** The exported encoder and merged decoder in onnxruntime, called as transformers.js and optimum call them, against PyTorch's greedy tokens. */
import * as ort from 'onnxruntime-node'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { parseModel } from '../../src/onnx/model.ts'
import type { ModelProto, ValueInfoProto } from '../../src/onnx/schema.ts'
import type { Program } from '../../src/graph/engine.ts'
import { buildExportedEncoder, buildMergedDecoder } from '../../src/t5/exported.ts'
import type { T5Config } from '../../src/t5/config.ts'
import { sizeOf, tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { FIXTURES, readCheckpoint } from './checkpoint.ts'

type Rows = number[][]
const references = JSON.parse(readFileSync(`${FIXTURES}ref.json`, 'utf8')) as Record<
  string,
  { input_ids: Rows; attention_mask: Rows; base_greedy: Rows }
>
const ids = (rows: Rows): Tensor<'I64'> => tensor('I64', [rows.length, rows[0]!.length], BigInt64Array.from(rows.flat().map(BigInt)))

/** Caches of the first call: of length 0 (transformers.js) or a dummy of length 1 (optimum). */
function emptyCaches(config: T5Config, rows: number, length: number): Record<string, Tensor> {
  const shape = [rows, config.heads, length, config.headWidth]
  const names = Array.from({ length: config.decoderLayers }, (_, block) =>
    ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value'].map((part) => `past_key_values.${block}.${part}`),
  ).flat()
  return Object.fromEntries(names.map((name) => [name, tensor('F32', shape, new Float32Array(sizeOf(shape)).fill(7))]))
}

async function greedy(decoder: Program, config: T5Config, hidden: Tensor, mask: Tensor, steps: number, dummy: number): Promise<Rows> {
  const rows = mask.shape[0]!
  const made = Array.from({ length: rows }, () => [config.startId])
  const caches = { ...emptyCaches(config, rows, dummy) }
  for (let step = 0; step < steps; step++) {
    const { logits, ...presents } = await decoder.run({
      encoder_attention_mask: mask,
      encoder_hidden_states: hidden,
      input_ids: ids(made.map((row) => [row.at(-1)!])),
      use_cache_branch: tensor('BOOL', [1], Uint8Array.of(step === 0 ? 0 : 1)),
      ...caches,
    })
    // as transformers.js: the encoder's side is handed out once, and empty from then on
    const handed = Object.entries(presents).filter(([, value]) => value.shape[2] !== 0)
    expect(handed).toHaveLength((step === 0 ? 4 : 2) * config.decoderLayers)
    for (const [name, value] of handed) caches[name.replace('present', 'past_key_values')] = value
    expect(caches['past_key_values.0.decoder.key']!.shape[2]).toBe(step + 1)
    expect(caches['past_key_values.0.encoder.key']!.shape[2]).toBe(mask.shape[1])
    for (const [row, tokens] of made.entries()) {
      const scores = (logits as Tensor<'F32'>).data.subarray(row * config.vocabSize, (row + 1) * config.vocabSize)
      tokens.push(tokens.includes(config.eosId) ? config.padId : scores.indexOf(Math.max(...scores)))
    }
  }
  return made
}

test.each(['tiny-t5-v10', 'tiny-t5-v11'])('%s: cached greedy decoding yields PyTorch’s tokens', async (model) => {
  const { config, weights } = await readCheckpoint(model)
  const engine = createEngine(ort, { threads: 1, capabilities: { contrib: false } })
  const { input_ids, attention_mask, base_greedy } = references[model]!
  const encoder = await engine.load(buildExportedEncoder(config), weights)
  const decoder = await engine.load(buildMergedDecoder(config), weights)
  const mask = ids(attention_mask)
  const { last_hidden_state: hidden } = await encoder.run({ input_ids: ids(input_ids), attention_mask: mask })
  for (const dummy of [0, 1]) {
    expect(await greedy(decoder, config, hidden!, mask, base_greedy[0]!.length - 1, dummy)).toEqual(base_greedy)
  }
  await encoder.dispose()
  await decoder.dispose()
})

const axes = (value: ValueInfoProto): string =>
  value.type!.tensorType!.shape!.dims.map(({ dimValue }) => (dimValue === undefined ? '?' : String(dimValue))).join()

/** Names, types and fixed axes of a model's inputs and outputs. */
function interfaceOf({ graph }: ModelProto): string[] {
  return [...graph!.inputs, ...graph!.outputs]
    .map((value) => `${value.name} ${value.type!.tensorType!.elemType} [${axes(value)}]`)
    .toSorted()
}

test.each([
  ['encoder_model', buildExportedEncoder],
  ['decoder_model_merged', buildMergedDecoder],
] as const)('%s has the inputs and outputs of optimum’s export', async (name, build) => {
  const { config, weights } = await readCheckpoint('tiny-t5-v11')
  const stock = parseModel(readFileSync(`${FIXTURES}tiny-t5-v11/onnx/${name}.onnx`))
  const ours = emitModel(specialise(build(config), { contrib: false, externalData: false }), weights, () => ({
    location: 'model.safetensors',
    offset: 0,
  }))
  expect(interfaceOf(ours)).toEqual(interfaceOf(stock))
})
