/** Advice before a run: said where it helps, silent elsewhere. */
import { expect, it } from 'vitest'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { adviseBase, adviseLabels, adviseMemory } from '../../src/train/advice.ts'

const codes = (advice: readonly { code: string }[]): string[] => advice.map(({ code }) => code)

it.each([
  ['google/t5-v1_1-base', 768, ['base-spans-only']],
  ['google/mt5-small', 512, ['base-spans-only']],
  ['google-t5/t5-small', 512, ['base-not-adapted']],
  ['google/t5-base-lm-adapt', 768, []],
  ['google/t5-v1_1-xl-lm-adapt', 2048, []],
  ['google/flan-t5-base', 768, []],
  ['t5-tiny-en', 192, ['base-very-small']],
])('%s', (id, width, want) => {
  expect(codes(adviseBase(id, width))).toEqual(want)
})

it('labels that cannot be told apart, unknown characters, answers outside them', async () => {
  const tokenizer = await openTokenizer(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
  expect(codes(adviseLabels(['negative', 'positive'], tokenizer, ['positive']))).toEqual([])
  expect(codes(adviseLabels(['yes', ' yes '], tokenizer))).toEqual(['labels-same'])
  expect(codes(adviseLabels(['ja', '否'], tokenizer, ['nein', 'ja']))).toEqual(['label-unknown-piece', 'dev-labels'])
})

it('a run that takes more memory than there is', () => {
  expect(adviseMemory(2e9, 3e9)).toEqual([])
  expect(adviseMemory(2.56e9, 1e9)).toMatchObject([
    { code: 'memory-short', message: expect.stringContaining('2.6 GB of memory, and 1.0 GB') },
  ])
})
