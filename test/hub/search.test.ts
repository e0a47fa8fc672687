/** search: what the Hub lists, as a table and as JSON. */
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { searchPrompts } from '../../adapters/hub/search.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { search } from '../../scripts/search.ts'
import { folder, hub, promptFiles, TOKEN, writeFiles } from './helpers.ts'

const card = (base: string, value: number): Buffer =>
  Buffer.from(`---
library_name: peft
pipeline_tag: text-classification
base_model: ${base}
tags: [soft-prompts]
model-index:
- name: x
  results:
  - task: {type: text-classification}
    dataset: {type: custom, name: rows}
    metrics: [{type: accuracy, value: ${value}}]
---
# Card
`)

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

describe('search', () => {
  it('finds prompts by base, owner, task and words, with length and score', async () => {
    const { url: hubUrl } = await hub()
    const push = async (repo: string, base: string, value: number): Promise<unknown> => {
      const dir = await writeFiles(join(await folder(), 'p'), promptFiles().set('README.md', card(base, value)))
      return pushPrompt({ dir, repo, hubUrl, token: TOKEN })
    }
    await push('me/t5-small-sst2', 'google-t5/t5-small', 0.885)
    await push('team/t5-base-sst2', 'google-t5/t5-base', 0.93)
    const names = async (options: object): Promise<string[]> => (await searchPrompts({ hubUrl, ...options })).map(({ repo }) => repo)
    expect(await names({})).toEqual(['team/t5-base-sst2', 'me/t5-small-sst2'])
    expect(await names({ base: 'google-t5/t5-small' })).toEqual(['me/t5-small-sst2'])
    expect(await names({ base: 'https://huggingface.co/google-t5/t5-small' })).toEqual(['me/t5-small-sst2'])
    expect(await names({ owner: 'team', task: 'text-classification' })).toEqual(['team/t5-base-sst2'])
    expect(await names({ query: 'small' })).toEqual(['me/t5-small-sst2'])
    expect(await names({ task: 'translation' })).toEqual([])
    expect((await searchPrompts({ hubUrl, query: 'small' }))[0]).toMatchObject({
      base: 'google-t5/t5-small',
      task: 'text-classification',
      length: 5,
      parameters: 80,
      score: { metric: 'accuracy', value: 0.885, dataset: 'rows' },
      private: false,
    })
    const local = promptFiles().set('README.md', Buffer.from('---\ntags: [soft-prompts]\n---\n'))
    const config = JSON.parse(String(local.get('adapter_config.json'))) as object
    local.set('adapter_config.json', Buffer.from(JSON.stringify({ ...config, base_model_name_or_path: '/home/me/my-t5' })))
    await pushPrompt({ dir: await writeFiles(join(await folder(), 'p'), local), repo: 'me/local', hubUrl, token: TOKEN })
    expect(await searchPrompts({ hubUrl, query: 'local' })).toMatchObject([{ base: 'my-t5', length: 5 }])
    let output = ''
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      output += String(chunk)
      return true
    })
    vi.stubEnv('HF_ENDPOINT', hubUrl)
    vi.stubEnv('HF_TOKEN', TOKEN)
    expect(await main(commandLine(search), ['sst2', '--json'])).toBe(0)
    expect(JSON.parse(output)).toEqual(await searchPrompts({ hubUrl, query: 'sst2' }))
    output = ''
    expect(await main(commandLine(search), ['sst2'])).toBe(0)
    expect(output).toMatch(
      /^prompt +base +task +tokens +KB +score +downloads +updated\n-+.*\nteam\/t5-base-sst2 +google-t5\/t5-base +text-classification +5 +1 +accuracy 93\.0 % +0 +\d{4}-/m,
    )
  })
})
