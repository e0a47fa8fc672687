/** A hub that never ends: each way of it meets a bound of time, bytes or entries, over real connections. */
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../adapters/hub/retry.ts'
import { LONGEST_WAIT_MS, LONGEST_WAITS_MS, MOST_PAGES, RATE_WINDOW_MS } from '../../adapters/hub/bounds.ts'
import { pullPrompt, type Pulled } from '../../adapters/hub/pull.ts'
import { searchPrompts } from '../../adapters/hub/search.ts'
import { folder, promptFiles } from './helpers.ts'
import { entriesOf, hostileHub, json, sendFile, type Misdeeds } from './hostile.ts'

/** A clock by which a real millisecond is so many; what is waited for passes at once. */
function fastClock(times: number): Clock & { waits: number[] } {
  const began = Date.now()
  const waits: number[] = []
  let slept = 0
  return {
    waits,
    now: () => began + slept + times * (Date.now() - began),
    sleep: async (ms) => {
      waits.push(ms)
      slept += ms
    },
  }
}

async function pullFrom(misdeeds: Misdeeds, clock: Clock = fastClock(1)): Promise<{ pull: Promise<Pulled>; seen: string[] }> {
  const { url, seen } = await hostileHub(misdeeds)
  return { pull: pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir: await folder(), clock }), seen }
}

/** A page that leads to another. */
const link = (url: string, page: number): Record<string, string> => ({ link: `<${url}/api/models/me/x/tree/x?page=${page}>; rel="next"` })

const CONFIG = promptFiles().get('adapter_config.json') as Buffer

describe('a listing', () => {
  it.each([
    ['of empty pages', () => [], 'hub-endless', `${MOST_PAGES} pages`],
    [
      'of folders only',
      (page: number) =>
        Array.from({ length: 1000 }, (_, at) => ({ type: 'directory', path: `d${page}-${at}`, oid: 'd'.repeat(40), size: 0 })),
      'hub-too-many-files',
      '40000 files and folders',
    ],
    [
      'of files',
      (page: number) => Array.from({ length: 1000 }, (_, at) => ({ type: 'file', path: `d${page}-${at}`, oid: 'd'.repeat(40), size: 0 })),
      'hub-too-many-files',
      '20000 files',
    ],
    [
      'of wide pages',
      (page: number) => [{ type: 'directory', path: `d${page}`, more: 'x'.repeat(8 << 20) }],
      'hub-endless',
      '67108864 bytes',
    ],
  ] as const)('%s ends', async (_, page, code, why) => {
    const { pull, seen } = await pullFrom({
      tree: (request, response, count) => json(response, page(count), link(`http://${request.headers.host}`, count + 1)),
    })
    await expect(pull).rejects.toMatchObject({ code, message: expect.stringContaining(why) })
    expect(seen.length).toBeLessThanOrEqual(MOST_PAGES + 1)
  })

  it('of pages that each come just in time ends', async () => {
    const { pull, seen } = await pullFrom(
      {
        tree: (request, response, count) => void setTimeout(() => json(response, [], link(`http://${request.headers.host}`, count + 1)), 5),
      },
      fastClock(5_000),
    )
    await expect(pull).rejects.toMatchObject({ code: 'hub-endless', message: expect.stringContaining('600 s') })
    expect(seen.length).toBeLessThan(100)
  })

  it('of a search ends', async () => {
    const { url } = await hostileHub({ revision: (_, response) => json(response, []) })
    const endless = await hostileHub({})
    const send: typeof fetch = async (input, init) => {
      const response = await fetch(String(input).replace(endless.url, url).replace('/api/models', '/revision/'), init)
      return new Response(await response.text(), {
        headers: { 'content-type': 'application/json', link: `<${endless.url}/api/models?next>; rel="next"` },
      })
    }
    await expect(searchPrompts({ hubUrl: endless.url, fetch: send })).rejects.toMatchObject({ code: 'hub-endless' })
  })
})

describe('a file', () => {
  it('that comes a byte at a time ends, though no byte is late', async () => {
    const clock = fastClock(2_000)
    const { pull, seen } = await pullFrom(
      {
        file: (_, response) => {
          response.writeHead(200, { 'content-length': String(CONFIG.length) })
          let at = 0
          const timer = setInterval(() => response.write(CONFIG.subarray(at, (at += 1))), 5)
          response.on('close', () => clearInterval(timer))
        },
      },
      clock,
    )
    await expect(pull).rejects.toMatchObject({ code: 'hub-slow', message: expect.stringContaining('adapter_config.json') })
    expect(seen.filter((line) => line.endsWith('adapter_config.json'))).toHaveLength(5)
    expect(RATE_WINDOW_MS / 2_000).toBe(30) // real milliseconds of a try
  })

  it('that comes a byte a connection ends', async () => {
    const { pull, seen } = await pullFrom({
      file: (request, response) => {
        const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
        response.writeHead(206, {
          'content-range': `bytes ${start}-${CONFIG.length - 1}/${CONFIG.length}`,
          'content-length': String(CONFIG.length - start),
        })
        response.write(CONFIG.subarray(start, start + 1), () => request.socket.destroy())
      },
    })
    await expect(pull).rejects.toMatchObject({ code: expect.stringMatching(/^hub-(truncated|unreachable)$/) })
    expect(seen.filter((line) => line.endsWith('adapter_config.json'))).toHaveLength(5)
  })

  it('that begins anew each time it comes a little further ends', async () => {
    const large = Buffer.alloc(400_000, 'x')
    const files = promptFiles().set('adapter_config.json', large)
    let sent = 0
    const { pull, seen } = await pullFrom({
      files,
      // It knows no ranges, and breaks off 40 kB later than before.
      file: (request, response, count) => {
        const part = large.subarray(0, Math.min(large.length - 1, 40_000 * count))
        sent += part.length
        response.writeHead(200, { 'content-length': String(large.length) })
        response.write(part, () => setTimeout(() => request.socket.destroy(), 20))
      },
    })
    await expect(pull).rejects.toMatchObject({ code: expect.stringMatching(/^hub-(endless|truncated|unreachable)$/) })
    expect(sent).toBeLessThan(9 * large.length)
    expect(seen.filter((line) => line.endsWith('adapter_config.json')).length).toBeLessThan(20)
  })

  it('that is sent for ever is left at its listed size', async () => {
    const { pull } = await pullFrom({
      file: (_, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write(Buffer.alloc(100_000)), 1)
        response.on('close', () => clearInterval(timer))
      },
    })
    await expect(pull).rejects.toMatchObject({ code: expect.stringMatching(/^hub-(corrupt|endless)$/) })
  })
})

describe('Retry-After', () => {
  it('is waited for once in full, not again and again', async () => {
    const clock = fastClock(1)
    const { pull } = await pullFrom({ revision: (_, response) => void response.writeHead(429, { 'retry-after': '299' }).end() }, clock)
    await expect(pull).rejects.toMatchObject({ code: 'hub-rate-limited' })
    expect(clock.waits).toEqual([299_000])
    expect(LONGEST_WAIT_MS).toBe(300_000)
  })

  it('of all requests of a pull is bounded together', async () => {
    const clock = fastClock(1)
    const files = promptFiles()
    for (let run = 0; run < 40; run++) files.set(`runs/events.${run}`, Buffer.from([run]))
    const asked = new Set<string>()
    const { url } = await hostileHub({ files })
    // Each file asks for patience once.
    const send: typeof fetch = async (input, init) => {
      const path = String(input)
      if (!path.includes('/resolve/') || asked.has(path)) return fetch(input, init)
      asked.add(path)
      return new Response('', { status: 429, headers: { 'retry-after': '290' } })
    }
    await expect(pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir: await folder(), clock, fetch: send })).rejects.toMatchObject({
      code: 'hub-rate-limited',
    })
    expect(clock.waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(LONGEST_WAITS_MS)
  })
})

it('an honest hub of the same making is pulled from', async () => {
  const { pull } = await pullFrom({
    tree: (_, response) => json(response, entriesOf(promptFiles())),
    file: (request, response) => sendFile(request, response, CONFIG),
  })
  expect((await pull).files).toHaveLength(promptFiles().size)
})
