/** The Hub without a file system: the same bytes as Node pulls, refused when wrong, and nothing of Node's in the module's graph. */
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { dirname, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pullPromptFiles } from '../../adapters/hub/browser.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { hostileHub, store } from './hostile.ts'
import { faultProxy, hub, promptFiles, promptFolder, TOKEN, type FaultKind } from './helpers.ts'

const entry = resolve(import.meta.dirname, '../../adapters/hub/browser.ts')

/** Every module that a file loads, itself first; packages and node: modules by their names. */
function graph(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
    /^\s*(?:import|export)\s(?!type\s)[^'";]*?from\s+'([^']+)'|import\('([^']+)'\)/gm,
  )) {
    if (name.startsWith('.')) graph(resolve(dirname(file), name), seen)
    else seen.add(name)
  }
  return seen
}

const bytes = ({ files }: Awaited<ReturnType<typeof pullPromptFiles>>): Map<string, Buffer> =>
  new Map([...files].map(([path, content]) => [path, Buffer.from(content)]))

const changed =
  (change: (text: string) => string): typeof fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    return String(input).includes('/tree/') ? new Response(change(await response.text())) : response
  }

describe('in a browser', () => {
  it('loads nothing of Node and no package', () => {
    const loaded = [...graph(entry)]
    expect(loaded.length).toBeGreaterThan(3)
    expect(loaded.filter((name) => !name.startsWith('/') || /\b(process|Buffer|require)\b[.(]/.test(readFileSync(name, 'utf8')))).toEqual(
      [],
    )
  })

  it('pulls what was pushed, byte-identical, by branch and by commit; private with a token', async () => {
    const server = await hub()
    const base = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    const { commit } = await pushPrompt({ ...base, dir: await promptFolder(1), private: true })
    await pushPrompt({ ...base, dir: await promptFolder(2) })
    expect(bytes(await pullPromptFiles(base))).toEqual(promptFiles(2))
    const pinned = await pullPromptFiles({ ...base, revision: commit ?? '' })
    expect(pinned.commit).toBe(commit)
    expect(bytes(pinned)).toEqual(promptFiles(1))
    const small = await pullPromptFiles({ ...base, skip: (path) => !path.startsWith('adapter_') })
    expect([...small.files.keys()]).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    await expect(pullPromptFiles({ repo: 'me/sst2', hubUrl: server.url })).rejects.toMatchObject({ code: 'hub-repo-not-found' })
  })

  it.each([
    ['corrupt', 'hub-corrupt'],
    ['truncate', 'hub-unreachable'],
    ['drop', 'hub-unreachable'],
  ] as const)('%s files are never handed on', async (kind, code) => {
    const server = await hub()
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir: await promptFolder() })
    for (const name of ['adapter_model.safetensors', 'adapter_config.json']) {
      const proxy = await faultProxy(server, ({ url }) => (url?.endsWith(name) ? ({ kind } satisfies FaultKind) : undefined))
      await expect(pullPromptFiles({ repo: 'me/sst2', hubUrl: proxy.url })).rejects.toMatchObject({ code })
    }
  })

  it('refuses listings that lie: sizes, names, no prompt', async () => {
    const server = await hub()
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir: await promptFolder() })
    const pull = (change: (text: string) => string): Promise<unknown> =>
      pullPromptFiles({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, fetch: changed(change) })
    await expect(pull((text) => text.replace(/"size":\d{3}/g, '"size":9'))).rejects.toMatchObject({ code: 'hub-file-too-large' })
    await expect(pull((text) => text.replaceAll(/"size":(\d{3})/g, '"size":9$1'))).rejects.toMatchObject({ code: 'hub-corrupt' })
    await expect(pull((text) => text.replace('adapter_model', '../x'))).rejects.toMatchObject({ code: 'hub-unsafe-path' })
    await expect(pull((text) => text.replace('adapter_model', 'x'))).rejects.toMatchObject({ code: 'hub-not-a-prompt' })
    await expect(pull(() => '{')).rejects.toMatchObject({ code: 'hub-answer' })
    await expect(pull(() => '[{"type":"file","path":"x"}]')).rejects.toMatchObject({ code: 'hub-answer' })
  })

  it.each([
    ['never answers', () => {}],
    [
      'sends a byte now and then',
      (response: ServerResponse) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write(' '), 10)
        response.on('close', () => clearInterval(timer))
      },
    ],
  ] as const)('leaves a hub that %s', async (_, misdeed) => {
    const { url } = await hostileHub({ tree: (__, response) => misdeed(response) })
    await expect(pullPromptFiles({ repo: 'me/x', hubUrl: url, timeoutMs: 100 })).rejects.toMatchObject({ code: 'hub-timeout' })
  })

  it('speaks of no token where a store refused that was sent none', async () => {
    const at = await store((__, response) => void response.writeHead(403).end())
    const { url } = await hostileHub({ file: (__, response) => void response.writeHead(302, { location: `${at}/x?sig=1` }).end() })
    const pulled = pullPromptFiles({ repo: 'me/x', hubUrl: url, token: TOKEN })
    await expect(pulled).rejects.toMatchObject({ code: 'hub-store', message: expect.not.stringMatching(/token/i) })
  })
})
