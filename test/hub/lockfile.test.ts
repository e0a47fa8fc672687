/** prompts.lock.json: what is pinned is what is used. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { folder, hub, promptFiles, promptFolder, readFiles, TOKEN } from './helpers.ts'

describe('prompts.lock.json', () => {
  it('pins a prompt by commit and sha256; --frozen pulls that, whatever main holds now', async () => {
    const server = await hub()
    const base = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    const lockFile = join(await folder(), 'prompts.lock.json')
    const first = await pushPrompt({ ...base, dir: await promptFolder(1) })
    await pullPrompt({ ...base, cacheDir: await folder(), lockFile })
    const text = await readFile(lockFile, 'utf8')
    expect(JSON.parse(text)).toMatchObject({ version: 1, prompts: { 'me/sst2': { revision: 'main', commit: first.commit } }, models: {} })
    await pushPrompt({ ...base, dir: await promptFolder(2) })
    const cacheDir = await folder()
    const frozen = await pullPrompt({ ...base, cacheDir, lockFile, frozen: true })
    expect(frozen.commit).toBe(first.commit)
    expect(await readFiles(frozen.dir)).toEqual(promptFiles(1))
    expect(await readFile(lockFile, 'utf8')).toBe(text)
    // Whole in the cache, it needs nobody.
    await server.close()
    expect((await pullPrompt({ ...base, cacheDir, lockFile, frozen: true })).downloadedBytes).toBe(0)
    await writeFile(join(frozen.dir, 'README.md'), 'changed in the cache')
    await expect(pullPrompt({ ...base, cacheDir, lockFile, frozen: true, attempts: 1 })).rejects.toMatchObject({ code: 'hub-unreachable' })
  })

  it('refuses what is not pinned, pinned otherwise, changed, or no lock file', async () => {
    const { url } = await hub()
    const base = { repo: 'me/sst2', hubUrl: url, token: TOKEN, cacheDir: await folder() }
    const lockFile = join(await folder(), 'prompts.lock.json')
    await pushPrompt({ ...base, dir: await promptFolder(1) })
    await expect(pullPrompt({ ...base, lockFile, frozen: true })).rejects.toMatchObject({ code: 'hub-lock-missing' })
    await pullPrompt({ ...base, lockFile })
    await expect(pullPrompt({ ...base, lockFile, frozen: true, revision: 'v2' })).rejects.toMatchObject({ code: 'hub-lock-drift' })
    const text = await readFile(lockFile, 'utf8')
    await writeFile(
      lockFile,
      text.replace(/"sha256": "(.)/, (_, digit: string) => `"sha256": "${digit === '0' ? '1' : '0'}`),
    )
    await expect(pullPrompt({ ...base, lockFile, frozen: true })).rejects.toMatchObject({ code: 'hub-lock-drift' })
    for (const broken of ['', '[]', '{"version":2}', text.replace(/"commit": "./, '"commit": "x'), text.slice(0, 100)]) {
      await writeFile(lockFile, broken)
      await expect(pullPrompt({ ...base, lockFile, frozen: true })).rejects.toMatchObject({ code: 'hub-lock-format' })
      await expect(pullPrompt({ ...base, lockFile })).rejects.toMatchObject({ code: 'hub-lock-format' })
    }
  })
})
