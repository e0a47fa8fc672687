/** Which files of an exported model are there, and which are taken. */
import { describe, expect, it } from 'vitest'
import { chooseParts, describeParts, onnxPartsOf, wholeDtypes } from '../../src/onnx/model-files.ts'

const both = (ending: string): string[] => [`encoder_model${ending}.onnx`, `decoder_model_merged${ending}.onnx`]
const choose = (names: readonly string[], dtype?: string): string[] | undefined => {
  const chosen = chooseParts(onnxPartsOf(names), dtype)
  return chosen && [chosen.encoder, chosen.decoder]
}

describe('the files of an exported model', () => {
  it('are told by dtype, best first, whatever else lies there', () => {
    const parts = onnxPartsOf(['config.json', ...both('_quantized'), ...both(''), 'decoder_with_past_model.onnx', 'encoder_dynamo.onnx'])
    expect(parts).toEqual({ encoder_model: ['fp32', 'q8'], decoder_model_merged: ['fp32', 'q8'], decoder_model: [] })
    expect(describeParts(parts)).toBe(
      'fp32 (encoder_model.onnx, decoder_model_merged.onnx), q8 (encoder_model_quantized.onnx, decoder_model_merged_quantized.onnx)',
    )
    expect(wholeDtypes(parts)).toEqual(['fp32', 'q8'])
  })

  it('are taken of the dtype asked for, or of the best one that is whole', () => {
    expect(choose([...both('_quantized'), ...both('_fp16')])).toEqual(both('_fp16'))
    expect(choose([...both('_quantized'), ...both('_fp16')], 'q8')).toEqual(both('_quantized'))
    expect(choose(['encoder_model.onnx', ...both('_quantized')])).toEqual(both('_quantized'))
    expect(choose(both('_quantized'), 'fp32')).toBeUndefined()
  })

  it('may have a decoder without cache, or one of another dtype; not one that needs its cache', () => {
    expect(choose(['encoder_model.onnx', 'decoder_model.onnx'])).toEqual(['encoder_model.onnx', 'decoder_model.onnx'])
    expect(choose([...both(''), 'decoder_model.onnx'])).toEqual(both(''))
    expect(choose(['encoder_model_fp16.onnx', 'decoder_model_merged_quantized.onnx'])).toEqual([
      'encoder_model_fp16.onnx',
      'decoder_model_merged_quantized.onnx',
    ])
    expect(choose(['encoder_model.onnx', 'decoder_with_past_model.onnx'])).toBeUndefined()
  })
})
