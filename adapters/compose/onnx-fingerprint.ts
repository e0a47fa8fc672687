/** The fingerprints of prompts against an encoder file, wherever its bytes lie: Node or browser. */
import { MismatchError } from '../../src/errors.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { compareFingerprint, type Digest } from '../../src/prompt/fingerprint.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'

/** The location of the encoder file's own bytes. */
export const OWN = '.own-bytes'

/** What a config.json says of layers. */
export interface LayerCounts {
  readonly num_layers?: number
  readonly num_decoder_layers?: number
}

export interface EncoderFile {
  /** For messages. */
  readonly name: string
  readonly sizeBytes: number
  /** Bytes of the file itself (`OWN`) or of a file beside it. */
  read(location: string, offset: number, length: number): Uint8Array
  readonly config: LayerCounts
  /** The tokenizer's pieces by id. */
  pieces(): Promise<readonly string[]>
  readonly digest: Digest
}

/**
 * Compares every prompt that carries a fingerprint with the encoder.
 * @returns warnings: a rounded or quantised base with its drift
 * @throws {MismatchError} `prompt-base` for a prompt of another base, saying what differs
 */
export async function checkEncoder(encoder: EncoderFile, prompts: Readonly<Record<string, SoftPrompt>>): Promise<string[]> {
  const carrying = Object.entries(prompts).filter(([, { manifest }]) => manifest.base.fingerprint !== undefined)
  if (carrying.length === 0) return []
  const { sizeBytes, read, config, digest } = encoder
  const skeleton = await readSkeleton({ sizeBytes, read: (offset, length) => read(OWN, offset, length) }, OWN)
  const finalNorm = onnxFinalNorm(skeleton, read)
  const facts = {
    table: onnxEmbeddingTable(skeleton, read),
    pieces: await encoder.pieces(),
    ...(config.num_layers === undefined ? {} : { encoderLayers: config.num_layers }),
    ...(config.num_decoder_layers === undefined ? {} : { decoderLayers: config.num_decoder_layers }),
    ...(finalNorm ? { finalNorm } : {}),
  }
  const warnings: string[] = []
  for (const [name, { manifest }] of carrying) {
    const { id, fingerprint } = manifest.base
    if (fingerprint === undefined) continue
    const { answer, drift, reasons } = await compareFingerprint(fingerprint, facts, digest)
    if (answer === 'other') {
      throw new MismatchError(
        'prompt-base',
        `${name} was made for ${id}, not for the model in ${encoder.name}: ${reasons.join('; ')}. Use the base it names.`,
        {
          facts: { prompt: name, expected: id, got: encoder.name, reasons },
        },
      )
    }
    if (answer === 'quantised') {
      warnings.push(
        `${name} was made for ${id} in full precision; this encoder is rounded or quantised (embedding drift ${(100 * drift).toPrecision(2)} %): expect slightly other answers.`,
      )
    }
  }
  return warnings
}
