/** Folders with spiece.model and no tokenizer.json against transformers' T5Tokenizer (test/golden/make_spiece.py): tokens from the files beside it and from the model. */
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'

interface Case {
  readonly name: string
  readonly model: string
  readonly files: Readonly<Record<string, unknown>>
  readonly ids: readonly (readonly number[])[]
  readonly decoded: readonly string[]
}

const golden = JSON.parse(readFileSync(new URL('../golden/spiece.json', import.meta.url), 'utf8')) as { texts: string[]; cases: Case[] }
const models = new URL('../fixtures/tokenizer/', import.meta.url).pathname

async function inFolder<T>(
  files: Readonly<Record<string, unknown>>,
  model: string | undefined,
  act: (dir: string) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-spiece-'))
  try {
    if (model !== undefined) await cp(join(models, model), join(dir, 'spiece.model'))
    for (const [name, value] of Object.entries(files))
      await writeFile(join(dir, name), typeof value === 'string' ? value : JSON.stringify(value))
    return await act(dir)
  } finally {
    await rm(dir, { recursive: true })
  }
}

describe('ids are those of T5Tokenizer with', () => {
  it.each(golden.cases.map((each) => [each.name, each] as const))('%s', async (_, { model, files, ids, decoded }) => {
    const tokenizer = await inFolder(files, model, openTokenizer)
    expect(golden.texts.map((text) => ({ text, ids: tokenizer.encode(text) }))).toEqual(
      golden.texts.map((text, index) => ({ text, ids: ids[index] })),
    )
    // A token that is looked for in folded text is written there as it was folded, here as it was given.
    expect(ids.map((row) => tokenizer.decode(row).toLowerCase())).toEqual(decoded.map((text) => text.toLowerCase()))
  })
})

describe('a folder without a tokenizer that is read here says what it has', () => {
  it.each([
    ['ByT5', { 'tokenizer_config.json': { tokenizer_class: 'ByT5Tokenizer' } }, 'tokenizer-bytes', /works on bytes.*not supported/],
    [
      'CodeT5',
      { 'vocab.json': {}, 'merges.txt': '', 'tokenizer_config.json': { tokenizer_class: 'RobertaTokenizer' } },
      'tokenizer-kind',
      /save_pretrained/,
    ],
    [
      'CodeT5 as fetched from the Hub',
      { 'tokenizer_config.json': { tokenizer_class: 'RobertaTokenizer' } },
      'tokenizer-kind',
      /merges\.txt/,
    ],
    ['nothing', {}, 'tokenizer-missing', /Download it with the model/],
    ['a damaged configuration', { 'tokenizer_config.json': '{"a"' }, 'tokenizer-json', /tokenizer_config\.json is not JSON/],
  ])('%s', async (_, files, code, message) => {
    await expect(inFolder(files, undefined, openTokenizer)).rejects.toEqual(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})
