/** Ids of hard texts against Python's tokenizers (test/golden/make_tokenizers.py): by our tokenizer and by that of a transformers.js pipeline. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { PreTrainedTokenizer } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import { mendStockTokenizer } from '../../adapters/tokenizer/stock.ts'
import { makeTokenizer } from '../../adapters/tokenizer/tokenizer.ts'

type Json = Record<string, unknown>
interface Case {
  readonly name: string
  readonly base: string
  readonly change: {
    readonly added?: Json[]
    readonly charsmap?: string
    readonly bytes?: boolean
    readonly pre_tokenizer?: Json
    readonly normalizer?: null
  }
  readonly texts?: readonly string[]
  readonly ids: readonly (readonly number[])[]
}

const root = new URL('../../', import.meta.url)
const golden = JSON.parse(readFileSync(new URL('test/golden/tokenizers.json', root), 'utf8')) as {
  texts: string[]
  decoding: { config: Json; ids: number[]; text: string }[]
  cases: Case[]
}

/** As `changed` in the script. */
function changedJson({ base, change }: Case): Json {
  const json = JSON.parse(readFileSync(new URL(base, root), 'utf8')) as Json & { added_tokens: Json[]; model: { vocab: unknown[] } & Json }
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  for (const [index, token] of (change.added ?? []).entries())
    json.added_tokens.push({ id: json.model.vocab.length + index, ...flags, ...token })
  for (const key of ['pre_tokenizer', 'normalizer'] as const) if (key in change) json[key] = change[key]
  if (change.charsmap !== undefined) {
    const map = gunzipSync(readFileSync(new URL(`test/fixtures/tokenizer/${change.charsmap}`, root)))
    json['normalizer'] = { type: 'Precompiled', precompiled_charsmap: map.toString('base64') }
  }
  if (change.bytes === true) {
    json.model['byte_fallback'] = true
    for (let byte = 0; byte < 256; byte++) json.model.vocab.push([`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0])
  }
  return json
}

/** Texts whose ids are others, with both: readable where one differs. */
const differing = (texts: readonly string[], encode: (text: string) => number[], want: readonly (readonly number[])[]): object[] =>
  texts.flatMap((text, index) => {
    const [got, ids] = [encode(text), want[index] as readonly number[]]
    return got.join() === ids.join()
      ? []
      : [
          {
            text: JSON.stringify(text),
            points: Array.from(text, (c) => c.codePointAt(0)?.toString(16)).join(' '),
            got: got.join(),
            want: ids.join(),
          },
        ]
  })

describe.each(golden.cases.map((each) => [each.name, each] as const))('%s', (_, each) => {
  const texts = each.texts ?? golden.texts
  const json = changedJson(each)

  it('gives the ids of Python’s tokenizers', () => {
    expect(texts.length).toBe(each.ids.length)
    expect(differing(texts, makeTokenizer(json, {}).encode, each.ids)).toEqual([])
  })

  it('does so in a transformers.js pipeline', () => {
    const stock = new PreTrainedTokenizer(structuredClone(json), {})
    const before = texts.map((text) => stock.encode(text))
    const { warnings, restore } = mendStockTokenizer(stock)
    expect(warnings).toEqual([])
    expect(differing(texts, (text) => stock.encode(text), each.ids)).toEqual([])
    restore()
    expect(differing(texts, (text) => stock.encode(text), before)).toEqual([])
  })
})

it.each(golden.decoding.map(({ config, ids, text }) => [JSON.stringify(config), config, ids, text] as const))(
  'texts of ids are T5Tokenizer’s with %s',
  (_, config, ids, text) => {
    const json = changedJson(golden.cases[0] as Case)
    expect(makeTokenizer(json, config).decode(ids)).toBe(text)
    const stock = new PreTrainedTokenizer(json, config)
    mendStockTokenizer(stock)
    expect(stock.decode(ids, { skip_special_tokens: true })).toBe(text)
  },
)

it('the library itself does not: without this there is nothing to mend', () => {
  const [shipped] = golden.cases as [Case]
  const stock = new PreTrainedTokenizer(changedJson(shipped), {})
  expect(differing(golden.texts, (text) => stock.encode(text), shipped.ids).length).toBeGreaterThan(10)
})

it('a tokenizer built otherwise is left as it is, with a warning', () => {
  expect(mendStockTokenizer({ encode: () => [] }).warnings).toEqual([expect.stringMatching(/transformers\.js/)])
})
