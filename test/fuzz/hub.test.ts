/** Unsound requests to a real hub over loopback: each is answered, none by an error of the hub's own. `FUZZ_RUNS=100000` for the long run, `FUZZ_SEED` for another. */
import { Agent, request } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startHub } from '../../adapters/hub/server/start.ts'
import { requests, type Made } from './requests.ts'

const runs = Number(process.env['FUZZ_RUNS'] ?? 3000)
const seed = Number(process.env['FUZZ_SEED'] ?? 20_260_101)
const WRITER = 'hf_fuzzWriter0123456789abcdef'
const READER = 'hf_fuzzReader0123456789abcdef'
/** Requests on the way at once. */
const AT_ONCE = 8

interface Sent {
  /** 0: the connection was closed, as Node does with what is no HTTP. */
  readonly status: number
  readonly text: string
}

const send = (port: number, agent: Agent, { method, target, headers, body }: Made): Promise<Sent> =>
  new Promise((done) => {
    // Bodies of known length, unless they are sent in chunks.
    const length = headers['transfer-encoding'] === undefined ? { 'content-length': String(body.length) } : {}
    const sent = request({ host: '127.0.0.1', port, agent, method, path: target, headers: { ...length, ...headers } }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => done({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }))
      answer.on('error', () => done({ status: 0, text: '' }))
    })
    sent.on('error', () => done({ status: 0, text: '' }))
    sent.end(body)
  })

it(`answers ${runs} unsound requests`, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-fuzz-'))
  const own: unknown[] = []
  const account = { name: 'me', orgs: ['team'] } as const
  const hub = await startHub({
    dir,
    tokens: { [WRITER]: { ...account, role: 'write' }, [READER]: { ...account, role: 'read' } },
    onError: (error) => own.push(error),
  })
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const json = (body: string): Made => ({
    method: 'POST',
    target: '/api/repos/create',
    headers: { authorization: `Bearer ${WRITER}` },
    body: Buffer.from(body),
  })
  const make = async (): Promise<void> => {
    for (const body of ['{"name":"x"}', '{"name":"d","type":"dataset"}']) await send(hub.port, agent, json(body))
  }
  await make()
  const next = requests(seed, [WRITER, READER])
  const counts = new Map<number, number>()
  const wrong: string[] = []
  let left = runs
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const made = next()
      const { status, text } = await send(hub.port, agent, made)
      counts.set(status, (counts.get(status) ?? 0) + 1)
      const forged = text.startsWith('{"error"') && /[\p{Cc}\u202e]/u.test((JSON.parse(text) as { error: string }).error)
      if (status >= 500 || forged)
        wrong.push(
          `${status} ${made.method} ${made.target.slice(0, 300)} ${JSON.stringify(made.headers)} ${made.body.toString().slice(0, 300)}`,
        )
      // A sound deletion is sound: what the others need is made again.
      if (made.target === '/api/repos/delete' && status === 200) await make()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  // It goes on.
  expect((await send(hub.port, agent, { method: 'GET', target: '/', headers: {}, body: Buffer.alloc(0) })).status).toBe(200)
  agent.destroy()
  await hub.close()
  await rm(dir, { recursive: true, force: true })
  if (process.env['FUZZ_RUNS'] !== undefined) {
    const told = [...counts].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
    process.stdout.write(`${runs} requests to a hub: ${told.join(', ')}; of its own errors ${own.length}\n`)
  }
  expect(wrong.slice(0, 5)).toEqual([])
  expect(own.slice(0, 3)).toEqual([])
  // The checks behind the first are reached, and not only they.
  for (const status of [200, 400, 401, 403, 404, 409]) expect([status, (counts.get(status) ?? 0) > 0]).toEqual([status, true])
  expect(counts.get(200)).toBeGreaterThan(runs / 10)
}, 3_600_000)
