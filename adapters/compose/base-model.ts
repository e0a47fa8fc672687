/** The base model in a manifest, and whether a prompt belongs to the base it is about to be used with. */
import { createHash } from 'node:crypto'
import { MismatchError } from '../../src/errors.ts'
import { compareFingerprint, fingerprintOf, type Digest, type ModelFacts } from '../../src/prompt/fingerprint.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { finalNormWeight } from '../../src/t5/names.ts'
import { toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import type { WeightRef } from '../../src/tensor/weights.ts'
import { readRange } from '../disk/ranges.ts'
import { layerFacts } from './layer-facts.ts'
import type { Base } from './open-base.ts'

export const sha256: Digest = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** A stored weight in F32. @throws {FormatError} `weights-truncated` */
async function readWeight({ dtype, source, offsetBytes, sizeBytes }: WeightRef): Promise<Float32Array> {
  const bytes =
    typeof source === 'string' ? await readRange(source, offsetBytes, sizeBytes) : source.slice(offsetBytes, offsetBytes + sizeBytes)
  return toFloat32(dtype as FloatDtype, viewAs(dtype as FloatDtype, bytes))
}

/** What a base's fingerprint is made from. */
export async function modelFacts(base: Base): Promise<ModelFacts> {
  const { config, weights, tokenizer } = base
  const norm = weights.get(finalNormWeight('encoder'))
  return {
    table: base.embeddingTable(),
    encoderLayers: config.encoderLayers,
    decoderLayers: config.decoderLayers,
    pieces: tokenizer.pieces,
    ...(norm ? { finalNorm: await readWeight(norm) } : {}),
    layers: layerFacts(config, weights),
  }
}

/** Id, commit and fingerprint of a base. */
export async function baseModel(base: Base): Promise<BaseModel> {
  const { id, revision } = base
  return { id, ...(revision === undefined ? {} : { revision }), fingerprint: await fingerprintOf(await modelFacts(base), sha256) }
}

/**
 * Checks that a prompt was made for this base: by fingerprint, or by width where the prompt carries none.
 * @throws {MismatchError} `prompt-base`, saying what differs.
 */
export async function checkBase(base: Base, prompt: SoftPrompt, name: string): Promise<void> {
  const { id, fingerprint } = prompt.manifest.base
  const width = widthOf(prompt)
  const reasons = width === base.config.width ? [] : [`the width is ${base.config.width}, expected ${width}`]
  if (fingerprint && reasons.length === 0) {
    const { answer, reasons: found } = await compareFingerprint(fingerprint, await modelFacts(base), sha256)
    if (answer === 'other') reasons.push(...found)
  }
  if (reasons.length === 0) return
  throw new MismatchError('prompt-base', `${name} was made for ${id}, not for ${base.id}: ${reasons.join('; ')}. Use the base it names.`, {
    facts: { prompt: name, expected: id, got: base.id, reasons },
  })
}
