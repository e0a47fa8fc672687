/** spiece.model against the tokenizer.json that Python made of the same model, and damaged files. */
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { convertSentencePiece } from '../../adapters/tokenizer/sentencepiece.ts'
import { makeTokenizer, openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { SoftPromptError } from '../../src/errors.ts'

const fixture = new URL('../fixtures/onnx/tiny-t5-v10/', import.meta.url).pathname
const bytes = readFileSync(`${fixture}spiece.model`)
const json = JSON.parse(readFileSync(`${fixture}tokenizer.json`, 'utf8')) as Record<string, unknown>
const TEXTS = [
  'Hello world, good movie.',
  '  two  spaces\tand a tab \n',
  'Ünïcödé ﬁne ½ № ｆｕｌｌ 電影 🙂 e\u0301',
  '<extra_id_0> and </s> inside <pad>',
  '',
  ' ',
  '▁ already there',
  'don\u2019t \u201cquote\u201d \u00a0nbsp\u200bzero',
]

const attempt = (cut: number): unknown => {
  try {
    return convertSentencePiece(bytes.subarray(0, cut), 'spiece.model')
  } catch (error) {
    return error
  }
}

describe('convertSentencePiece', () => {
  it('has the vocabulary, scores and character map of tokenizer.json', () => {
    const made = convertSentencePiece(bytes, 'spiece.model') as { model: unknown; normalizer: { precompiled_charsmap: string } }
    expect(made.model).toEqual(json['model'])
    // Not by toBe: the map is 300 kB of base64.
    expect(JSON.stringify(json['normalizer']).includes(made.normalizer.precompiled_charsmap)).toBe(true)
  })

  it('gives the same ids and texts', () => {
    const made = makeTokenizer(convertSentencePiece(bytes, 'spiece.model'), {})
    const want = makeTokenizer(json, {})
    for (const text of TEXTS) {
      expect(made.encode(text)).toEqual(want.encode(text))
      expect(made.decode(made.encode(text))).toBe(want.decode(want.encode(text)))
    }
    expect(made.pieces).toEqual(want.pieces)
  })

  it('is used where there is no tokenizer.json', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-spiece-'))
    await cp(`${fixture}spiece.model`, join(dir, 'spiece.model'))
    expect((await openTokenizer(dir)).encode('bad plot')).toEqual([23, 71, 1])
    await rm(dir, { recursive: true })
  })

  it('refuses damaged files by code, never otherwise', () => {
    const cuts = Array.from({ length: 57 }, (_, index) => attempt(1 + 7 * index))
    expect(cuts.filter((made) => made instanceof Error && !(made instanceof SoftPromptError))).toEqual([])
    expect(cuts.filter((made) => made instanceof SoftPromptError).length).toBeGreaterThan(40)
    expect(() => convertSentencePiece(new Uint8Array(), 'spiece.model')).toThrow(expect.objectContaining({ code: 'spiece-format' }))
  })
})
