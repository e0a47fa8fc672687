/** The tokenizer of a model folder, from its `tokenizer.json` or `spiece.model`. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { FormatError, SoftPromptError } from '../../src/errors.ts'
import { makeTokenizer } from './make.ts'

export { makeTokenizer }

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch (cause) {
    throw new FormatError('tokenizer-json', `${path} is not JSON: ${(cause as Error).message}. Fetch the file again.`, { cause })
  }
}

/**
 * Opens the tokenizer of a model folder.
 * @throws {FormatError} `tokenizer-missing` | `tokenizer-json` | `tokenizer-special` | `spiece-format`
 */
export async function openTokenizer(dir: string): Promise<Tokenizer> {
  const config = await readJson(join(dir, 'tokenizer_config.json')).catch(() => ({}) as Record<string, unknown>)
  const path = join(dir, 'tokenizer.json')
  const json = await readJson(path).catch((cause: unknown) => {
    if (cause instanceof SoftPromptError) throw cause
  })
  if (json) return makeTokenizer(json, config, path)
  const spiece = join(dir, 'spiece.model')
  const bytes = await readFile(spiece).catch((cause: unknown) => {
    throw new FormatError(
      'tokenizer-missing',
      `No tokenizer in ${dir}: expected tokenizer.json or spiece.model there. Download it with the model.`,
      { cause },
    )
  })
  const { convertSentencePiece } = await import('./sentencepiece.ts')
  const extraIds = config['extra_ids']
  return makeTokenizer(convertSentencePiece(bytes, spiece, typeof extraIds === 'number' ? extraIds : undefined), config, spiece)
}
