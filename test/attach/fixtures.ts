/** The tiny T5s of test/fixtures/onnx: PyTorch's values, PEFT prompts, stock transformers.js pipelines. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { pipeline, Tensor, type Text2TextGenerationPipeline } from '@huggingface/transformers'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

process.env['ORT_DISABLE_TELEMETRY'] = '1'

export const MODELS = ['tiny-t5-v10', 'tiny-t5-v11'] as const
export type ModelName = (typeof MODELS)[number]
export const PROMPTS = ['a', 'b', 'c'] as const
export type PromptName = (typeof PROMPTS)[number]

export interface Reference {
  readonly texts: readonly string[]
  readonly input_ids: readonly number[][]
  readonly attention_mask: readonly number[][]
  readonly base_greedy: readonly number[][]
  /** Three beams. */
  readonly base_beam: readonly number[][]
  readonly base_hidden: readonly number[][][]
  readonly adapters: Readonly<
    Record<PromptName, { readonly P: number; readonly prompt: number[][]; readonly greedy: number[][]; readonly hidden: number[][][] }>
  >
}

const root = new URL('../fixtures/onnx/', import.meta.url)
export const folderOf = (model: ModelName): string => fileURLToPath(new URL(model, root))
export const encoderOf = (model: ModelName, dtype: 'fp32' | 'q8' = 'fp32'): string =>
  fileURLToPath(new URL(`${model}/onnx/encoder_model${dtype === 'q8' ? '_quantized' : ''}.onnx`, root))

const all = JSON.parse(readFileSync(new URL('ref.json', root), 'utf8')) as Record<ModelName, Reference>
export const reference = (model: ModelName): Reference => all[model]

/** The prompt whose rows PyTorch used. */
export function promptOf(model: ModelName, name: PromptName): SoftPrompt {
  const rows = all[model].adapters[name].prompt
  return softPrompt(tensor('F32', [rows.length, rows[0]?.length ?? 0], new Float32Array(rows.flat())), { base: { id: model } })
}

export const promptsOf = (model: ModelName): Record<PromptName, SoftPrompt> => ({
  a: promptOf(model, 'a'),
  b: promptOf(model, 'b'),
  c: promptOf(model, 'c'),
})

/** A stock pipeline from the local folder, with the network out of reach. */
export const stockPipeline = (model: ModelName, dtype: 'fp32' | 'q8' = 'fp32'): Promise<Text2TextGenerationPipeline> =>
  pipeline('text2text-generation', folderOf(model), { dtype, local_files_only: true }) as Promise<Text2TextGenerationPipeline>

/** Rows of ids or bits as the tensor that transformers.js takes. */
export const int64 = (rows: readonly (readonly number[])[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0])
