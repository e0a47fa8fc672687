/** How a prompt's texts are generated: as told, else as its manifest says, else as it was trained. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { answer, type AnswerOptions } from '../../adapters/compose/answer.ts'
import { generationOf, groupsOf } from '../../adapters/compose/generation.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { folderOf, promptOf, reference } from '../attach/fixtures.ts'

const model = 'tiny-t5-v11'
const ref = reference(model)
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-generation-'))
const base = join(dir, 'base')
const write = (name: string, generation: Manifest['generation']): Promise<unknown> => {
  const prompt = promptOf(model, 'a')
  return writePromptFolder({ ...prompt, manifest: { ...prompt.manifest, ...(generation ? { generation } : {}) } }, join(dir, name))
}
const ask = async (names: readonly string[], more: Partial<AnswerOptions> = {}): Promise<(string | undefined)[]> => {
  const prompts = names.map((name) => join(dir, name))
  return (await answer({ prompts, texts: ref.texts.slice(0, 1), model: base, threads: 1, ...more })).map(({ generated }) => generated)
}

beforeAll(async () => {
  cpSync(join(folderOf(model), 'hf'), base, { recursive: true })
  for (const file of readdirSync(folderOf(model)).filter((name) => name.startsWith('tokenizer')))
    cpSync(join(folderOf(model), file), join(base, file))
  await write('plain', undefined)
  await write('short', { max_new_tokens: 3 })
  await write('beams', { max_new_tokens: 6, num_beams: 4 })
})
afterAll(() => rmSync(dir, { recursive: true }))

it('what is told wins over the manifest, the manifest over the recipe', () => {
  const recipe = { maxTargetTokens: 128 } as Manifest['recipe']
  const manifest: Manifest = {
    base: { id: 'x' },
    generation: { max_new_tokens: 5, num_beams: 2, do_sample: false },
    ...(recipe ? { recipe } : {}),
  }
  expect(generationOf(manifest, {})).toEqual({ maxNewTokens: 5, beams: 2 })
  expect(generationOf(manifest, { maxNewTokens: 9, beams: 1 })).toEqual({ maxNewTokens: 9, beams: 1 })
  expect(generationOf({ base: { id: 'x' }, ...(recipe ? { recipe } : {}) }, {})).toEqual({ maxNewTokens: 128, beams: 1 })
  expect(generationOf(undefined, {})).toEqual({ maxNewTokens: 64, beams: 1 })
  for (const maxNewTokens of [0, 1.5])
    expect(() => generationOf(undefined, { maxNewTokens })).toThrow(/expected a whole number of at least 1/)
})

it('labels are scored together however their prompts generate', () => {
  const [one, two] = [
    { maxNewTokens: 5, beams: 1 },
    { maxNewTokens: 6, beams: 1 },
  ]
  const each = [
    { labels: ['a', 'b'], generation: one },
    { labels: undefined, generation: one },
    { labels: ['a', 'b'], generation: two },
    { labels: undefined, generation: two },
    { labels: undefined, generation: one },
  ]
  expect(groupsOf(each)).toEqual([[0, 2], [1, 4], [3]])
})

it('prompts asked together are generated each as its manifest says', async () => {
  const { decode } = await openTokenizer(base)
  const greedy = ref.adapters.a.greedy[0]?.slice(1) ?? []
  const [short, plain, beams] = await ask(['short', 'plain', 'beams'])
  expect(short).toBe(decode(greedy.slice(0, 3)))
  expect(plain?.startsWith(decode(greedy))).toBe(true)
  expect([beams]).toEqual(await ask(['plain'], { maxNewTokens: 6, beams: 4 }))
  expect([beams]).not.toEqual(await ask(['plain'], { maxNewTokens: 6 }))
  expect(await ask(['beams'], { maxNewTokens: 3, beams: 1 })).toEqual([short])
})
