/** HTTPS_PROXY: push and pull through a tunnel to a hub that speaks TLS, by a certificate that NODE_EXTRA_CA_CERTS names; the commands as people run them. */
import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { compile, type Compiled } from '../scripts/child.ts'
import { folder, hub, promptFiles, promptFolder, readFiles, TOKEN } from './helpers.ts'

const tls = join(import.meta.dirname, '../fixtures/tls')
const certificate = join(tls, 'certificate.pem')
let cli: Compiled
const servers: Server[] = []

beforeAll(() => {
  cli = compile()
})
afterEach(() => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) server.close()
})
afterAll(() => cli.remove())

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

/** TLS in front of a server. */
const secured = (port: number): Promise<number> => {
  const keys = { key: readFileSync(join(tls, 'key.pem')), cert: readFileSync(certificate) }
  const server = createTlsServer(keys, (request, response) => {
    const headers = { ...request.headers, 'x-forwarded-proto': 'https' }
    const onward = httpRequest({ host: '127.0.0.1', port, method: request.method, path: request.url, headers })
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  return listen(server)
}

/** A proxy whose tunnels all end at one port. */
async function tunnels(port: number): Promise<{ proxy: string; seen: string[] }> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    response.writeHead(502).end()
  })
  server.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url}`)
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    for (const each of [socket, onward]) each.on('error', () => each.destroy())
  })
  return { proxy: `http://127.0.0.1:${await listen(server)}`, seen }
}

it('push and pull go through a tunnel to a hub of TLS, where its certificate is trusted', async () => {
  const server = await hub({ host: '0.0.0.0' }) // on loopback a hub answers to loopback names only
  const port = await secured(server.port)
  const { proxy, seen } = await tunnels(port)
  const none = { HTTP_PROXY: '', http_proxy: '', https_proxy: '', NO_PROXY: '', no_proxy: '', HF_HUB_CACHE: '', HF_HUB_OFFLINE: '' }
  const own = { HF_HOME: await folder(), HF_TOKEN: TOKEN, HF_ENDPOINT: 'https://hub.invalid', HTTPS_PROXY: proxy }
  for (const [name, value] of Object.entries({ ...none, ...own })) vi.stubEnv(name, value)
  const dir = await promptFolder()
  const refused = await cli.run(['pull', 'me/sst2', '--debug'])
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('NODE_EXTRA_CA_CERTS') })
  vi.stubEnv('NODE_EXTRA_CA_CERTS', certificate)
  expect(await cli.run(['push', dir, 'me/sst2', '--keep-card'])).toMatchObject({
    code: 0,
    stderr: 'making me/sst2\nsending one commit to me/sst2\n',
  })
  const out = join(await folder(), 'out')
  expect((await cli.run(['pull', 'me/sst2', '--out', out])).code).toBe(0)
  expect(await readFiles(out)).toEqual(promptFiles())
  expect(new Set(seen)).toEqual(new Set(['CONNECT hub.invalid:443']))
  // Without a proxy: what is read without fetch trusts the same certificates.
  vi.stubEnv('HTTPS_PROXY', '')
  vi.stubEnv('HF_ENDPOINT', `https://127.0.0.1:${port}`)
  const tunnelled = seen.length
  expect((await cli.run(['pull', 'me/sst2', '--json'])).code).toBe(0)
  expect(seen).toHaveLength(tunnelled)
  vi.stubEnv('NODE_EXTRA_CA_CERTS', '')
  expect((await cli.run(['pull', 'me/sst2'])).stderr).toMatch(/NODE_EXTRA_CA_CERTS.*\[hub-certificate\]/)
})
