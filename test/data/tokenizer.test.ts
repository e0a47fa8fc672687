/** The tokenizer against Hugging Face's Python ids (ref.json, made with PyTorch). */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeExact } from '../../adapters/tokenizer/exact.ts'
import { makeTokenizer, openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { standsByWord } from '../../adapters/tokenizer/words.ts'

const fixtures = new URL('../fixtures/onnx/', import.meta.url).pathname
const ref = JSON.parse(readFileSync(join(fixtures, 'ref.json'), 'utf8')) as Record<
  string,
  { texts: string[]; input_ids: number[][]; attention_mask: number[][] }
>

describe('openTokenizer', () => {
  it.each(Object.keys(ref))('%s: ids equal', async (name) => {
    const { texts, input_ids: ids, attention_mask: mask } = ref[name] as (typeof ref)[string]
    const tokenizer = await openTokenizer(join(fixtures, name))
    const want = ids.map((row, index) => row.filter((_, column) => mask[index]?.[column] === 1))
    expect(texts.map((text) => tokenizer.encode(text))).toEqual(want)
    expect([tokenizer.padId, tokenizer.eosId]).toEqual([0, 1])
    expect(tokenizer.pieces[tokenizer.eosId]).toBe('</s>')
    expect(tokenizer.pieces.every((piece) => piece.length > 0)).toBe(true)
    expect(tokenizer.decode(tokenizer.encode('bad plot'))).toBe('bad plot')
  })

  it('the shipped base: ids of the labels, all pieces, text and back', async () => {
    const tokenizer = await openTokenizer(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
    expect([tokenizer.encode('positive'), tokenizer.encode('negative')]).toEqual([
      [1961, 1],
      [3187, 1],
    ])
    expect(tokenizer.pieces).toHaveLength(8100)
    expect(tokenizer.pieces[8099]).toBe('<extra_id_0>')
    expect(tokenizer.encode('')).toEqual([1])
    expect(tokenizer.decode(tokenizer.encode('a stirring , funny film'))).toBe('a stirring , funny film')
  })

  it.each([
    ['the shipped base', '../../models/t5-tiny-en/'],
    ['a Metaspace alone', '../fixtures/onnx/tiny-t5-v10/'],
  ])('%s: tokenizing words once each changes no id, whatever the text', (_, folder) => {
    const json = JSON.parse(readFileSync(new URL(`${folder}tokenizer.json`, import.meta.url), 'utf8')) as Record<string, unknown>
    expect(standsByWord(json)).toBe(true)
    const fast = makeTokenizer(json, {})
    const slow = new HubTokenizer(json, {})
    expect(makeExact(slow, json)).toBeDefined()
    const word = fc.oneof(
      fc.constantFrom('film', "don't", '<extra_id_0>', '</s>', '▁', 'ﬁne', '\u0301', '\u00a0', '\t', ''),
      fc.string({ unit: 'binary' }),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const text = words.join(' ')
        const want = slow.encode(text).ids
        expect(fast.encode(text)).toEqual(want.at(-1) === 1 ? want : [...want, 1])
      }),
      { numRuns: 1500, seed: 1 },
    )
  })

  it('says what is missing', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-tokenizer-'))
    await expect(openTokenizer(dir)).rejects.toEqual(expect.objectContaining({ code: 'tokenizer-missing' }))
    await writeFile(join(dir, 'tokenizer.json'), '{')
    await expect(openTokenizer(dir)).rejects.toEqual(expect.objectContaining({ code: 'tokenizer-json' }))
    await rm(dir, { recursive: true })
  })
})
