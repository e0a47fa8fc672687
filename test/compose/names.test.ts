/** A path is a path to every reader, and a name that nothing is known of says what it is: none takes `./nope` for a repository. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { answer } from '../../adapters/compose/answer.ts'
import { openPrompt as openInBrowser } from '../../adapters/compose/browser-prompt.ts'
import { checkEncoders } from '../../adapters/compose/check-encoders.ts'
import { convertPrompt } from '../../adapters/compose/convert.ts'
import { evaluatePrompts } from '../../adapters/compose/evaluate.ts'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { findPrompt } from '../../adapters/compose/find-prompt.ts'
import { inspectPrompts } from '../../adapters/compose/inspect.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { findOnnxFolder } from '../../adapters/compose/onnx-folder.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { pushFolder } from '../../adapters/compose/push.ts'
import { drainTraining, trainPrompt } from '../../adapters/compose/train.ts'
import { verifyPrompts } from '../../adapters/compose/verify.ts'

const prompt = new URL('../fixtures/peft/prompt_tuning', import.meta.url).pathname
const rows = new URL('../../examples/data/sentiment/dev.jsonl', import.meta.url).pathname
const PATHS = ['./nope', '../nope', '~/nope', '/nope/there', 'C:\\nope', 'a/b/c', './a/b']
let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-names-'))
  vi.stubEnv('HF_HUB_OFFLINE', '1')
})
afterAll(() => rm(dir, { recursive: true }))
afterEach(() => vi.unstubAllEnvs())

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing was thrown',
    (error: { code?: string }) => error.code ?? error,
  )

describe.each(PATHS)('%s', (path) => {
  it.each<[string, () => Promise<unknown>]>([
    ['opened', async () => openPrompt(await findPrompt(path))],
    ['inspected', () => inspectPrompts(path)],
    ['verified', () => verifyPrompts(path)],
    ['converted', () => convertPrompt(path, join(dir, 'out'))],
    ['loaded', () => loadPrompted(path)],
    ['loaded by name', () => loadPrompted({ p: path })],
    ['asked', () => answer({ prompts: [path], texts: ['a'] })],
    ['evaluated', () => evaluatePrompts({ prompts: [path], data: [rows] }).next()],
    ['sent', () => pushFolder({ dir: path, repo: 'me/x' })],
    ['begun from', () => drainTraining(trainPrompt({ model: 'models/t5-tiny-en', data: rows, out: join(dir, 'run'), initPrompt: path }))],
  ])('is no prompt where it is %s', async (how, work) => {
    if (how === 'sent') vi.stubEnv('HF_HUB_OFFLINE', '')
    else vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect(await codeOf(work())).toBe('prompt-missing')
  })

  it.each<[string, () => Promise<unknown>]>([
    ['opened', () => openBase(path)],
    ['trained on', () => drainTraining(trainPrompt({ model: path, data: rows, out: join(dir, 'run') }))],
    ['exported', () => exportOnnx(path, join(dir, 'onnx'))],
    ['loaded', () => loadPrompted(prompt, { base: path })],
    ['asked for its ONNX files', () => findOnnxFolder({ id: path }, [''])],
    ['asked', () => answer({ prompts: [prompt], model: path, texts: ['a'] })],
    ['held against a prompt', () => verifyPrompts(prompt, { model: path })],
    ['inspected', () => inspectPrompts(prompt, { model: path })],
    [
      'checked',
      async () => {
        const { embeddings } = await openPrompt(prompt)
        const fingerprint = { version: 1, vocabSize: 9, width: 64 } as const
        return checkEncoders('p', { embeddings, manifest: { base: { id: path, fingerprint } } }, path)
      },
    ],
  ])('is no base where it is %s', async (_, work) => {
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect(await codeOf(work())).toBe('base-missing')
  })

  it('is an address in a page', async () => {
    const asked: string[] = []
    const fetched = (async (url: string) => {
      asked.push(url)
      return new Response('', { status: 404 })
    }) as typeof fetch
    expect(await codeOf(openInBrowser(path, { fetch: fetched }))).toBe('artifact-file-missing')
    expect(asked.every((url) => url.startsWith(`${path}/`))).toBe(true)
  })
})
