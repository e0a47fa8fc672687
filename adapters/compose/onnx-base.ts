/** Whether prompts belong to an ONNX base: their fingerprints against its encoder file, decoder file and tokenizer, read in ranges. */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { fileBeside } from '../checkpoint/onnx-facts.ts'
import { sha256 } from './base-model.ts'
import { checkEncoder, OWN, type LayerConfig, type OnnxFile } from './onnx-fingerprint.ts'

/**
 * Compares every prompt that carries a fingerprint with the base in `dir`.
 * @returns warnings: a rounded or quantised base with its drift
 * @throws {MismatchError} `prompt-base` for a prompt of another base, saying what differs
 * @throws {FormatError} `onnx-external-data` | `onnx-external-missing`
 */
export async function checkOnnxBase(
  dir: string,
  encoder: string,
  decoder: string,
  config: LayerConfig,
  prompts: Readonly<Record<string, SoftPrompt>>,
): Promise<string[]> {
  const open = new Map<string, number>()
  const onnxFile = (own: string): OnnxFile => ({
    sizeBytes: statSync(own).size,
    read: (location, offset, length) => {
      const path = location === OWN ? own : fileBeside(dirname(own), location)
      const file = open.get(path) ?? openSync(path, 'r')
      open.set(path, file)
      const bytes = new Uint8Array(length)
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
    },
  })
  try {
    const pieces = async (): Promise<readonly string[]> => (await (await import('../tokenizer/tokenizer.ts')).openTokenizer(dir)).pieces
    return await checkEncoder(
      {
        ...onnxFile(encoder),
        name: dir,
        decoder: async () => (existsSync(decoder) ? onnxFile(decoder) : undefined),
        config,
        pieces,
        digest: sha256,
      },
      prompts,
    )
  } finally {
    for (const file of open.values()) closeSync(file)
  }
}
