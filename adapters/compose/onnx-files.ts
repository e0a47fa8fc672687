/** The ONNX files in a model's folder: in `onnx/`, as on the Hub, or beside config.json, as optimum-cli writes them. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import {
  chooseParts,
  describeParts,
  DTYPE_SUFFIX,
  onnxPartsOf,
  wholeDtypes,
  type OnnxChoice,
  type OnnxParts,
} from '../../src/onnx/model-files.ts'

export interface OnnxFiles {
  /** The model's folder, and where in it the files lie: `onnx`, or `` for beside config.json. */
  readonly dir: string
  readonly subfolder: 'onnx' | ''
  readonly parts: OnnxParts
}

/** What of an exported model lies in a folder; undefined where no encoder does. */
export async function listOnnx(dir: string): Promise<OnnxFiles | undefined> {
  for (const subfolder of ['onnx', ''] as const) {
    const parts = onnxPartsOf(await readdir(join(dir, subfolder)).catch(() => []))
    if (parts.encoder_model.length > 0) return { dir, subfolder, parts }
  }
  return undefined
}

const AGAIN = 'Export again: optimum-cli export onnx --task text2text-generation-with-past, or soft-prompts export MODEL DIR'

/**
 * Which files answer here.
 * @throws {ConfigError} `base-dtype` where the dtype is not there, listing what is; `base-no-decoder`
 */
export function chooseOnnx({ dir, subfolder, parts }: OnnxFiles, dtype?: string): OnnxChoice {
  const where = join(dir, subfolder)
  if (dtype !== undefined && !Object.hasOwn(DTYPE_SUFFIX, dtype)) {
    throw new ConfigError('base-dtype', `There is no dtype "${dtype}". Known: ${Object.keys(DTYPE_SUFFIX).join(', ')}.`, {
      facts: { dtype },
    })
  }
  const chosen = chooseParts(parts, dtype)
  if (chosen !== undefined) return chosen
  if (parts.decoder_model_merged.length === 0 && parts.decoder_model.length === 0) {
    throw new ConfigError(
      'base-no-decoder',
      `${where} has an encoder but no decoder_model_merged.onnx or decoder_model.onnx; there is ${describeParts(parts)}. ${AGAIN}.`,
      {
        facts: { dir: where },
      },
    )
  }
  const whole = wholeDtypes(parts, ['decoder_model_merged', 'decoder_model'])
  throw new ConfigError(
    'base-dtype',
    `${where} has no ONNX files of dtype ${dtype}. There is ${describeParts(parts)}${whole.length > 0 ? `: give --dtype ${whole[0]} (in code: dtype), or none for the best that is there` : ''}.`,
    { facts: { dir: where, dtype, there: whole } },
  )
}

/**
 * Checks that transformers.js finds what it loads: an encoder and a merged decoder.
 * @param variants endings of the encoder's and the decoder's file names
 * @throws {ConfigError} `base-dtype` naming the dtypes that are there; `base-no-merged` where the decoder is not merged
 */
export function checkStock({ dir, subfolder, parts }: OnnxFiles, variants: readonly string[]): void {
  const where = join(dir, subfolder)
  const [encoder = '', decoder = encoder] = variants
  if (parts.decoder_model_merged.length === 0) {
    throw new ConfigError(
      'base-no-merged',
      `${where} has no decoder_model_merged.onnx, the one decoder file that transformers.js generates with; there is ${describeParts(parts)}. ${AGAIN}.`,
      { facts: { dir: where } },
    )
  }
  const named = (part: 'encoder_model' | 'decoder_model_merged', ending: string): boolean =>
    parts[part].some((dtype) => DTYPE_SUFFIX[dtype] === ending)
  if (named('encoder_model', encoder) && named('decoder_model_merged', decoder)) return
  const missing = [`encoder_model${encoder}.onnx`, `decoder_model_merged${decoder}.onnx`].filter(
    (_, index) => !named(index === 0 ? 'encoder_model' : 'decoder_model_merged', index === 0 ? encoder : decoder),
  )
  throw new ConfigError(
    'base-dtype',
    `${where} has no ${missing.join(' and no ')}; there is ${describeParts(parts)}. ${howToLoad(parts)}`,
    {
      facts: { dir: where, missing, there: wholeDtypes(parts) },
    },
  )
}

/** The option that loads what is there. */
export function howToLoad(parts: OnnxParts): string {
  const [whole] = wholeDtypes(parts)
  if (whole !== undefined)
    return `Give { dtype: '${whole}' }${whole === 'fp32' ? '' : ', or make float files: soft-prompts export MODEL DIR'}.`
  const [encoder] = parts.encoder_model
  const [decoder] = parts.decoder_model_merged
  if (encoder === undefined || decoder === undefined) return `${AGAIN}.`
  return `Give { dtype: { encoder_model: '${encoder}', decoder_model_merged: '${decoder}' } }.`
}

/** `encoder_model_quantized.onnx, decoder_model_merged_quantized.onnx`, from the model's folder. */
export const pathsOf = (
  { dir, subfolder }: OnnxFiles,
  { encoder, decoder }: OnnxChoice,
): { readonly encoder: string; readonly decoder: string } => ({
  encoder: join(dir, subfolder, encoder),
  decoder: join(dir, subfolder, decoder),
})
