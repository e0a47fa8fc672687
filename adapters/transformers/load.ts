/** Loads a stock transformers.js pipeline from a local folder, and finds the encoder file that it chose. */
import type { PreTrainedModel, Text2TextGenerationPipeline } from '@huggingface/transformers'
import { ConfigError } from '../../src/errors.ts'
import { partsOf } from './attach.ts'

export interface LoadOptions {
  /** As in transformers.js: `fp32`, `q8`, … or one for each file. */
  readonly dtype?: string | Readonly<Record<string, string>>
  readonly device?: string
  readonly session_options?: Readonly<Record<string, unknown>>
}

/** File suffixes of transformers.js by dtype (utils/dtypes.js). */
const SUFFIX: Readonly<Record<string, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
  q1: '_q1',
  q1f16: '_q1f16',
  bnb4: '_bnb4',
}

/**
 * Loads the text-to-text pipeline of a folder in the Hub's layout, with no network.
 * @throws {ConfigError} `peer-missing` when transformers.js is not installed
 */
export async function loadStock(dir: string, options: LoadOptions = {}): Promise<Text2TextGenerationPipeline> {
  const { pipeline } = await import('@huggingface/transformers').catch((cause: unknown) => {
    throw new ConfigError('peer-missing', 'loadPrompted runs on transformers.js: npm install @huggingface/transformers@4', { cause })
  })
  return (await pipeline('text2text-generation', dir, {
    ...options,
    local_files_only: true,
  } as never)) as unknown as Text2TextGenerationPipeline
}

/** The encoder's file name in `onnx/`, by the dtype that transformers.js selected. */
export function encoderFile(model: PreTrainedModel): string {
  const session = partsOf(model).sessions['model'] as { config?: { dtype?: string } }
  return `encoder_model${SUFFIX[session.config?.dtype ?? 'fp32'] ?? ''}.onnx`
}

/** Endings of the encoder's and the merged decoder's file names for a dtype option. */
export function variantsOf(dtype: LoadOptions['dtype']): readonly string[] {
  const of = (file: string): string => SUFFIX[(typeof dtype === 'string' ? dtype : dtype?.[file]) ?? 'fp32'] ?? ''
  return [of('encoder_model'), of('decoder_model_merged')]
}
