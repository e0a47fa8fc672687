/** What is served is what was trained: a pipeline and the command's tokenizer give Python's ids for every hard text (test/golden/make_tokenizers.py). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { attachPrompts } from '../../adapters/compose/attach-sources.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { encoderOf, folderOf, promptOf, promptsOf, stockPipeline } from './fixtures.ts'

const model = 'tiny-t5-v10'
const golden = JSON.parse(readFileSync(new URL('../golden/tokenizers.json', import.meta.url), 'utf8')) as {
  texts: string[]
  cases: { base: string; change: object; ids: number[][] }[]
}
const ids = golden.cases.find(({ base, change }) => base.includes(model) && Object.keys(change).length === 0)?.ids
const idsBy = (encode: (text: string) => number[]): number[][] => golden.texts.map((text) => encode(text))

describe('ids of hard texts', () => {
  it('are the same in a loaded pipeline, in training and in Python', async () => {
    const pipe = await loadPrompted({ a: promptOf(model, 'a') }, { base: folderOf(model) })
    try {
      const { tokenizer } = pipe.stock
      expect(idsBy((text) => tokenizer.encode(text))).toEqual(ids)
      expect(idsBy((await openTokenizer(folderOf(model))).encode)).toEqual(ids)
      // As a pipeline calls it.
      const { input_ids: padded, attention_mask: mask } = tokenizer(golden.texts, { padding: true })
      const seen = mask.tolist() as bigint[][]
      const rows = (padded.tolist() as bigint[][]).map((row, index) => row.filter((_, at) => seen[index]?.[at] === 1n).map(Number))
      expect(rows).toEqual(ids)
      expect(pipe.warnings).toEqual([])
    } finally {
      await pipe.dispose()
    }
  })

  it('are so in a pipeline that prompts are attached to, until they are taken away', async () => {
    const pipe = await stockPipeline(model)
    const before = idsBy((text) => pipe.tokenizer.encode(text))
    expect(before).not.toEqual(ids)
    const { warnings, detach } = await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
    expect(warnings).toEqual([])
    expect(idsBy((text) => pipe.tokenizer.encode(text))).toEqual(ids)
    detach()
    expect(idsBy((text) => pipe.tokenizer.encode(text))).toEqual(before)
    await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
    expect(idsBy((text) => pipe.tokenizer.encode(text))).toEqual(ids)
    await pipe.dispose()
  })
})
