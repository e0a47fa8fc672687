/** The tokenizer of a model folder, from its `tokenizer.json` or `spiece.model`. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { FormatError, UnsupportedError, type SoftPromptError } from '../../src/errors.ts'
import { makeTokenizer } from './make.ts'

export { makeTokenizer }

/** A parsed file; undefined where there is none. @throws {FormatError} `tokenizer-json` for a damaged one */
async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
  } catch (cause) {
    throw new FormatError('tokenizer-json', `${path} is not JSON: ${(cause as Error).message}. Fetch the file again.`, { cause })
  }
  throw new FormatError('tokenizer-json', `${path} holds no object. Fetch the file again.`)
}

interface TokenizerJson {
  /** `tokenizer.json`, as it lies there or made of `spiece.model` */
  readonly json: Record<string, unknown>
  /** `tokenizer_config.json` */
  readonly config: Record<string, unknown>
  /** The file that it was read from. */
  readonly path: string
}

/**
 * Reads what a tokenizer is made of.
 * @throws {FormatError} `tokenizer-missing` | `tokenizer-json` | `spiece-format`
 * @throws {UnsupportedError} `tokenizer-bytes` | `tokenizer-kind` | `spiece-type`
 */
export async function readTokenizerJson(dir: string): Promise<TokenizerJson> {
  const read = (name: string): ReturnType<typeof readJson> => readJson(join(dir, name))
  const path = join(dir, 'tokenizer.json')
  const [config = {}, json] = await Promise.all([read('tokenizer_config.json'), readJson(path)])
  if (json) return { json, config, path }
  const spiece = join(dir, 'spiece.model')
  const bytes = await readFile(spiece).catch(async (cause: unknown) => {
    throw await missing(dir, config, cause)
  })
  const [{ convertSentencePiece }, addedTokens = {}, specialTokens = {}] = await Promise.all([
    import('./sentencepiece.ts'),
    read('added_tokens.json'),
    read('special_tokens_map.json'),
  ])
  return { json: convertSentencePiece(bytes, spiece, { config, addedTokens, specialTokens }), config, path: spiece }
}

/** Says what a folder has in the place of a tokenizer that is read here. */
async function missing(dir: string, config: Record<string, unknown>, cause: unknown): Promise<SoftPromptError> {
  const kind = config['tokenizer_class']
  if (typeof kind === 'string' && kind.startsWith('ByT5')) {
    return new UnsupportedError(
      'tokenizer-bytes',
      `${dir} is a ByT5 (its tokenizer_class is ${kind}): it works on bytes and has no vocabulary, which is not supported. Take a T5 or mT5 instead.`,
      { cause },
    )
  }
  const names = new Set(await readdir(dir).catch(() => []))
  if ((names.has('vocab.json') && names.has('merges.txt')) || (typeof kind === 'string' && kind.startsWith('Roberta'))) {
    return new UnsupportedError(
      'tokenizer-kind',
      `${dir} has its tokenizer as vocab.json and merges.txt (BPE, as CodeT5), which are not read. In Python, AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes the tokenizer.json that is.`,
      { cause },
    )
  }
  return new FormatError(
    'tokenizer-missing',
    `No tokenizer in ${dir}: expected tokenizer.json or spiece.model there. Download it with the model.`,
    {
      cause,
    },
  )
}

/**
 * Opens the tokenizer of a model folder.
 * @throws {FormatError} `tokenizer-missing` | `tokenizer-json` | `tokenizer-special` | `tokenizer-charsmap` | `spiece-format`
 * @throws {UnsupportedError} `tokenizer-bytes` | `tokenizer-kind` | `spiece-type`
 */
export async function openTokenizer(dir: string): Promise<Tokenizer> {
  const { json, config, path } = await readTokenizerJson(dir)
  return makeTokenizer(json, config, path)
}
