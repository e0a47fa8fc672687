/** Whether prompts belong to an ONNX base: their fingerprints against its encoder file and tokenizer, read in ranges. */
import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { sha256 } from './base-model.ts'
import { checkEncoder, OWN, type LayerCounts } from './onnx-fingerprint.ts'

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
  const open = new Map<string, number>()
  const read = (location: string, offset: number, length: number): Uint8Array => {
    const path = realpathSync(location === OWN ? encoder : join(dirname(encoder), location))
    const file = open.get(path) ?? openSync(path, 'r')
    open.set(path, file)
    const bytes = new Uint8Array(length)
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
  }
  try {
    const pieces = async (): Promise<readonly string[]> => (await (await import('../tokenizer/tokenizer.ts')).openTokenizer(dir)).pieces
    return await checkEncoder({ name: dir, sizeBytes: statSync(encoder).size, read, config, pieces, digest: sha256 }, prompts)
  } finally {
    for (const file of open.values()) closeSync(file)
  }
}
