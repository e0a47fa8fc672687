/** What is pulled is what was pushed, byte by byte. */
import { commit, createRepo } from '@huggingface/hub'
import { readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, READ_TOKEN, readFiles, STRANGER, TOKEN, writeFiles } from './helpers.ts'

describe('push and pull', () => {
  it('round trip through the cache and --out, byte-identical', async () => {
    const { url } = await hub()
    const dir = await promptFolder()
    const pushed = await pushPrompt({ dir, repo: 'me/sst2', hubUrl: url, token: TOKEN })
    expect(pushed).toMatchObject({ created: true, plan: { add: [...promptFiles().keys()], change: [], remove: [] } })
    const cacheDir = await folder()
    const out = join(await folder(), 'pulled')
    const cached = await pullPrompt({ repo: 'me/sst2', hubUrl: url, cacheDir })
    const placed = await pullPrompt({ repo: 'me/sst2', hubUrl: url, cacheDir, out })
    expect(cached).toMatchObject({ commit: pushed.commit, dir: join(cacheDir, 'models--me--sst2', 'snapshots', pushed.commit ?? '') })
    expect(await readFiles(cached.dir)).toEqual(promptFiles())
    expect(await readFiles(out)).toEqual(promptFiles())
    expect(placed.downloadedBytes).toBe(0)
    // The layout that Python shares.
    expect(await readFile(join(cacheDir, 'models--me--sst2', 'refs', 'main'), 'utf8')).toBe(pushed.commit)
    expect(await readlink(join(cached.dir, 'adapter_config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    expect(await readlink(join(cached.dir, 'adapter_model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
  })

  it('sends nothing when nothing changed, and only what changed otherwise', async () => {
    const server = await hub()
    const proxy = await faultProxy(server, () => undefined)
    const dir = await promptFolder()
    const options = { dir, repo: 'me/sst2', hubUrl: proxy.url, token: TOKEN }
    const first = await pushPrompt(options)
    proxy.seen.length = 0
    const again = await pushPrompt(options)
    expect(again.commit).toBe(first.commit)
    expect(proxy.seen.filter((line) => !line.startsWith('GET '))).toEqual([])
    await writeFile(join(dir, 'README.md'), '---\nlibrary_name: peft\n---\n# Other\n')
    const third = await pushPrompt(options)
    expect(third.plan).toMatchObject({ add: [], change: ['README.md'], remove: [] })
    expect(third.commit).not.toBe(first.commit)
    expect(proxy.seen.filter((line) => line.startsWith('PUT '))).toEqual([])
  })

  it('shows the plan and sends nothing with dryRun, without a token too', async () => {
    const server = await hub()
    const proxy = await faultProxy(server, () => undefined)
    const plan = await pushPrompt({ dir: await promptFolder(), repo: 'me/new', hubUrl: proxy.url, dryRun: true })
    expect(plan).toMatchObject({ created: true, plan: { add: [...promptFiles().keys()] } })
    expect(plan.commit).toBeUndefined()
    expect(proxy.seen.every((line) => line.startsWith('GET '))).toBe(true)
  })

  it('removes what the folder no longer has, but not a card or a foreign file', async () => {
    const { url } = await hub()
    const full = await promptFolder()
    await pushPrompt({ dir: full, repo: 'me/sst2', hubUrl: url, token: TOKEN })
    const files = promptFiles()
    files.delete('training_log.jsonl')
    files.delete('README.md')
    const dir = await writeFiles(join(await folder(), 'less'), files)
    const { plan } = await pushPrompt({ dir, repo: 'me/sst2', hubUrl: url, token: TOKEN })
    expect(plan.remove).toEqual(['training_log.jsonl'])
    const pulled = await pullPrompt({ repo: 'me/sst2', hubUrl: url, cacheDir: await folder() })
    expect(pulled.files.map(({ path }) => path)).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'runs/events.out.tfevents.1',
    ])
  })

  it('does not overwrite the change of another', async () => {
    const { url } = await hub()
    const base = { repo: 'team/shared', hubUrl: url, token: TOKEN }
    const first = await pushPrompt({ ...base, dir: await promptFolder(1) })
    await pushPrompt({ ...base, dir: await promptFolder(2) })
    const late = pushPrompt({ ...base, dir: await promptFolder(3), parentCommit: first.commit ?? '' })
    await expect(late).rejects.toMatchObject({ code: 'hub-changed' })
    expect(await readFiles((await pullPrompt({ ...base, cacheDir: await folder() })).dir)).toEqual(promptFiles(2))
  })

  it('pushes to branches and pull requests, and pulls them by name', async () => {
    const { url } = await hub()
    const base = { repo: 'me/sst2', hubUrl: url, token: TOKEN }
    await pushPrompt({ ...base, dir: await promptFolder(1) })
    await pushPrompt({ ...base, dir: await promptFolder(2), branch: 'better' })
    const request = await pushPrompt({ ...base, dir: await promptFolder(3), pullRequest: true })
    expect(request.pullRequestUrl).toBe(`${url}/me/sst2/discussions/1`)
    const cacheDir = await folder()
    const of = async (revision: string): Promise<unknown> => readFiles((await pullPrompt({ ...base, cacheDir, revision })).dir)
    expect(await of('main')).toEqual(promptFiles(1))
    expect(await of('better')).toEqual(promptFiles(2))
    expect(await of('refs/pr/1')).toEqual(promptFiles(3))
    expect(await of(request.commit ?? '')).toEqual(promptFiles(3))
  })

  it('works offline from what was pulled before', async () => {
    const server = await hub()
    const cacheDir = await folder()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: server.url, token: TOKEN })
    await pullPrompt({ repo: 'me/sst2', hubUrl: server.url, cacheDir })
    await server.close()
    const again = await pullPrompt({ repo: 'me/sst2', hubUrl: server.url, cacheDir, offline: true })
    expect(await readFiles(again.dir)).toEqual(promptFiles())
    await expect(pullPrompt({ repo: 'me/other', hubUrl: server.url, cacheDir, offline: true })).rejects.toMatchObject({
      code: 'hub-offline',
    })
  })

  it('replaces another prompt in --out only with force, and never foreign files', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(1), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    const out = await promptFolder(2)
    const options = { repo: 'me/sst2', hubUrl: url, cacheDir: await folder(), out }
    await expect(pullPrompt(options)).rejects.toMatchObject({ code: 'hub-out' })
    expect(await readFiles(out)).toEqual(promptFiles(2))
    await pullPrompt({ ...options, force: true })
    expect(await readFiles(out)).toEqual(promptFiles(1))
    await writeFile(join(out, 'thesis.docx'), 'years of work')
    await expect(pullPrompt({ ...options, force: true })).rejects.toMatchObject({ code: 'hub-out' })
    const nowhere = join(out, 'thesis.docx', 'prompt')
    await expect(pullPrompt({ ...options, out: nowhere })).rejects.toMatchObject({
      code: 'hub-disk',
      message: expect.stringContaining(nowhere),
    })
  })
})

describe('repositories of others', () => {
  it('a plain PEFT repository is pulled without what else lies there, files beside each other', async () => {
    const { url: hubUrl } = await hub()
    const base = { hubUrl, accessToken: TOKEN, repo: 'team/theirs' }
    await createRepo(base)
    const foreign = ['optimizer.pt', 'checkpoint-500/adapter_model.safetensors', 'adapter_model.bin', 'evil.py', '.gitattributes']
    const files = [...promptFiles(), ...foreign.map((path) => [path, Buffer.from('x')] as const)]
    const operations = files.map(([path, bytes]) => ({
      operation: 'addOrUpdate' as const,
      path,
      content: new Blob([new Uint8Array(bytes)]),
    }))
    await commit({ ...base, title: 'theirs', operations, useXet: false })
    let [open, most] = [0, 0]
    const counting: typeof fetch = async (input, init) => {
      open += 1
      most = Math.max(most, open)
      const response = await fetch(input, init)
      open -= 1
      return response
    }
    const { dir } = await pullPrompt({ repo: 'team/theirs', hubUrl, cacheDir: await folder(), fetch: counting })
    expect(await readFiles(dir)).toEqual(promptFiles())
    expect(most).toBeGreaterThan(1)
  })
})

describe('permissions', () => {
  it('each refusal has its code', async () => {
    const { url } = await hub()
    const dir = await promptFolder()
    await pushPrompt({ dir, repo: 'me/secret', hubUrl: url, token: TOKEN, private: true })
    const cacheDir = await folder()
    const pull = (repo: string, token?: string, revision?: string): Promise<unknown> =>
      pullPrompt({ repo, hubUrl: url, cacheDir, token, ...(revision === undefined ? {} : { revision }) })
    await expect(pull('me/secret', TOKEN)).resolves.toBeDefined()
    await expect(pull('me/secret')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(pull('me/secret', STRANGER)).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(pull('me/secret', 'hf_noSuchToken0123456789')).rejects.toMatchObject({ code: 'hub-unauthorized' })
    await expect(pull('me/secret', TOKEN, 'v9')).rejects.toMatchObject({ code: 'hub-revision-not-found' })
    await expect(pull('../etc/passwd')).rejects.toMatchObject({ code: 'hub-name' })
    const push = (token?: string): Promise<unknown> => pushPrompt({ dir, repo: 'me/other', hubUrl: url, token })
    await expect(push()).rejects.toMatchObject({ code: 'hub-unauthorized' })
    await expect(push(READ_TOKEN)).rejects.toMatchObject({ code: 'hub-forbidden' })
    await expect(push(STRANGER)).rejects.toMatchObject({ code: 'hub-forbidden' })
  })

  it('refuses to push what is no prompt, or what validate refuses', async () => {
    const { url } = await hub()
    const base = { repo: 'me/x', hubUrl: url, token: TOKEN }
    await expect(pushPrompt({ ...base, dir: await folder() })).rejects.toMatchObject({ code: 'hub-not-a-prompt' })
    await expect(
      pushPrompt({ ...base, dir: await promptFolder(), validate: () => Promise.reject(new RangeError('not this one')) }),
    ).rejects.toThrow('not this one')
    await expect(pullPrompt({ ...base, cacheDir: await folder() })).rejects.toMatchObject({ code: 'hub-repo-not-found' })
  })
})
