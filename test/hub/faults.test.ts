/** Each step of push and pull, spoilt once or for good: afterwards the old state or the new one, and a rerun succeeds. */
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { HubError, SoftPromptError } from '../../src/errors.ts'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { ATTEMPTS, type Clock } from '../../adapters/hub/retry.ts'
import type { Hub } from '../../adapters/hub/server/start.ts'
import {
  faultProxy,
  folder,
  hub,
  promptFiles,
  promptFolder,
  quickClock,
  readFiles,
  same,
  TOKEN,
  writeFiles,
  type FaultKind,
} from './helpers.ts'

// As in a fresh process, where small requests need no fetch.
vi.mock(import('../../adapters/hub/get.ts'), async (original) => ({ ...(await original()), isFetchUntouched: () => true }))

/** Long beside what a request takes here, so that only what is delayed runs out of time. */
const TIMEOUT_MS = 400

const LATE: FaultKind = { kind: 'delay', ms: 3000 }

const KINDS: readonly FaultKind[] = [
  { kind: 'drop' },
  LATE,
  { kind: 'lose' },
  { kind: 'truncate' },
  { kind: 'short' },
  { kind: 'corrupt' },
  { kind: 'spoil' },
  { kind: 'status', status: 429, retryAfter: '2' },
  { kind: 'status', status: 500 },
]

/** Faults that no retry can see. */
const SPOILS: ReadonlySet<string> = new Set(['corrupt', 'spoil'])

const isOneOf = (files: ReadonlyMap<string, Buffer>, ...states: readonly ReadonlyMap<string, Buffer>[]): boolean =>
  states.some((state) => same(files, state))

/** Over the proxy that spoils; with little patience where answers come late. */
const over = (hubUrl: string, fault: FaultKind): { hubUrl: string; clock: Clock; timeoutMs: number } => ({
  hubUrl,
  clock: quickClock(),
  timeoutMs: fault.kind === 'delay' ? TIMEOUT_MS : 30_000,
})

/** Does the work once for each request that it makes, with that one spoilt, four at a time. */
async function eachRequest(server: Hub, fault: FaultKind, work: (at: number, url: string) => Promise<void>): Promise<void> {
  const sound = await faultProxy(server, () => undefined)
  await work(0, sound.url)
  expect(sound.seen.length).toBeGreaterThan(5)
  const requests = sound.seen.keys()
  const worker = async (): Promise<void> => {
    for (const before of requests) {
      const proxy = await faultProxy(server, (_, count) => (count === before + 1 ? fault : undefined))
      await work(before + 1, proxy.url)
      expect(proxy.seen.length).toBeGreaterThan(before)
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}

describe.each(KINDS.map((fault) => [`${fault.kind}${'status' in fault ? ` ${fault.status}` : ''}`, fault] as const))('%s', (_, fault) => {
  it('at each request of a push', async () => {
    const server = await hub()
    const options = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    const dirs = [await promptFolder(1), await promptFolder(2)] as const
    await pushPrompt({ ...options, dir: dirs[0] })
    let outcomes = ''
    for (let at = 1; at < 20; at += 1) {
      // From the first prompt to the second, and back.
      const [old, fresh, dir] = at % 2 === 1 ? [promptFiles(1), promptFiles(2), dirs[1]] : [promptFiles(2), promptFiles(1), dirs[0]]
      const proxy = await faultProxy(server, (__, count) => (count === at ? fault : undefined))
      const failure: unknown = await pushPrompt({ ...options, ...over(proxy.url, fault), dir }).catch((error: unknown) => error)
      const coded = failure instanceof SoftPromptError
      expect(failure instanceof Error && !coded ? failure : undefined).toBeUndefined()
      const state = await readFiles((await pullPrompt({ ...options, cacheDir: await folder() })).dir)
      // A commit spoilt on the way in is the one thing a hub cannot see: push says so.
      expect((coded && failure.code === 'hub-corrupt') || isOneOf(state, fresh, ...(coded ? [old] : []))).toBe(true)
      outcomes += coded ? '-' : '+'
      if (coded) await pushPrompt({ ...options, dir })
      if (proxy.seen.length < at) break
    }
    expect(outcomes.length).toBeGreaterThanOrEqual(6)
    // What passes by itself is tried again; only bytes that came through wrong may be an error.
    expect(outcomes).toMatch(SPOILS.has(fault.kind) ? /^[+-]+$/ : /^\++$/)
  })

  it('at each request of a first push, which makes the repository and a branch', async () => {
    const server = await hub()
    const options = { hubUrl: server.url, token: TOKEN, dir: await promptFolder(1), branch: 'better' }
    await eachRequest(server, fault, async (at, url) => {
      const repo = `me/new${at}`
      const failure: unknown = await pushPrompt({ ...options, repo, ...over(url, fault) }).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(failure === undefined || (failure instanceof SoftPromptError && SPOILS.has(fault.kind))).toBe(true)
      // A rerun ends at the whole prompt, whatever the first run left.
      if (failure !== undefined) await pushPrompt({ ...options, repo })
      const pulled = await pullPrompt({ repo, hubUrl: server.url, revision: 'better', cacheDir: await folder() })
      expect(isOneOf(await readFiles(pulled.dir), promptFiles(1))).toBe(true)
    })
  })

  it('at each request of a pull', async () => {
    const server = await hub()
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir: await promptFolder(1) })
    await eachRequest(server, fault, async (_at, url) => {
      const cacheDir = await folder()
      const out = join(await folder(), 'out')
      const options = { repo: 'me/sst2', cacheDir, out }
      const failure: unknown = await pullPrompt({ ...options, ...over(url, fault) }).then(
        () => undefined,
        (error: unknown) => error,
      )
      // A listing that came through wrong but well-formed cannot be told from a true one; the bytes then disagree with it.
      expect(failure === undefined || (failure instanceof SoftPromptError && fault.kind === 'corrupt')).toBe(true)
      expect((await readdir(out).catch((): string[] => [])).includes('README.md')).toBe(failure === undefined)
      await pullPrompt({ ...options, hubUrl: server.url })
      expect(isOneOf(await readFiles(out), promptFiles(1))).toBe(true)
    })
  })
})

/** Delays the first request for it. */
const latePart =
  (part: string, seen = new Set<string>()) =>
  ({ url = '' }: { readonly url?: string | undefined }): FaultKind | undefined =>
    url.includes(part) && !seen.has(part) && seen.add(part) ? { kind: 'delay', ms: 3000 } : undefined

describe('a late answer', () => {
  it.each(['/revision/main', '/tree/', 'adapter_config.json'])('to %s is asked for once more', async (part) => {
    const server = await hub()
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir: await promptFolder(1) })
    const proxy = await faultProxy(server, latePart(part))
    const options = { ...over(proxy.url, LATE), clock: quickClock() }
    await pullPrompt({ repo: 'me/sst2', cacheDir: await folder(), ...options })
    expect(proxy.seen.filter((line) => line.includes(part))).toHaveLength(2)
    expect(options.clock.waits).toHaveLength(1)
  })

  it('to a commit is looked for: it is made once', async () => {
    const server = await hub()
    const options = { repo: 'me/sst2', token: TOKEN }
    await pushPrompt({ ...options, hubUrl: server.url, dir: await promptFolder(1) })
    const proxy = await faultProxy(server, latePart('/commit/main'))
    const { commit } = await pushPrompt({ ...options, ...over(proxy.url, LATE), dir: await promptFolder(2) })
    expect(proxy.seen.filter((line) => line.includes('/commit/main'))).toHaveLength(1)
    const commits = (await (await fetch(`${server.url}/api/models/me/sst2/commits/main`)).json()) as { id: string }[]
    expect(commits).toHaveLength(3) // that of the new repository, and one for each push
    expect(commits[0]?.id).toBe(commit)
  })
})

const spoilFiles =
  (fault: FaultKind) =>
  (request: { readonly url?: string | undefined }): FaultKind | undefined =>
    request.url?.includes('safetensors') ? fault : undefined

describe('for good', () => {
  it.each([
    [{ kind: 'drop' }, 'hub-unreachable'],
    [{ kind: 'corrupt' }, 'hub-corrupt'],
    [{ kind: 'status', status: 500 }, 'hub-unavailable'],
    [{ kind: 'status', status: 429, retryAfter: '7' }, 'hub-rate-limited'],
    [{ kind: 'hang' }, 'hub-timeout'],
  ] as const)('%j ends as %s and leaves the old state', async (fault, code) => {
    const server = await hub()
    const options = { repo: 'me/sst2', hubUrl: server.url, token: TOKEN }
    await pushPrompt({ ...options, dir: await promptFolder(1) })
    const cacheDir = await folder()
    const out = join(await folder(), 'out')
    await pullPrompt({ ...options, cacheDir, out })
    await pushPrompt({ ...options, dir: await promptFolder(2) })
    const proxy = await faultProxy(server, spoilFiles(fault))
    const clock = quickClock()
    // Only what hangs has to run out of time.
    const timeoutMs = fault.kind === 'hang' ? TIMEOUT_MS : 30_000
    const pull = pullPrompt({ ...options, hubUrl: proxy.url, cacheDir, out, force: true, clock, timeoutMs })
    await expect(pull).rejects.toMatchObject({ code })
    await expect(pull).rejects.toBeInstanceOf(HubError)
    expect(isOneOf(await readFiles(out), promptFiles(1))).toBe(true)
    expect(isOneOf(await readFiles((await pullPrompt({ ...options, cacheDir, offline: true })).dir), promptFiles(1))).toBe(true)
    expect((await readdir(cacheDir, { recursive: true })).filter((name) => /incomplete|unfinished|\.lock$/.test(name))).toEqual([])
    expect(proxy.seen.filter((line) => line.includes('safetensors'))).toHaveLength(ATTEMPTS)
    expect(clock.waits.filter((ms) => ms >= 100).length).toBeGreaterThanOrEqual(ATTEMPTS - 1)
    expect(clock.waits.every((ms) => ms >= 7000)).toBe(code === 'hub-rate-limited')
    await pullPrompt({ ...options, cacheDir, out, force: true })
    expect(isOneOf(await readFiles(out), promptFiles(2))).toBe(true)
  })

  it('a download that breaks goes on as long as bytes come; what came is kept when it gives up or is stopped', async () => {
    const server = await hub()
    const log = Buffer.from(Array.from({ length: 300_000 }, (_, step) => `{"step":${step},"loss":1}`).join('\n'))
    const files = promptFiles(1).set('training_log.jsonl', log)
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir: await writeFiles(join(await folder(), 'big'), files) })
    const cacheDir = await folder()
    const kept = async (): Promise<number[]> => {
      const names = (await readdir(cacheDir, { recursive: true })).filter((name) => name.endsWith('.incomplete'))
      return Promise.all(names.map(async (name) => (await stat(join(cacheDir, name))).size))
    }
    // More breaks than a request has tries, then nothing more.
    let sent = 0
    const proxy = await faultProxy(server, ({ url }) =>
      url?.includes('training_log') ? (++sent <= 7 ? { kind: 'short' } : { kind: 'status', status: 500 }) : undefined,
    )
    const options = { repo: 'me/sst2', cacheDir, clock: quickClock() }
    await expect(pullPrompt({ ...options, hubUrl: proxy.url })).rejects.toMatchObject({ code: 'hub-unavailable' })
    expect(sent).toBe(7 + 4)
    const [first = 0, ...others] = await kept()
    expect([first > 0.99 * log.length, others]).toEqual([true, []])
    // The caller stops: said so, and kept too.
    const stop = new AbortController()
    const hanging = await faultProxy(server, ({ url }) => {
      if (!url?.includes('training_log')) return undefined
      stop.abort(new RangeError('enough'))
      return { kind: 'hang' }
    })
    await expect(pullPrompt({ ...options, hubUrl: hanging.url, signal: stop.signal })).rejects.toMatchObject({ code: 'hub-aborted' })
    expect(await kept()).toEqual([first])
    const ranges: string[] = []
    const watched: typeof fetch = (input, init) => {
      ranges.push(new Headers(init?.headers).get('range') ?? '')
      return fetch(input, init)
    }
    const { dir } = await pullPrompt({ ...options, hubUrl: server.url, fetch: watched })
    expect(ranges).toContain(`bytes=${first}-`)
    expect(isOneOf(await readFiles(dir), files)).toBe(true)
    expect(await kept()).toEqual([])
  })

  it('a truncated download goes on where it stopped', async () => {
    const server = await hub()
    const big = promptFiles(1)
    const log = Buffer.from(Array.from({ length: 20_000 }, (_, step) => `{"step":${step},"loss":1}`).join('\n'))
    const dir = await writeFiles(join(await folder(), 'big'), big.set('training_log.jsonl', log))
    await pushPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, dir })
    let sent = 0
    const proxy = await faultProxy(server, (request) => {
      if (!request.url?.includes('training_log')) return undefined
      sent += 1
      return sent < 4 ? { kind: 'truncate' } : undefined
    })
    const ranges: (string | undefined)[] = []
    const watched: typeof fetch = (input, init) => {
      if (String(input).includes('training_log')) ranges.push(new Headers(init?.headers).get('range') ?? undefined)
      return fetch(input, init)
    }
    await pullPrompt({ repo: 'me/sst2', hubUrl: proxy.url, cacheDir: await folder(), clock: quickClock(), fetch: watched })
    // What was under way when the connection broke may be lost, so a start is not known to the byte: each lies behind the one before.
    const starts = ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]))
    expect(starts).toHaveLength(4)
    expect(starts[0]).toBe(0)
    expect(starts.every((start, index) => index === 0 || start > (starts[index - 1] as number))).toBe(true)
    expect(starts[1]).toBeLessThanOrEqual(log.length >> 1)
  })

  it('corrupt bytes in a cache that others wrote are fetched again', async () => {
    const server = await hub()
    const options = { repo: 'me/sst2', hubUrl: server.url, cacheDir: await folder() }
    await pushPrompt({ ...options, token: TOKEN, dir: await promptFolder(1) })
    const { dir } = await pullPrompt(options)
    const spoilt = promptFiles(1).get('adapter_model.safetensors') as Buffer
    spoilt[spoilt.length - 1]! ^= 1
    await writeFile(join(dir, 'adapter_model.safetensors'), spoilt)
    await pullPrompt(options)
    expect(isOneOf(await readFiles(dir), promptFiles(1))).toBe(true)
  })

  it('waits as Retry-After says, and not for hours', async () => {
    // Windows begin at full hours: the hub's clock stands at the start of one.
    const server = await hub({ rateLimit: { requests: 3, windowSeconds: 3600 }, now: () => new Date('2026-01-01T00:00:00Z') })
    const clock = quickClock()
    const pull = pullPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, cacheDir: await folder(), clock })
    await expect(pull).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    const more = (): Promise<unknown> => pullPrompt({ repo: 'me/sst2', hubUrl: server.url, token: TOKEN, cacheDir: 'none', clock })
    await expect(more()).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(more()).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(more()).rejects.toMatchObject({ code: 'hub-rate-limited', message: expect.stringMatching(/try again in \d+ s/) })
    expect(clock.waits).toEqual([])
  })
})
