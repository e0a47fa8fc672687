/** `config.json` of the T5 family, as transformers 4 and 5 write it, and what is refused. */
import { describe, expect, test } from 'vitest'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep } from '../../src/t5/step.ts'
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
])('refuses %s', (_, json, code, message) => {
  expect(() => parseT5Config(json)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
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
