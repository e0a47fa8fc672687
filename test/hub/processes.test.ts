/** Several processes at once, and processes killed at any moment: nothing is ever half. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { cp, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { SoftPromptError } from '../../src/errors.ts'
import { formatProcess, thisProcess } from '../../adapters/disk/processes.ts'
import { pullPrompt, type Pulled } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import type { Hub } from '../../adapters/hub/server/start.ts'
import { compileProgram, troubled, type Program, type Trouble } from '../program.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, readFiles, same, TOKEN, writeFiles } from './helpers.ts'

let program: Program
beforeAll(() => {
  program = compileProgram('test/hub/child.ts')
})
afterAll(() => program?.remove())

interface Child {
  readonly process: ChildProcess
  /** The line it prints at its end; undefined if it was killed before. */
  readonly result: Promise<Record<string, unknown> | undefined>
}

function start(task: object, trouble: Trouble = {}): Child {
  const { args, env } = troubled(trouble)
  const child = spawn(process.execPath, [...args, program.script, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const result = new Promise<Record<string, unknown> | undefined>((done) => {
    let text = ''
    child.stdout.on('data', (part) => {
      text += String(part)
      if (text.endsWith('\n')) done(JSON.parse(text) as Record<string, unknown>)
    })
    child.on('close', () => done(undefined))
  })
  return { process: child, result }
}

/** A prompt whose log makes the transfer long enough to be interrupted. */
async function bigFolder(seed: number, steps = 60_000): Promise<{ dir: string; files: Map<string, Buffer> }> {
  const log = Buffer.from(Array.from({ length: steps }, (_, step) => `{"step":${step},"loss":${seed}}`).join('\n'))
  const files = promptFiles(seed).set('training_log.jsonl', log)
  return { dir: await writeFiles(join(await folder(), 'big'), files), files }
}

const codeOf = (error: unknown): string => (error instanceof SoftPromptError ? error.code : String(error))

const stateOf = async (server: Hub, repo: string): Promise<Map<string, Buffer>> =>
  readFiles((await pullPrompt({ repo, hubUrl: server.url, token: TOKEN, cacheDir: await folder() })).dir)

describe('processes', () => {
  it('twenty processes pull into one cache: all succeed, each file comes once', async () => {
    const server = await hub()
    const { dir, files } = await bigFolder(1)
    await pushPrompt({ dir, repo: 'me/sst2', hubUrl: server.url, token: TOKEN })
    const proxy = await faultProxy(server, () => undefined)
    const cacheDir = await folder()
    const pulls = Array.from({ length: 20 }, () => start({ op: 'pull', repo: 'me/sst2', hubUrl: proxy.url, cacheDir }))
    const results = await Promise.all(pulls.map(({ result }) => result))
    expect(new Set(results.map((result) => result?.['dir']))).toEqual(new Set([results[0]?.['dir']]))
    expect(results[0]?.['commit']).toMatch(/^[0-9a-f]{40}$/)
    expect(same(await readFiles(String(results[0]?.['dir'])), files)).toBe(true)
    expect(proxy.seen.filter((line) => line.includes('/resolve/'))).toHaveLength(files.size)
    expect((await readdir(cacheDir, { recursive: true })).filter((name) => /incomplete|unfinished|\.lock$/.test(name))).toEqual([])
  })

  it('threads of one process pull into one cache: all succeed, each file comes once', async () => {
    const server = await hub()
    const { dir, files } = await bigFolder(1)
    await pushPrompt({ dir, repo: 'me/sst2', hubUrl: server.url, token: TOKEN })
    const proxy = await faultProxy(server, (request) => (request.url?.includes('/resolve/') ? { kind: 'delay', ms: 200 } : undefined))
    const task = { op: 'pull', repo: 'me/sst2', hubUrl: proxy.url, cacheDir: await folder() }
    const results = Object.values((await start({ op: 'threads', count: 8, task }).result) ?? {}) as Partial<Pulled & { error: string }>[]
    expect(results.map(({ error }) => error)).toEqual(Array.from({ length: 8 }))
    expect(same(await readFiles(String(results[0]?.dir)), files)).toBe(true)
    expect(proxy.seen.filter((line) => line.includes('/resolve/'))).toHaveLength(files.size)
  })

  it('two pushes of different prompts at once: one wins, the other is told', async () => {
    const server = await hub()
    const [one, two] = [await promptFolder(1), await promptFolder(2)]
    const base = { op: 'push', repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    await pushPrompt({ ...base, dir: await promptFolder(3) })
    const results = await Promise.all([start({ ...base, dir: one }).result, start({ ...base, dir: two }).result])
    const won = results.findIndex((result) => result?.['error'] === undefined)
    const errors = results.map((result) => result?.['error']).filter((error) => error !== undefined)
    // Both may win, one after the other; a loser is told why.
    expect(errors.every((error) => /changed the repository meanwhile/.test(String(error)))).toBe(true)
    expect(won).toBeGreaterThanOrEqual(0)
    const state = await stateOf(server, 'me/sst2')
    expect(same(state, promptFiles(1)) || same(state, promptFiles(2))).toBe(true)
  })

  it.each([
    ['kill -9', 'killAt'],
    ['a full disk', 'fullAt'],
  ] as const)('%s at each change that a pull makes: old or new, and the rerun takes over what was there', async (_, trouble) => {
    const server = await hub()
    const [old, fresh] = [await bigFolder(1, 1000), await bigFolder(2, 1000)]
    const base = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    const either = (state: ReadonlyMap<string, Buffer>): boolean => same(state, old.files) || same(state, fresh.files)
    await pushPrompt({ ...base, dir: old.dir })
    const first = await folder()
    await pullPrompt({ ...base, cacheDir: join(first, 'cache'), out: join(first, 'out') })
    const { commit = '' } = await pushPrompt({ ...base, dir: fresh.dir })
    let last = Number.POSITIVE_INFINITY
    const tried = async (change: number): Promise<void> => {
      const dir = await folder()
      await cp(first, dir, { recursive: true, verbatimSymlinks: true })
      const [cacheDir, out] = [join(dir, 'cache'), join(dir, 'out')]
      const result = await start({ ...base, op: 'pull', cacheDir, out, force: true }, { [trouble]: change }).result
      if (result?.['commit'] !== undefined) last = Math.min(last, change)
      expect(result?.['error'] ?? 'HubError: ').toMatch(/^(Hub|Disk)Error: /)
      expect(either(await readFiles((await pullPrompt({ ...base, cacheDir, offline: true })).dir))).toBe(true)
      const half = await pullPrompt({ ...base, cacheDir, offline: true, revision: commit }).catch(codeOf)
      expect(half === 'hub-offline' || same(await readFiles((half as Pulled).dir), fresh.files)).toBe(true)
      expect(either(await readFiles(out).catch(() => readFiles(join(dir, '.out+old'))))).toBe(true)
      await pullPrompt({ ...base, cacheDir, out, force: true })
      expect(same(await readFiles(out), fresh.files)).toBe(true)
      expect(same(await readFiles((await pullPrompt({ ...base, cacheDir, offline: true })).dir), fresh.files)).toBe(true)
      expect({ change, left: (await readdir(dir)).toSorted() }).toEqual({ change, left: ['cache', 'out'] })
    }
    const moments = Array.from({ length: 200 }, (__, index) => index + 1).values()
    const worker = async (): Promise<void> => {
      for (const moment of moments) if (moment <= last) await tried(moment)
    }
    await Promise.all([worker(), worker()])
    expect(last).toBeGreaterThan(30)
  })

  it('kill -9 of a push at each request: the hub holds the old or the new', async () => {
    const server = await hub()
    const [old, fresh] = [await bigFolder(1), await bigFolder(2)]
    const base = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    let killed = 0
    let finished: Record<string, unknown> | undefined
    for (let requests = 1; requests < 20; requests += 1) {
      await pushPrompt({ ...base, dir: old.dir })
      const running: { child?: Child } = {}
      const proxy = await faultProxy(server, (_, count) => {
        if (count === requests) running.child?.process.kill('SIGKILL')
        return undefined
      })
      running.child = start({ op: 'push', repo: 'me/sst2', token: TOKEN, dir: fresh.dir, hubUrl: proxy.url })
      finished = await running.child.result
      const state = await stateOf(server, 'me/sst2')
      expect(same(state, old.files) || same(state, fresh.files)).toBe(true)
      if (proxy.seen.length < requests) break
      killed += 1
    }
    expect(finished?.['commit']).toMatch(/^[0-9a-f]{40}$/)
    expect(killed).toBeGreaterThanOrEqual(5)
    await pushPrompt({ ...base, dir: fresh.dir })
    expect(same(await stateOf(server, 'me/sst2'), fresh.files)).toBe(true)
  })

  it('kill -9 of the hub at each change of its disk: after a restart it holds the old or the new, and nothing half', async () => {
    const tokens = { [TOKEN]: { name: 'me', role: 'write', orgs: [] } }
    const [old, fresh] = [await bigFolder(1, 1000), await bigFolder(2, 1000)]
    const first = await hub()
    await pushPrompt({ dir: old.dir, repo: 'me/sst2', hubUrl: first.url, token: TOKEN })
    await first.close()
    const outcomes: string[] = []
    for (let killAt = 1; outcomes.at(-1) !== 'pushed' && killAt < 100; killAt += 1) {
      const dir = await folder()
      await cp(first.dir, dir, { recursive: true })
      const child = start({ op: 'hub', dir, tokens }, { killAt })
      const started = (await child.result) as { url: string } | undefined
      const push = started && pushPrompt({ dir: fresh.dir, repo: 'me/sst2', hubUrl: started.url, token: TOKEN, attempts: 1 })
      const pushed = await push?.catch(codeOf)
      outcomes.push(typeof pushed === 'object' ? 'pushed' : (pushed ?? 'not started'))
      child.process.kill('SIGKILL')
      const again = await hub({ dir })
      const state = await stateOf(again, 'me/sst2')
      expect(same(state, outcomes.at(-1) === 'pushed' ? fresh.files : old.files) || same(state, fresh.files)).toBe(true)
      await pushPrompt({ dir: fresh.dir, repo: 'me/sst2', hubUrl: again.url, token: TOKEN })
      expect(same(await stateOf(again, 'me/sst2'), fresh.files)).toBe(true)
      expect((await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.unfinished'))).toEqual([])
      await again.close()
    }
    expect(outcomes.at(-1)).toBe('pushed')
    expect(new Set(outcomes)).toEqual(new Set(['not started', 'hub-unreachable', 'pushed']))
  })

  it.each(['push', 'pull'] as const)(
    'kill -9 of the hub at each request of a %s: old or new on both sides, and a rerun succeeds',
    async (op) => {
      const dir = await folder()
      const [old, fresh] = [await bigFolder(1), await bigFolder(2)]
      const tokens = { [TOKEN]: { name: 'me', role: 'write', orgs: [] } }
      const either = (state: ReadonlyMap<string, Buffer>): boolean => same(state, old.files) || same(state, fresh.files)
      let killed = 0
      for (let requests = 1; requests < 20; requests += 1) {
        const before = await hub({ dir })
        const base = { repo: 'me/sst2', hubUrl: before.url, token: TOKEN, cacheDir: await folder() }
        await pushPrompt({ ...base, dir: old.dir })
        await pullPrompt(base)
        if (op === 'pull') await pushPrompt({ ...base, dir: fresh.dir })
        await before.close()
        const child = start({ op: 'hub', dir, tokens })
        const { port } = (await child.result) as { port: number }
        const proxy = await faultProxy({ port }, (_, count) => {
          // Some at once, some while it works.
          if (count === requests) setTimeout(() => child.process.kill('SIGKILL'), requests % 3)
          return undefined
        })
        const options = { ...base, hubUrl: proxy.url, attempts: 1 }
        const work = op === 'push' ? pushPrompt({ ...options, dir: fresh.dir }) : pullPrompt(options)
        const failure: unknown = await work.then(
          () => undefined,
          (error: unknown) => error,
        )
        expect(failure === undefined || failure instanceof SoftPromptError).toBe(true)
        child.process.kill('SIGKILL')
        const after = await hub({ dir })
        const again = { ...base, hubUrl: after.url }
        expect(either(await stateOf(after, 'me/sst2'))).toBe(true)
        expect(either(await readFiles((await pullPrompt({ ...again, offline: true })).dir))).toBe(true)
        if (op === 'push') await pushPrompt({ ...again, dir: fresh.dir })
        expect(same(await readFiles((await pullPrompt(again)).dir), fresh.files)).toBe(true)
        expect((await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.unfinished'))).toEqual([])
        await after.close()
        if (proxy.seen.length < requests) break
        killed += 1
      }
      expect(killed).toBeGreaterThanOrEqual(4)
    },
  )

  it('a folder has one hub: a second is refused and changes nothing; a killed one makes room', async () => {
    const dir = await folder()
    const child = start({ op: 'hub', dir, tokens: {} })
    const { url } = (await child.result) as { url: string }
    await writeFile(join(dir, 'half+vm-1-a.b.1.unfinished'), 'what the first is writing')
    await expect(hub({ dir })).rejects.toMatchObject({
      code: 'hub-server-busy',
      message: expect.stringContaining(`process ${child.process.pid}`),
    })
    expect(await readdir(dir)).toContain('half+vm-1-a.b.1.unfinished')
    expect((await fetch(`${url}/api/models`)).status).toBe(200)
    child.process.kill('SIGKILL')
    const next = await hub({ dir })
    await expect(hub({ dir })).rejects.toMatchObject({ code: 'hub-server-busy' })
    expect(await readdir(dir)).not.toContain('half+vm-1-a.b.1.unfinished')
    await next.close()
    const last = await hub({ dir })
    await next.close() // twice closed, it takes nothing from the last
    expect(await readdir(dir)).toContain('hub.lock')
    expect((await fetch(`${last.url}/api/models`)).status).toBe(200)
    // The lock of a dead process that had the number of this one, as the first of every container has.
    const other = await folder()
    await writeFile(join(other, 'hub.lock'), `${formatProcess({ ...thisProcess(), start: '1' })}\n`)
    expect((await hub({ dir: other })).port).toBeGreaterThan(0)
  })

  it('a hub that stands still keeps its folder; one that lost it acknowledges nothing more', async () => {
    const dir = await folder()
    const child = start({ op: 'hub', dir, tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: [] } } })
    onTestFinished(() => void child.process.kill('SIGKILL'))
    const { url } = (await child.result) as { url: string }
    const options = { dir: await promptFolder(1), hubUrl: url, token: TOKEN }
    const { commit } = await pushPrompt({ ...options, repo: 'me/sst2' })
    const lock = join(dir, 'hub.lock')
    child.process.kill('SIGSTOP')
    await utimes(lock, new Date(0), new Date(0))
    await expect(hub({ dir })).rejects.toMatchObject({ code: 'hub-server-busy' })
    child.process.kill('SIGCONT')
    await pushPrompt({ ...options, repo: 'me/other' })
    // As another machine does that has waited long enough.
    await writeFile(lock, `${formatProcess({ ...thisProcess(), host: 'elsewhere' })} abc\n`)
    const change = pushPrompt({ ...options, dir: await promptFolder(2), repo: 'me/sst2', attempts: 1 })
    await expect(change).rejects.toMatchObject({
      code: 'hub-unavailable',
      message: expect.stringContaining('Another hub has taken the folder'),
    })
    const heads = (await (await fetch(`${url}/api/models/me/sst2/revision/main`)).json()) as { sha: string }
    expect(heads.sha).toBe(commit)
  })

  it('takes over what a killed process had downloaded', async () => {
    const server = await hub()
    const { dir, files } = await bigFolder(1)
    await pushPrompt({ dir, repo: 'me/sst2', hubUrl: server.url, token: TOKEN })
    const cacheDir = await folder()
    const gone = start({ op: 'none' })
    await once(gone.process, 'close')
    const { createHash } = await import('node:crypto')
    const log = files.get('training_log.jsonl') as Buffer
    const id = createHash('sha1').update(`blob ${log.length}\0`).update(log).digest('hex')
    const half = join(
      cacheDir,
      'models--me--sst2',
      'blobs',
      `${id}+${formatProcess({ ...thisProcess(), pid: gone.process.pid ?? 0 })}.abc.1.incomplete`,
    )
    mkdirSync(join(half, '..'), { recursive: true })
    await writeFile(half, log.subarray(0, 1_000_000))
    const ranges: string[] = []
    const watched: typeof fetch = (input, init) => {
      const range = new Headers(init?.headers).get('range')
      if (range !== null && String(input).includes('training_log')) ranges.push(range)
      return fetch(input, init)
    }
    const pulled = await pullPrompt({ repo: 'me/sst2', hubUrl: server.url, cacheDir, fetch: watched })
    expect(ranges).toEqual(['bytes=1000000-'])
    expect(same(await readFiles(pulled.dir), files)).toBe(true)
  })
})
