/** Requests of the hub's API over real sockets: what is read by node:http and what is left to fetch, with one set of rules. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { download } from '../../adapters/hub/download.ts'
import { ask, askJson } from '../../adapters/hub/fetch.ts'
import { resolveCommit } from '../../adapters/hub/remote.ts'
import { folder, quickClock, TOKEN } from './helpers.ts'

// As in a fresh process, where small requests need no fetch.
vi.mock(import('../../adapters/hub/get.ts'), async (original) => ({ ...(await original()), isFetchUntouched: () => true }))

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

interface Heard {
  readonly url: string
  readonly heard: IncomingMessage['headers'][]
}

async function serve(answer: RequestListener): Promise<Heard> {
  const heard: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    heard.push(request.headers)
    answer(request, response)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard }
}

const json = (response: ServerResponse, value: unknown): void =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))

function* endless<T>(part: T): Generator<T> {
  for (;;) yield part
}

const sha = 'ab'.repeat(20)
const model = { type: 'model', name: 'me/old' } as const

describe('refusals', () => {
  it.each([
    [401, '', TOKEN, 'hub-unauthorized', 'token is not valid'],
    [401, '', undefined, 'hub-unauthorized', 'set HF_TOKEN'],
    [403, '', TOKEN, 'hub-forbidden', 'write access'],
    [403, 'GatedRepo', TOKEN, 'hub-gated', 'ask for access'],
    [401, 'GatedRepo', undefined, 'hub-gated', 'hf auth login'],
    [404, '', TOKEN, 'hub-not-found', 'HF_ENDPOINT'],
    [404, 'RepoNotFound', undefined, 'hub-repo-not-found', 'if it is private, set HF_TOKEN'],
    [404, 'RevisionNotFound', TOKEN, 'hub-revision-not-found', '--revision'],
    [404, 'EntryNotFound', TOKEN, 'hub-file-not-found', 'no such file'],
    [409, '', TOKEN, 'hub-conflict', 'try again'],
    [412, '', TOKEN, 'hub-changed', 'nothing was overwritten'],
    [413, '', TOKEN, 'hub-too-large', 'size'],
    [429, '', TOKEN, 'hub-rate-limited', 'try again in 9 s'],
    [400, '', TOKEN, 'hub-refused', 'refused'],
    [500, '', TOKEN, 'hub-unavailable', 'later'],
    [503, '', TOKEN, 'hub-unavailable', 'later'],
  ] as const)('%i %s has a code and says what to do', async (status, errorCode, token, code, advice) => {
    const { url, heard } = await serve((_, response) =>
      response
        .writeHead(status, { ...(errorCode ? { 'x-error-code': errorCode } : {}), 'retry-after': '9' })
        .end(`{"error":"no, ${token ?? 'you'}"}`),
    )
    const refused = askJson({ hubUrl: url, token, clock: quickClock() }, `${url}/api/models/me/x`)
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringContaining(advice), facts: { status } })
    // Only what may pass is tried again.
    expect(heard).toHaveLength(status === 429 || status >= 500 ? 5 : 1)
  })
})

describe('requests', () => {
  it('follow a repository that was renamed, and take no token to another host', async () => {
    const other = await serve((_, response) => json(response, { sha }))
    const elsewhere = other.url.replace('127.0.0.1', 'localhost')
    const { url, heard } = await serve((request, response) => {
      if (request.url?.includes('/me/new/')) return json(response, { sha })
      const location = request.url?.includes('/me/old/') ? '/api/models/me/new/revision/main' : `${elsewhere}/x`
      response.writeHead(307, { location }).end()
    })
    const access = { hubUrl: url, token: TOKEN, clock: quickClock(), attempts: 1 }
    expect(await resolveCommit(access, model, 'main')).toBe(sha)
    expect(heard.map(({ authorization }) => authorization)).toEqual(Array(heard.length).fill(`Bearer ${TOKEN}`))
    expect(await resolveCommit(access, { ...model, name: 'me/far' }, 'main')).toBe(sha)
    expect(await askJson({ ...access, hubUrl: 'http://127.0.0.1:9' }, `${other.url}/y`)).toEqual({ sha })
    expect(other.heard.map(({ authorization }) => authorization)).toEqual([undefined, undefined])
    expect(heard[0]?.['user-agent']).toBe('soft-prompts')
  })

  it('fetch a file from the store that a hub sends us to, without the token, and go on there', async () => {
    const bytes = Buffer.from('the bytes of a large file')
    let broken = false
    const store = await serve((request, response) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}
      response.writeHead(start > 0 ? 206 : 200, { ...range, 'content-length': bytes.length - start })
      if (broken) return void response.end(bytes.subarray(start))
      broken = true
      response.write(bytes.subarray(0, 10), () => setTimeout(() => response.destroy(), 50))
    })
    const elsewhere = store.url.replace('127.0.0.1', 'localhost')
    const { url, heard } = await serve((_, response) => void response.writeHead(302, { location: `${elsewhere}/signed?x=1` }).end())
    const path = join(await folder(), 'blob')
    const digest = { algorithm: 'sha256', hex: createHash('sha256').update(bytes).digest('hex') } as const
    const wanted = { path: 'model.safetensors', size: bytes.length, digest }
    await download({ hubUrl: url, token: TOKEN, clock: quickClock() }, model, sha, wanted, path, () => {})
    expect(await readFile(path)).toEqual(bytes)
    expect(heard.map(({ authorization }) => authorization)).toEqual([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`])
    expect(store.heard.map(({ authorization, range }) => [authorization, range])).toEqual([
      [undefined, undefined],
      [undefined, 'bytes=10-'],
    ])
  })

  it('read compressed answers', async () => {
    const { url } = await serve((_, response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(`{"sha":"${sha}"}`)),
    )
    expect(await resolveCommit({ hubUrl: url }, model, 'main')).toBe(sha)
  })

  it('end when nothing comes, before the answer or amid it, and when the caller stops', async () => {
    for (const begin of [() => {}, (response: ServerResponse) => void response.writeHead(200).write('{"sha":')]) {
      const stop = new AbortController()
      let isStopped = false
      const { url } = await serve((_, response) => {
        begin(response)
        if (isStopped) stop.abort(new RangeError('enough'))
      })
      const clock = quickClock()
      const access = { hubUrl: url, clock, timeoutMs: 200, attempts: 2 }
      await expect(askJson(access, `${url}/x`)).rejects.toMatchObject({ code: 'hub-timeout' })
      // Two tries: a busy machine may have ended one before it was heard.
      expect(clock.waits).toHaveLength(1)
      isStopped = true
      await expect(askJson({ ...access, timeoutMs: 60_000, signal: stop.signal }, `${url}/x`)).rejects.toThrow('enough')
    }
  })

  it('refuse an answer without end, by what it says and by what comes', async () => {
    const part = Buffer.alloc(8 << 20)
    // As fast as it is read, until nobody reads any more.
    const flood = (response: ServerResponse): void => void Readable.from(endless(part)).pipe(response)
    for (const declared of [{ 'content-length': String(40 << 20) }, {}]) {
      const { url } = await serve((_, response) => flood(response.writeHead(200, declared)))
      await expect(ask({ hubUrl: url, attempts: 1 }, `${url}/x`)).rejects.toMatchObject({ code: 'hub-answer-size' })
    }
  })

  it('by the caller’s own fetch obey the same rules', async () => {
    const asked: string[] = []
    const own: typeof fetch = async (input, init) => {
      asked.push(`${String(input)} ${new Headers(init?.headers).get('authorization')}`)
      return new Response(null, { status: asked.length < 3 ? 503 : 404, headers: { 'x-error-code': 'RepoNotFound' } })
    }
    const clock = quickClock()
    const access = { hubUrl: 'http://hub.invalid', token: TOKEN, clock, fetch: own }
    await expect(resolveCommit(access, model, 'main')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    expect(asked).toEqual(Array(3).fill(`http://hub.invalid/api/models/me/old/revision/main?expand=sha Bearer ${TOKEN}`))
    expect(clock.waits).toHaveLength(2)
  })
})
