/** Commands whose base model is not there yet: what people see while it comes, and Ctrl-C meanwhile. */
import { commit, createRepo } from '@huggingface/hub'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { compile, type Compiled } from '../scripts/child.ts'
import { faultProxy, folder, hub, TOKEN, writeFiles, type Fault } from './helpers.ts'

const MODEL = new URL('../../models/t5-tiny-en/', import.meta.url).pathname
const FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

let cli: Compiled
beforeAll(() => {
  cli = compile()
})
afterAll(() => cli.remove())
afterEach(() => vi.unstubAllEnvs())

/** A hub with the shipped base as team/t5, behind what spoils requests. @returns the requests, and a training on that base */
async function served(fault: Fault = () => undefined): Promise<{ url: string; seen: string[]; train: string[] }> {
  const server = await hub()
  const { url, seen } = await faultProxy(server, fault)
  const cacheDir = await folder()
  for (const [name, value] of Object.entries({ HF_ENDPOINT: url, HF_HUB_CACHE: cacheDir, HF_TOKEN: TOKEN, HF_HUB_OFFLINE: '' })) {
    vi.stubEnv(name, value)
  }
  const access = { hubUrl: server.url, accessToken: TOKEN, repo: 'team/t5' }
  await createRepo(access)
  const read = FILES.map(async (path) => ({
    operation: 'addOrUpdate' as const,
    path,
    content: new Blob([await readFile(join(MODEL, path))]),
  }))
  await commit({ ...access, title: 'model', operations: await Promise.all(read), useXet: false })
  const rows = ['good', 'bad'].map((word) => JSON.stringify({ input: `a ${word} film`, target: word })).join('\n')
  const dir = await writeFiles(await folder(), new Map([['rows.jsonl', Buffer.from(rows)]]))
  return {
    url: server.url,
    seen,
    train: ['train', '--model', 'team/t5', '--data', join(dir, 'rows.jsonl'), '--out', join(dir, 'out'), '--length', '2', '--steps', '1'],
  }
}

it('train shows the download, once', async () => {
  const { train } = await served()
  const first = await cli.run(train)
  expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(/^base model, MB \d+\/\d+ .* left$/m)])
  const again = await cli.run([...train, '--overwrite'])
  expect([again.code, again.stderr]).toEqual([0, expect.not.stringContaining('base model, MB')])
})

it('train begins from a prompt on the Hub, and is as long', async () => {
  const { url, train } = await served()
  const out = train[train.indexOf('--out') + 1] as string
  expect((await cli.run(train)).code).toBe(0)
  await pushPrompt({ dir: out, repo: 'me/first', hubUrl: url, token: TOKEN })
  const [from] = train.join(' ').replace(out, `${out}-2`).split(' --length')
  const second = await cli.run([...(from as string).split(' '), '--steps', '1', '--init', 'me/first'])
  expect([second.code, second.stderr]).toEqual([0, expect.not.stringContaining('error')])
  const { recipe } = JSON.parse(await readFile(join(`${out}-2`, 'soft_prompt.json'), 'utf8')) as { recipe: object }
  expect(recipe).toMatchObject({ init: 'prompt', length: 2 })
})

it('export takes a Hub id', async () => {
  await served()
  const { code, stdout } = await cli.run(['export', 'team/t5', join(await folder(), 'onnx')])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^onnx\/encoder_model\.onnx +\d+$/m)])
})

it('Ctrl-C stops the download', async () => {
  const { seen, train } = await served((request) =>
    request.url?.includes('model.safetensors') && request.url.includes('/resolve/') ? { kind: 'hang' } : undefined,
  )
  const child = cli.start(train)
  let told = ''
  child.stderr?.on('data', (chunk) => (told += String(chunk)))
  child.stdin?.end()
  await vi.waitFor(() => expect(seen.join('\n')).toMatch(/resolve\/\w+\/model\.safetensors/), { timeout: 20_000 })
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  expect(told).toContain('Stopped before the first step; nothing was trained.')
  expect(told).not.toContain('--resume')
})
