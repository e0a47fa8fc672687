/** Repositories whose prompts lie in folders, in older files or in another library's: what lies there is named, and a folder's prompt can be. */
import { commit, createRepo } from '@huggingface/hub'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openPrompt } from '../../adapters/compose/browser-prompt.ts'
import { findPrompt } from '../../adapters/compose/find-prompt.ts'
import { openPromptAs } from '../../adapters/compose/open-prompt.ts'
import { pullRepository } from '../../adapters/compose/pull.ts'
import { pullPromptFiles } from '../../adapters/hub/browser.ts'
import { folder, hub, promptFiles, readFiles, TOKEN } from './helpers.ts'

/** A hub with one repository that holds these files. */
async function hubOf(files: ReadonlyMap<string, string | Uint8Array>): Promise<string> {
  const { url } = await hub()
  const repo = { type: 'model', name: 'me/prompts' } as const
  await createRepo({ repo, accessToken: TOKEN, hubUrl: url })
  const operations = [...files].map(
    ([path, content]) => ({ operation: 'addOrUpdate', path, content: new Blob([new Uint8Array(Buffer.from(content))]) }) as const,
  )
  await commit({ repo, title: 'Files', accessToken: TOKEN, hubUrl: url, operations })
  return url
}

const below = (place: string, seed: number): [string, Buffer][] =>
  [...promptFiles(seed)].map(([path, bytes]) => [`${place}/${path}`, bytes])

describe('prompts in folders', () => {
  it('are named where the top holds none, and each is pulled by its folder', async () => {
    const hubUrl = await hubOf(new Map([...below('mood', 2), ...below('deep/topic', 3), ['README.md', Buffer.from('# Prompts')] as const]))
    const access = { hubUrl, cacheDir: await folder() }
    await expect(pullRepository({ repo: 'me/prompts', ...access })).rejects.toEqual(
      expect.objectContaining({
        code: 'hub-not-a-prompt',
        message: expect.stringMatching(/in deep\/topic, mood\. Name one: me\/prompts#deep\/topic/),
      }),
    )
    const out = join(await folder(), 'mood')
    const mood = await pullRepository({ repo: 'me/prompts#mood', ...access, out })
    expect(await readFiles(mood.dir)).toEqual(promptFiles(2))
    const topic = await findPrompt('me/prompts#deep/topic', access)
    expect(await findPrompt(`${hubUrl}/me/prompts/tree/main/deep/topic`, access)).toBe(topic)
    expect(await readFiles(topic)).toEqual(promptFiles(3))
    expect((await openPromptAs(topic)).prompt.embeddings.shape).toEqual([5, 16])
    // Both are in one snapshot now, each still by itself.
    expect((await pullRepository({ repo: 'me/prompts#mood', ...access, offline: true })).downloadedBytes).toBe(0)
    const missing = expect.objectContaining({
      code: 'hub-not-a-prompt',
      message: 'me/prompts has no folder "other"; it has prompts in deep/topic, mood.',
    })
    await expect(pullRepository({ repo: 'me/prompts#other', ...access })).rejects.toEqual(missing)
    await expect(pullPromptFiles({ repo: 'me/prompts#other', hubUrl })).rejects.toEqual(missing)
  })

  it('are taken by pages too', async () => {
    const hubUrl = await hubOf(new Map(below('mood', 2)))
    const { files } = await pullPromptFiles({ repo: 'me/prompts#mood', hubUrl })
    expect(new Map([...files].map(([path, bytes]) => [path, Buffer.from(bytes)]))).toEqual(promptFiles(2))
    const [opened, pulled] = await Promise.all([openPrompt('me/prompts#mood', { hubUrl }), openPrompt(files)])
    expect(opened.embeddings.data).toEqual(pulled.embeddings.data)
  })

  it('cannot leave the repository, and are not pinned by a lock file', async () => {
    const access = { hubUrl: await hubOf(new Map(below('mood', 2))), cacheDir: await folder() }
    await expect(pullRepository({ repo: 'me/prompts#../x', ...access })).rejects.toEqual(
      expect.objectContaining({ code: 'hub-unsafe-path' }),
    )
    await expect(pullRepository({ repo: 'me/prompts#mood', ...access, lockFile: 'prompts.lock.json' })).rejects.toEqual(
      expect.objectContaining({ code: 'hub-lock-folder' }),
    )
  })
})

describe('what is no prompt that can be read', () => {
  const config = promptFiles().get('adapter_config.json') as Buffer

  it.each([
    [
      'a pickle',
      [
        ['adapter_config.json', config],
        ['adapter_model.bin', 'x'],
      ],
      'peft-pickle',
      /me\/prompts has its tensors only as adapter_model\.bin.*save_pretrained/,
    ],
    [
      'AdapterHub’s',
      [
        ['adapter_config.json', '{"model_class": "T5AdapterModel"}'],
        ['pytorch_adapter.bin', 'x'],
      ],
      'adapter-hub',
      /AdapterHub/,
    ],
    [
      'nothing of the kind',
      [['README.md', '# None']],
      'hub-not-a-prompt',
      /adapter_config\.json and adapter_model\.safetensors missing; it has .*README\.md/,
    ],
  ] as const)('%s is named as in a folder', async (_, files, code, message) => {
    const hubUrl = await hubOf(new Map<string, string | Uint8Array>(files))
    const wanted = expect.objectContaining({ code, message: expect.stringMatching(message) })
    await expect(pullRepository({ repo: 'me/prompts', hubUrl, cacheDir: await folder() })).rejects.toEqual(wanted)
    await expect(pullPromptFiles({ repo: 'me/prompts', hubUrl })).rejects.toEqual(wanted)
  })
})
