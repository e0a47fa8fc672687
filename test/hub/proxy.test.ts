/** HTTP_PROXY, HTTPS_PROXY, NO_PROXY: a hub that only a proxy can reach, over real sockets. */
import { createServer, request as httpRequest } from 'node:http'
import { getGlobalDispatcher, ProxyAgent, setGlobalDispatcher } from 'undici'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { pullRepository } from '../../adapters/compose/pull.ts'
import { pushFolder } from '../../adapters/compose/push.ts'
import { readHubEnvironment } from '../../adapters/hub/environment.ts'
import { folder, hub, promptFiles, promptFolder, quickClock, readFiles, TOKEN } from './helpers.ts'

const closing: (() => void)[] = []
afterEach(() => {
  vi.unstubAllEnvs()
  for (const close of closing.splice(0)) close()
})

/** A proxy for http that sends every host to one port, and refuses tunnels after noting them. */
async function forwardProxy(port: number): Promise<{ url: string; host: string; seen: string[] }> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const { pathname, search } = new URL(request.url ?? '')
    const onward = httpRequest({ host: '127.0.0.1', port, method: request.method, path: pathname + search, headers: request.headers })
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  server.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    socket.end('HTTP/1.1 502 no\r\n\r\n')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  return { url: `http://${host}`, host, seen }
}

async function environment(variables: Readonly<Record<string, string>>): Promise<void> {
  const none = { HTTP_PROXY: '', http_proxy: '', HTTPS_PROXY: '', https_proxy: '', NO_PROXY: '', no_proxy: '' }
  const all = { ...none, HF_HOME: await folder(), HF_HUB_CACHE: '', HF_TOKEN: TOKEN, HF_HUB_OFFLINE: '', ...variables }
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value)
}

const pull = (): Promise<unknown> => pullRepository({ repo: 'me/none', clock: quickClock(), attempts: 1 })

describe('proxies', () => {
  it('push and pull go through HTTP_PROXY, by an address that the proxy alone knows', async () => {
    const server = await hub({ host: '0.0.0.0' }) // on loopback a hub answers to loopback names only
    const proxy = await forwardProxy(server.port)
    await environment({ HTTP_PROXY: proxy.url, HF_ENDPOINT: `http://hub.invalid:${server.port}` })
    await pushFolder({ dir: await promptFolder(), repo: 'me/sst2', keepCard: true })
    const { dir } = await pullRepository({ repo: 'me/sst2' })
    expect(await readFiles(dir)).toEqual(promptFiles())
    expect(proxy.seen.filter((line) => line.startsWith('POST http://hub.invalid:')).length).toBeGreaterThan(1)
    // An empty file needs no request.
    const sent = [...promptFiles().values()].filter((bytes) => bytes.length > 0)
    expect(proxy.seen.filter((line) => line.includes('/resolve/'))).toHaveLength(sent.length)
  })

  it('https asks HTTPS_PROXY for a tunnel; what fails there is a coded error without its password', async () => {
    const proxy = await forwardProxy(1)
    await environment({ HTTPS_PROXY: `http://me:pass-word@${proxy.host}`, HF_ENDPOINT: 'https://hub.invalid' })
    const error: unknown = await pullRepository({ repo: 'me/x', clock: quickClock(), attempts: 2 }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'hub-unreachable', message: expect.not.stringContaining('pass-word') })
    expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT hub.invalid:443 Basic ${Buffer.from('me:pass-word').toString('base64')}`]))
  })

  it('NO_PROXY and this machine go straight', async () => {
    const server = await hub({ host: '0.0.0.0' }) // on loopback a hub answers to loopback names only
    const proxy = await forwardProxy(server.port)
    await environment({ HTTP_PROXY: proxy.url, HF_ENDPOINT: `http://127.0.0.1:${server.port}` })
    await expect(pull()).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await environment({ HTTP_PROXY: proxy.url, NO_PROXY: '.invalid', HF_ENDPOINT: `http://hub.invalid:${server.port}` })
    await expect(pull()).rejects.toMatchObject({ code: 'hub-unreachable' })
    expect(proxy.seen).toEqual([])
    await environment({ HTTP_PROXY: proxy.url, NO_PROXY: 'other.invalid', HF_ENDPOINT: `http://hub.invalid:${server.port}` })
    await expect(pull()).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    expect(proxy.seen).toHaveLength(1)
  })

  it('a proxy that the app gave to fetch holds for every request', async () => {
    const server = await hub({ host: '0.0.0.0' })
    const proxy = await forwardProxy(server.port)
    await environment({ HF_ENDPOINT: `http://hub.invalid:${server.port}` })
    const before = getGlobalDispatcher()
    setGlobalDispatcher(new ProxyAgent({ uri: proxy.url, proxyTunnel: false }))
    try {
      await pushFolder({ dir: await promptFolder(), repo: 'me/sst2', keepCard: true })
      proxy.seen.length = 0
      const { files } = await pullRepository({ repo: 'me/sst2' })
      expect(files).toHaveLength(promptFiles().size)
      expect(proxy.seen[0]).toMatch(/^GET http:\/\/hub\.invalid:\d+\/api\/models\/me\/sst2\/revision\/main/)
    } finally {
      setGlobalDispatcher(before)
    }
  })

  it('an address that is none is refused without being shown', () => {
    expect(readHubEnvironment({}).fetch).toBeUndefined()
    for (const bad of ['ftp://me:pass-word@x', 'http://me:pass-word@:::', 'socks5://me:pass-word@x']) {
      expect(() => readHubEnvironment({ https_proxy: bad })).toThrow(
        expect.objectContaining({ code: 'hub-proxy', message: expect.not.stringContaining('pass-word') }),
      )
    }
  })
})
