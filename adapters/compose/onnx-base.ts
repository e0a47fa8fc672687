/** Whether prompts belong to an ONNX base: their fingerprints against its encoder file and tokenizer, read in ranges. */
import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MismatchError } from '../../src/errors.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { compareFingerprint } from '../../src/prompt/fingerprint.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { sha256 } from './base-model.ts'

const OWN = '.own-bytes'

/** What a config.json says of layers. */
export interface LayerCounts {
  readonly num_layers?: number
  readonly num_decoder_layers?: number
}

/**
 * Compares every prompt that carries a fingerprint with the base in `dir`.
 * @returns warnings: a rounded or quantised base with its drift
 * @throws {MismatchError} `prompt-base` for a prompt of another base, saying what differs
 */
export async function checkOnnxBase(
  dir: string,
  encoder: string,
  config: LayerCounts,
  prompts: Readonly<Record<string, SoftPrompt>>,
): Promise<string[]> {
  const carrying = Object.entries(prompts).filter(([, { manifest }]) => manifest.base.fingerprint !== undefined)
  if (carrying.length === 0) return []
  const open = new Map<string, number>()
  const read = (location: string, offset: number, length: number): Uint8Array => {
    const path = realpathSync(location === OWN ? encoder : join(dirname(encoder), location))
    const file = open.get(path) ?? openSync(path, 'r')
    open.set(path, file)
    const bytes = new Uint8Array(length)
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
  }
  try {
    const skeleton = await readSkeleton({ sizeBytes: statSync(encoder).size, read: (offset, length) => read(OWN, offset, length) }, OWN)
    const finalNorm = onnxFinalNorm(skeleton, read)
    const facts = {
      table: onnxEmbeddingTable(skeleton, read),
      pieces: (await openTokenizer(dir)).pieces,
      ...(config.num_layers === undefined ? {} : { encoderLayers: config.num_layers }),
      ...(config.num_decoder_layers === undefined ? {} : { decoderLayers: config.num_decoder_layers }),
      ...(finalNorm ? { finalNorm } : {}),
    }
    const warnings: string[] = []
    for (const [name, { manifest }] of carrying) {
      const { id, fingerprint } = manifest.base
      if (fingerprint === undefined) continue
      const { answer, drift, reasons } = await compareFingerprint(fingerprint, facts, sha256)
      if (answer === 'other') {
        throw new MismatchError(
          'prompt-base',
          `${name} was made for ${id}, not for the model in ${dir}: ${reasons.join('; ')}. Use the base it names.`,
          {
            facts: { prompt: name, expected: id, got: dir, reasons },
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
  } finally {
    for (const file of open.values()) closeSync(file)
  }
}
