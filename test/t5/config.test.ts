/** `config.json` of the T5 family, as transformers 4 and 5 write it, and what is refused. */
import * as ort from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { scoreLabels } from '../../src/decode/score.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep } from '../../src/t5/step.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { readCheckpoint } from './checkpoint.ts'

const V10 = { model_type: 't5', vocab_size: 32128, d_model: 512, d_kv: 64, d_ff: 2048, num_heads: 8, num_layers: 6 }
const V11 = { ...V10, feed_forward_proj: 'gated-gelu' }

describe('tied embeddings and output scale', () => {
  test.each([
    ['t5-small as on the Hub', V10, { tied: true, scaleOutput: true }],
    ['v1.1 as transformers 4 writes it', { ...V11, tie_word_embeddings: false }, { tied: false, scaleOutput: false }],
    [
      'v1.1 as transformers 5 writes it',
      { ...V11, tie_word_embeddings: true, scale_decoder_outputs: false },
      { tied: false, scaleOutput: false },
    ],
    [
      'v1.1 blocks on tied embeddings',
      { ...V11, tie_word_embeddings: true, scale_decoder_outputs: true },
      { tied: true, scaleOutput: true },
    ],
    ['mT5', { ...V11, model_type: 'mt5' }, { tied: false, scaleOutput: false }],
    ['UMT5', { ...V11, model_type: 'umt5' }, { tied: true, scaleOutput: true, biasInEveryLayer: true }],
  ])('%s', (_, json, expected) => {
    expect(parseT5Config(json)).toMatchObject(expected)
  })
})

test('missing keys have transformers’ defaults', () => {
  expect(parseT5Config(V10)).toMatchObject({
    decoderLayers: 6,
    activation: 'relu',
    gated: false,
    epsilon: 1e-6,
    buckets: 32,
    maxDistance: 128,
  })
  expect(parseT5Config({ ...V10, eos_token_id: [1, 3], pad_token_id: null })).toMatchObject({ eosId: 1, padId: 0, startId: 0 })
})

test.each([
  ['another family', { ...V10, model_type: 'bart' }, 't5-config', /model_type/],
  ['no object', null, 't5-config', /config/],
  ['a fractional width', { ...V10, d_model: 511.5 }, 't5-config', /d_model/],
  ['no layers', { ...V10, num_layers: 0 }, 't5-config', /num_layers/],
  ['an unknown activation', { ...V10, feed_forward_proj: 'gated-swish7' }, 't5-activation', /gated-swish7/],
  ['the exact GELU', { ...V11, dense_act_fn: 'gelu' }, 't5-activation', /dense_act_fn is "gelu"; .*gelu_new/],
  ['a gate that is no flag', { ...V11, is_gated_act: 'yes' }, 't5-config', /is_gated_act/],
])('refuses %s', (_, json, code, message) => {
  expect(() => parseT5Config(json)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
})

test.each([
  ['nothing', {}, { activation: 'gelu', gated: true }, 6.637362003326416],
  ['dense_act_fn', { dense_act_fn: 'relu' }, { activation: 'relu', gated: true }, 6.916783809661865],
  ['dense_act_fn, by its other name', { dense_act_fn: 'swish' }, { activation: 'silu', gated: true }, 6.035430431365967],
])('%s beside feed_forward_proj is obeyed as transformers 5 does, and gives its loss', async (_, over, kind, loss) => {
  const base = await openCheckpoint(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
  const config = parseT5Config(Object.assign({}, base.config, over))
  expect(config).toMatchObject(kind)
  const model = await emittedSeq2Seq(createEngine(ort, { threads: 1 }), config, base.weights)
  const input = {
    inputIds: tensor('I64', [1, 4], BigInt64Array.of(3383n, 10n, 738n, 1n)),
    attentionMask: tensor('I64', [1, 4], BigInt64Array.of(1n, 1n, 1n, 1n)),
  }
  const [scores] = await scoreLabels(model, input, [[10, 1]], config.startId)
  expect(-(scores?.[0] ?? NaN) / 2).toBeCloseTo(loss, 4)
  await model.dispose()
})

test('a gate said outright is obeyed too', () => {
  expect(parseT5Config({ ...V10, is_gated_act: true, dense_act_fn: 'gelu_new' })).toMatchObject({ activation: 'gelu', gated: true })
  expect(parseT5Config({ ...V11, is_gated_act: false })).toMatchObject({ activation: 'gelu', gated: false })
})

const place = (): Uint8Array => new Uint8Array()
const elementary = { contrib: false, externalData: false } as const

test('a checkpoint of another shape, or without a tensor, is named', async () => {
  const { config, weights } = await readCheckpoint('tiny-t5-v10')
  const without = new Map([...weights].filter(([name]) => name !== 'encoder.block.1.layer.0.SelfAttention.k.weight'))
  expect(() => emitModel(specialise(buildStep(config), elementary), without, place)).toThrow(
    expect.objectContaining({ code: 'weight-missing', message: expect.stringContaining('encoder.block.1.layer.0.SelfAttention.k.weight') }),
  )
  expect(() => emitModel(specialise(buildStep({ ...config, vocabSize: 500 }), elementary), weights, place)).toThrow(
    expect.objectContaining({ code: 'weight-shape', message: expect.stringContaining('[512, 64]') }),
  )
})
