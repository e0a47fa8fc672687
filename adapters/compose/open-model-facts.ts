/** What inspect and verify need of a base model: a checkpoint's folder or Hub id, a folder of ONNX files, or one encoder file (whose decoder is not looked at then). */
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { ConfigError, SoftPromptError } from '../../src/errors.ts'
import { onnxFile, type OnnxPart } from '../../src/onnx/model-files.ts'
import type { ModelFacts } from '../../src/prompt/fingerprint.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { parseStrictJson } from '../../src/tensor/strict-json.ts'
import { openOnnxFacts } from '../checkpoint/onnx-facts.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { modelFacts } from './base-model.ts'
import { listOnnx } from './onnx-files.ts'
import { findBase, openBase, type BaseOptions } from './open-base.ts'

export interface OpenedModel {
  readonly facts: ModelFacts
  readonly tokenizer?: Tokenizer
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  )

/**
 * Opens a model as far as a fingerprint reaches; weights are read in place.
 * @throws {ConfigError} `base-missing` | `checkpoint-missing`; {FormatError} `onnx-*`
 */
export async function openModelFacts(model: string, options: BaseOptions = {}): Promise<OpenedModel> {
  if (model.endsWith('.onnx') && (await isFile(model))) return fromOnnx(model, dirname(model))
  const { dir } = await findBase(model, options)
  try {
    const base = await openBase(model)
    return { facts: await modelFacts(base), tokenizer: base.tokenizer }
  } catch (error) {
    if (!(error instanceof SoftPromptError && error.code === 'checkpoint-missing')) throw error
    const found = await listOnnx(dir)
    // The best that is there: the float one says most.
    const [dtype] = found?.parts.encoder_model ?? []
    if (found && dtype !== undefined) {
      const path = (part: OnnxPart): string => join(dir, found.subfolder, onnxFile(part, dtype))
      const merged = found.parts.decoder_model_merged.includes(dtype)
      return fromOnnx(path('encoder_model'), dir, merged ? path('decoder_model_merged') : undefined)
    }
    throw new ConfigError(
      'checkpoint-missing',
      `${dir} has neither weights (model.safetensors or pytorch_model.bin) nor an ONNX encoder (encoder_model.onnx, in onnx/ or beside config.json).`,
      { cause: error },
    )
  }
}

/** An encoder file, with its decoder, and with the configuration and tokenizer that lie beside it or one folder up. */
async function fromOnnx(encoder: string, dir: string, decoder?: string): Promise<OpenedModel> {
  const facts = await openOnnxFacts(encoder, decoder)
  for (const place of new Set([dir, dirname(dir)])) {
    const text = await readFile(join(place, 'config.json'), 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const { encoderLayers, decoderLayers } = parseT5Config(parseStrictJson(text, join(place, 'config.json')))
    const tokenizer = await openTokenizer(place).catch(() => undefined)
    const pieces = tokenizer ? { pieces: tokenizer.pieces } : {}
    return { facts: { ...facts, encoderLayers, decoderLayers, ...pieces }, ...(tokenizer ? { tokenizer } : {}) }
  }
  return { facts }
}
