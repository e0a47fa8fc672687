/** doctor, as people run it: what is there is told, what is wrong is an exit code, and a token is never shown. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { folder, hub, READ_TOKEN, TOKEN } from '../hub/helpers.ts'
import { compile, type Compiled } from './child.ts'

let cli: Compiled
let home = ''

beforeAll(() => {
  cli = compile()
})
beforeEach(async () => {
  home = await folder()
  const { url } = await hub()
  const none = { HTTP_PROXY: '', http_proxy: '', HTTPS_PROXY: '', https_proxy: '', HF_HUB_OFFLINE: '', HF_HUB_CACHE: '' }
  for (const [name, value] of Object.entries({ ...none, HF_ENDPOINT: url, HF_TOKEN: TOKEN, HF_HOME: home })) vi.stubEnv(name, value)
})
afterEach(() => vi.unstubAllEnvs())
afterAll(() => cli.remove())

interface Found {
  readonly name: string
  readonly standing: string
  readonly detail: string
  readonly code?: string
}

async function examine(...args: string[]): Promise<{ code: number | null; of: (name: string) => Found | undefined; text: string }> {
  const { code, stdout, stderr } = await cli.run(['doctor', '--json', ...args])
  const found = JSON.parse(stdout) as Found[]
  return { code, of: (name) => found.find((each) => each.name === name), text: stdout + stderr }
}

it('tells of node, packages, devices, cache, token and hub', async () => {
  const { code, of, text } = await examine()
  expect(code).toBe(0)
  expect(of('node')?.detail).toContain(process.version)
  for (const name of ['onnxruntime-node', '@huggingface/transformers', '@tensorflow/tfjs-core']) {
    expect(of(name)).toMatchObject({ standing: 'ok', detail: expect.stringMatching(/^\d+\.\d+\.\d+\S* in .*node_modules/) })
  }
  expect(of('device cpu')).toMatchObject({ standing: 'ok' })
  expect(of('cache')).toMatchObject({ standing: 'ok', detail: expect.stringContaining(home) })
  expect(of('token')).toMatchObject({ standing: 'ok', detail: 'set' })
  expect(of('hub')).toMatchObject({ standing: 'ok', detail: expect.stringContaining('answers') })
  for (const token of [TOKEN, READ_TOKEN]) expect(text).not.toContain(token)
})

it('finds two copies of a runtime, a cache that cannot be, and a token that is not valid', async () => {
  const copy = join(home, 'node_modules/onnxruntime-node')
  mkdirSync(copy, { recursive: true })
  writeFileSync(join(copy, 'package.json'), '{"name":"onnxruntime-node","version":"1.30.9"}')
  writeFileSync(join(copy, 'index.js'), '')
  writeFileSync(join(home, 'file'), '')
  vi.stubEnv('HF_HUB_CACHE', join(home, 'file/hub'))
  vi.stubEnv('HF_TOKEN', 'hf_noSuchToken0123456789')
  const { code, of, text } = await examine('--app', home)
  expect(code).toBe(1)
  expect(of('onnxruntime-node')).toMatchObject({
    standing: 'warning',
    detail: expect.stringMatching(/^2 copies, 1\.30\.9 in .* and \d+\.\d+\.\d+ in .*overrides/),
  })
  expect(of('cache')).toMatchObject({ standing: 'failed', code: 'doctor-cache' })
  expect(of('hub')).toMatchObject({ standing: 'failed', code: 'hub-unauthorized' })
  expect(text).not.toContain('noSuchToken')
})

it('tells of a version that was never tried', async () => {
  const copy = join(home, 'node_modules/onnxruntime-node')
  mkdirSync(copy, { recursive: true })
  writeFileSync(join(copy, 'package.json'), '{"name":"onnxruntime-node","version":"1.9.0"}')
  writeFileSync(join(copy, 'index.js'), '')
  const { of } = await examine('--app', home)
  expect(of('onnxruntime-node')).toMatchObject({
    standing: 'warning',
    code: 'doctor-version',
    detail: expect.stringMatching(/^1\.9\.0 in .*: tried with 1\.30 or later, below 2/),
  })
})

it('says what it cannot reach, asks nobody offline, and refuses an address that is none', async () => {
  vi.stubEnv('HF_TOKEN', '')
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
  const away = await cli.run(['doctor'])
  expect(away).toMatchObject({ code: 1, stdout: expect.stringMatching(/^skipped  token: none.*\nfailed   hub: Cannot reach/m) })
  vi.stubEnv('HF_HUB_OFFLINE', '1')
  const offline = await examine()
  expect([offline.code, offline.of('hub')?.standing]).toEqual([0, 'skipped'])
  vi.stubEnv('HF_ENDPOINT', 'nonsense')
  expect(await cli.run(['doctor'])).toMatchObject({ code: 1, stderr: expect.stringContaining('[hub-endpoint]') })
})
