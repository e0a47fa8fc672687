/** One line from a Hub id to answers, over real HTTP to a local hub: prompt -> base -> its ONNX files in the shared cache. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRepo, uploadFiles } from '@huggingface/hub'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { pipeline, type ProgressInfo } from '@huggingface/transformers'
import { answer as answerTexts, type AnswerOptions } from '../../adapters/compose/answer.ts'
import { attachPrompts } from '../../adapters/compose/attach-sources.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { MIRRORS } from '../../adapters/compose/mirrors.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import type { PromptedPipeline } from '../../adapters/transformers/prompted-pipeline.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { folderOf, reference } from './fixtures.ts'

const model = 'tiny-t5-v11'
const TOKEN = 'hf_attachTestToken0123456789abcd'
const ref = reference(model)
const SMALL = ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json']
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-'))
let server: Hub

/** Uploads local files as a repository. */
async function publish(name: string, folder: string, paths: readonly string[]): Promise<void> {
  const access = { repo: { type: 'model' as const, name }, accessToken: TOKEN, hubUrl: server.url }
  await createRepo(access)
  await uploadFiles({ ...access, files: paths.map((path) => ({ path, content: new Blob([readFileSync(join(folder, path))]) })) })
}

beforeAll(async () => {
  server = await startHub({
    dir: join(dir, 'hub'),
    tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: ['hf', 'google-t5', 'Xenova'] } },
  })
  const adapter = join(folderOf(model), `../adapters/${model}-a`)
  await publish('me/tiny-a', adapter, ['adapter_config.json', 'adapter_model.safetensors'])
  // The base that the adapter names.
  const files = [...SMALL, 'config.json', 'onnx/encoder_model.onnx', 'onnx/decoder_model_merged.onnx']
  await publish(`hf/${model}`, folderOf(model), files)
  await publish('hf/empty', folderOf(model), ['config.json'])
  // As optimum's push leaves them, and as some repositories are: quantised only.
  const root = join(dir, 'root')
  for (const file of [...SMALL, 'config.json']) cpSync(join(folderOf(model), file), join(root, file))
  for (const file of ['encoder_model.onnx', 'decoder_model_merged.onnx']) cpSync(join(folderOf(model), 'onnx', file), join(root, file))
  await publish('hf/root', root, [...SMALL, 'config.json', 'encoder_model.onnx', 'decoder_model_merged.onnx'])
  const quantised = ['onnx/encoder_model_quantized.onnx', 'onnx/decoder_model_merged_quantized.onnx']
  await publish('hf/quantised', folderOf(model), [...SMALL, 'config.json', ...quantised])
  // A base of PyTorch weights alone.
  const weights = join(dir, 'weights')
  cpSync(join(folderOf(model), 'hf'), weights, { recursive: true })
  for (const file of SMALL) cpSync(join(folderOf(model), file), join(weights, file))
  await publish('hf/weights', weights, [...SMALL, 'config.json', 'model.safetensors'])
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

const access = () => ({ hubUrl: server.url, token: TOKEN, cacheDir: join(dir, 'cache') })

const answerOf = async (pipe: PromptedPipeline): Promise<string | undefined> => {
  const [answer] = await pipe(ref.texts[0] as string, { max_new_tokens: (ref.base_greedy[0]?.length ?? 0) - 1 })
  await pipe.dispose()
  return answer?.generated_text
}
const peft = async (): Promise<string> =>
  (await openTokenizer(folderOf(model))).decode((ref.adapters.a.greedy[0] as number[]).slice(1)).trim()

describe('loadPrompted from the Hub', () => {
  it('downloads prompt and base, and answers as PEFT; offline it does so from the cache', async () => {
    for (const offline of [false, true]) {
      const pipe = await loadPrompted('me/tiny-a', { hub: { ...access(), offline } })
      const [answer] = await pipe(ref.texts[0] as string, { max_new_tokens: (ref.base_greedy[0]?.length ?? 0) - 1 })
      expect(answer?.generated_text).toBe(pipe.stock.tokenizer.decode(ref.adapters.a.greedy[0] as number[], { skip_special_tokens: true }))
      expect(pipe.bank.names).toEqual(['tiny-a'])
      await pipe.dispose()
    }
  })

  it('exports a base that has no ONNX files from its weights, once, says so, and does the same offline', async () => {
    const exports = join(dir, 'soft-prompts', 'onnx')
    for (const offline of [false, true]) {
      const pipe = await loadPrompted('me/tiny-a', { base: 'hf/weights', hub: { ...access(), offline } })
      expect(pipe.warnings).toEqual([
        expect.stringMatching(/^hf\/weights has no ONNX files .* exported from its weights: .*hf--weights@[0-9a-f]{40}$/),
      ])
      expect(pipe.warnings[0]).toContain(exports)
      expect(await answerOf(pipe)).toBe(await peft())
      expect(readdirSync(exports)).toHaveLength(1)
    }
    const elsewhere = join(dir, 'elsewhere')
    await answerOf(await loadPrompted('me/tiny-a', { base: 'hf/weights', hub: access(), exportTo: elsewhere }))
    expect(readdirSync(elsewhere)).toEqual(readdirSync(exports))
  })

  it('exports a folder of weights again when they have changed', async () => {
    const weights = join(dir, 'weights')
    const exportTo = join(dir, 'local')
    const load = () => loadPrompted('me/tiny-a', { base: weights, hub: access(), exportTo })
    expect(await answerOf(await load())).toBe(await peft())
    await answerOf(await load())
    expect(readdirSync(exportTo)).toHaveLength(1)
    utimesSync(join(weights, 'model.safetensors'), 1, 1)
    await answerOf(await load())
    expect(readdirSync(exportTo)).toHaveLength(2)
  })

  it('takes a known mirror before it exports', async () => {
    const [id = '', mirror = ''] = [...MIRRORS].find(([each]) => each.includes('/')) ?? []
    const weights = [...SMALL, 'config.json', 'model.safetensors']
    await publish(id, join(dir, 'weights'), weights)
    await publish(mirror, folderOf(model), [...SMALL, 'config.json', 'onnx/encoder_model.onnx', 'onnx/decoder_model_merged.onnx'])
    const pipe = await loadPrompted('me/tiny-a', { base: id, hub: access() })
    expect(pipe.warnings).toEqual([])
    expect(await answerOf(pipe)).toBe(await peft())
  })

  it('refuses where it may not export, and where only a quantised file will do', async () => {
    const load = { base: 'hf/weights', hub: access() }
    await expect(loadPrompted('me/tiny-a', { ...load, exportTo: false })).rejects.toMatchObject({ code: 'base-no-onnx' })
    await expect(loadPrompted('me/tiny-a', { ...load, dtype: 'q8' })).rejects.toMatchObject({
      code: 'base-no-onnx',
      message: expect.stringContaining(`dtype: 'fp32'`),
    })
  })

  it('says what it tried where a base has no ONNX files', async () => {
    await expect(loadPrompted('me/tiny-a', { base: 'hf/empty', hub: access() })).rejects.toMatchObject({
      code: 'base-no-onnx',
      message: expect.stringContaining('hf/empty'),
    })
  })

  it('reads a repository with its ONNX files beside config.json', async () => {
    expect(await answerOf(await loadPrompted('me/tiny-a', { base: 'hf/root', hub: access() }))).toBe(await peft())
  })

  it('names the dtype that loads a repository of quantised files only', async () => {
    await expect(loadPrompted('me/tiny-a', { base: 'hf/quantised', hub: access() })).rejects.toMatchObject({
      code: 'base-no-onnx',
      message: expect.stringMatching(/there is q8 \(encoder_model_quantized\.onnx, .*\), loaded by \{ dtype: 'q8' \}/),
    })
    expect(await answerOf(await loadPrompted('me/tiny-a', { base: 'hf/quantised', hub: access(), dtype: 'q8' }))).toEqual(
      expect.any(String),
    )
  })
})

const askOn = async (
  base: string,
  more: Partial<AnswerOptions> = {},
): Promise<{ readonly said: string | undefined; readonly notes: string[] }> => {
  const notes: string[] = []
  const [first] = await answerTexts({
    prompts: [join(folderOf(model), `../adapters/${model}-a`)],
    texts: ref.texts.slice(0, 1),
    model: base,
    maxNewTokens: (ref.base_greedy[0]?.length ?? 0) - 1,
    onNote: (note) => notes.push(note),
    ...more,
  })
  return { said: first?.generated, notes }
}

describe('run on bases of the Hub', () => {
  beforeEach(() => {
    for (const [name, value] of [
      ['HF_ENDPOINT', server.url],
      ['HF_TOKEN', TOKEN],
      ['HF_HUB_CACHE', join(dir, 'cache-of-run')],
    ] as const)
      vi.stubEnv(name, value)
  })
  afterEach(() => void vi.unstubAllEnvs())

  it('answers by ONNX files where a repository has no weights, and by its weights elsewhere', async () => {
    for (const base of ['hf/root', `hf/${model}`]) {
      const { said, notes } = await askOn(base)
      expect(said).toBe(await peft())
      expect(notes).toEqual([expect.stringMatching(/answered by (onnx\/)?encoder_model\.onnx and decoder_model_merged\.onnx \(fp32\)$/)])
    }
    expect(await askOn('hf/weights')).toEqual({ said: await peft(), notes: [] })
  })

  it('takes the dtype that is there, and offline what is in the cache', async () => {
    const { said, notes } = await askOn('hf/quantised')
    expect(notes[0]).toContain('onnx/encoder_model_quantized.onnx and decoder_model_merged_quantized.onnx (q8)')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await askOn('hf/quantised', { dtype: 'q8' })).said).toBe(said)
    await expect(askOn('hf/quantised', { dtype: 'fp16' })).rejects.toMatchObject({ code: 'base-no-onnx' })
  })
})

const ofServer = () => ({ hubUrl: server.url, token: TOKEN })

describe('options as transformers.js has them', () => {
  const cache = join(dir, 'cache-of-options')

  it('tell each file as it comes, then that all is ready; from the cache alone nothing is asked', async () => {
    const told: ProgressInfo[] = []
    const pipe = await loadPrompted('me/tiny-a', {
      hub: ofServer(),
      cache_dir: cache,
      revision: 'main',
      progress_callback: (info) => told.push(info),
    })
    await pipe.dispose()
    const of = (status: ProgressInfo['status']): string[] =>
      told.flatMap((info) => (info.status === status && 'file' in info ? [`${info.name}/${info.file}`] : []))
    expect(of('initiate')).toContain('me/tiny-a/adapter_model.safetensors')
    expect(of('initiate')).toContain(`hf/${model}/onnx/encoder_model.onnx`)
    expect(of('done').toSorted()).toEqual(of('initiate').toSorted())
    expect(told.flatMap((info) => (info.status === 'progress' && info.loaded === info.total ? [info.progress] : []))).toEqual(
      of('done').map(() => 100),
    )
    expect(told.at(-1)).toEqual({ status: 'ready', task: 'text2text-generation', model: `hf/${model}` })
    expect(readdirSync(cache)).toContain('models--me--tiny-a')

    const offline = await loadPrompted('me/tiny-a', { hub: { hubUrl: 'http://127.0.0.1:1' }, cache_dir: cache, local_files_only: true })
    expect(await answerOf(offline)).toBe(await peft())
  })

  it('and a revision that is not there is named', async () => {
    const asked = loadPrompted('me/tiny-a', { hub: ofServer(), cache_dir: cache, revision: 'v9' })
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('v9') })
  })
})

describe('attachPrompts', () => {
  const stock = () => pipeline('text2text-generation', folderOf(model), { dtype: 'fp32', local_files_only: true })
  const ask = { max_new_tokens: (ref.base_greedy[0]?.length ?? 0) - 1, soft_prompt: 'a' }
  const adapter = join(folderOf(model), `../adapters/${model}-a`)

  it.each([
    ['a folder, the encoder found in a folder', { a: adapter }, () => ({ base: folderOf(model) })],
    ['a Hub id, the encoder found on the Hub', { a: 'me/tiny-a' }, () => ({ hub: access() })],
    ['a folder, the encoder found beside config.json', { a: adapter }, () => ({ base: join(dir, 'root') })],
    ['a folder beside the encoder’s path', { a: adapter }, () => ({ encoder: join(folderOf(model), 'onnx/encoder_model.onnx') })],
  ] as const)('takes %s', async (_, prompts, options) => {
    const pipe = await stock()
    const { bank } = await attachPrompts(pipe, prompts, options())
    expect(bank.names).toEqual(['a'])
    const [answer] = (await pipe(ref.texts[0] as string, ask as object)) as { generated_text: string }[]
    expect(answer?.generated_text).toBe(await peft())
    await pipe.dispose()
  })

  it('names a folder that is none', async () => {
    const pipe = await stock()
    await expect(attachPrompts(pipe, './there/is/nope', { base: folderOf(model) })).rejects.toMatchObject({ code: 'prompt-missing' })
    await pipe.dispose()
  })
})
