/** `soft-prompts hub` as people run it: pushed to and pulled from with what it prints; one hub a folder; a warning where others can reach it. */
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { commit, createRepo } from '@huggingface/hub'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { folder, hub, promptFiles, promptFolder, readFiles, TOKEN, writeFiles } from '../hub/helpers.ts'
import { compile, type Compiled } from './child.ts'

let cli: Compiled

beforeAll(() => {
  cli = compile()
})
afterEach(() => vi.unstubAllEnvs())
afterAll(() => cli.remove())

interface Served {
  readonly lines: string
  readonly notes: string
  /** Ends it as Ctrl+C does. */
  stop(): Promise<number | null>
}

async function serve(...args: string[]): Promise<Served> {
  const child = cli.start(['hub', '--port', '0', ...args])
  let [lines, notes] = ['', '']
  child.stderr?.on('data', (part) => (notes += String(part)))
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (part) => {
      lines += String(part)
      if (lines.includes('export ')) resolve()
    })
  })
  const stop = async (): Promise<number | null> => {
    child.kill('SIGINT')
    const [code] = (await once(child, 'close')) as [number | null]
    return code
  }
  return { lines, notes, stop }
}

it('serves a folder: what it prints is enough to push and pull; a second hub is refused', async () => {
  const dir = join(await folder(), 'hub')
  const { lines, notes, stop } = await serve('--dir', dir)
  const [, endpoint = '', path = ''] = /export HF_ENDPOINT=(\S+) HF_TOKEN_PATH=(\S+)/.exec(lines) ?? []
  const none = { HF_TOKEN: '', HUGGING_FACE_HUB_TOKEN: '', HF_HUB_CACHE: '', HF_HUB_OFFLINE: '', HTTP_PROXY: '', http_proxy: '' }
  for (const [name, value] of Object.entries({ ...none, HF_ENDPOINT: endpoint, HF_TOKEN_PATH: path, HF_HOME: await folder() }))
    vi.stubEnv(name, value)
  const pushed = await cli.run(['push', await promptFolder(), 'anyone/sst2', '--keep-card', '--message', 'First try', '--private'])
  expect(pushed).toMatchObject({ code: 0, stderr: 'making anyone/sst2\nsending one commit to anyone/sst2\n' })
  const changed = await cli.run(['push', await promptFolder(2), 'anyone/sst2', '--keep-card', '--pr', '--json'])
  expect(JSON.parse(changed.stdout)).toMatchObject({ pullRequestUrl: `${endpoint}/anyone/sst2/discussions/1` })
  const out = join(await folder(), 'out')
  expect((await cli.run(['pull', 'anyone/sst2', '--out', out])).code).toBe(0)
  expect(await readFiles(out)).toEqual(promptFiles())
  vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '1')
  expect((await cli.run(['pull', 'anyone/sst2'])).stderr).toContain('[hub-repo-not-found]')
  expect(await cli.run(['hub', '--dir', dir, '--port', '0'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('[hub-server-busy]'),
  })
  expect(notes).toBe('')
  expect(await stop()).toBe(0)
})

it('shows how much of a base model has come, and says where the disk is full', async () => {
  const { url } = await hub()
  const home = await folder()
  for (const [name, value] of Object.entries({ HF_ENDPOINT: url, HF_TOKEN: TOKEN, HF_HOME: home, HF_HUB_CACHE: '' }))
    vi.stubEnv(name, value)
  const access = { repo: 'me/base', hubUrl: url, accessToken: TOKEN }
  await createRepo(access)
  const files = { 'config.json': '{"model_type":"t5"}', 'model.safetensors': 'w'.repeat(20e6) }
  const operations = Object.entries(files).map(([path, text]) => ({ operation: 'addOrUpdate' as const, path, content: new Blob([text]) }))
  await commit({ ...access, title: 'model', operations, useXet: false })
  const prompt = promptFiles()
  prompt.set('adapter_config.json', Buffer.from(String(prompt.get('adapter_config.json')).replace('google-t5/t5-small', 'me/base')))
  await pushPrompt({ dir: await writeFiles(await folder(), prompt), repo: 'me/sst2', hubUrl: url, token: TOKEN })
  const full = await cli.run(['pull', 'me/sst2', '--base', 'weights'], { fileKb: 8000 })
  expect(full).toMatchObject({ code: 1, stderr: expect.stringMatching(/Cannot write .*EFBIG.*\[hub-disk\]/) })
  expect((await readdir(home, { recursive: true })).filter((name) => /incomplete|\.lock$/.test(name))).toEqual([])
  const { code, stderr } = await cli.run(['pull', 'me/sst2', '--base', 'weights'])
  expect(code).toBe(0)
  expect(stderr).toMatch(/^base model, MB \d+\/20 /m)
  vi.stubEnv('HF_HOME', await folder())
  const quiet = await cli.run(['pull', 'me/sst2', '--base', 'weights', '--json'])
  expect(quiet.stderr).not.toContain('base model')
})

it('warns where others can reach it', async () => {
  const { notes, stop } = await serve('--dir', await folder(), '--host', '0.0.0.0')
  expect(notes).toMatch(/^warning: 0\.0\.0\.0 can be reached by others, without encryption/)
  expect(await stop()).toBe(0)
})
