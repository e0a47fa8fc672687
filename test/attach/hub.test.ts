/** One line from a Hub id to answers, over real HTTP to a local hub: prompt -> base -> its ONNX files in the shared cache. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRepo, uploadFiles } from '@huggingface/hub'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { folderOf, reference } from './fixtures.ts'

const model = 'tiny-t5-v11'
const TOKEN = 'hf_attachTestToken0123456789abcd'
const ref = reference(model)
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-'))
let server: Hub

/** Uploads local files as a repository. */
async function publish(name: string, folder: string, paths: readonly string[]): Promise<void> {
  const access = { repo: { type: 'model' as const, name }, accessToken: TOKEN, hubUrl: server.url }
  await createRepo(access)
  await uploadFiles({ ...access, files: paths.map((path) => ({ path, content: new Blob([readFileSync(join(folder, path))]) })) })
}

beforeAll(async () => {
  server = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: ['hf'] } } })
  const adapter = join(folderOf(model), `../adapters/${model}-a`)
  await publish('me/tiny-a', adapter, ['adapter_config.json', 'adapter_model.safetensors'])
  // The base that the adapter names.
  const files = [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'onnx/encoder_model.onnx',
    'onnx/decoder_model_merged.onnx',
  ]
  await publish(`hf/${model}`, folderOf(model), files)
  await publish('hf/empty', folderOf(model), ['config.json'])
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

const access = () => ({ hubUrl: server.url, token: TOKEN, cacheDir: join(dir, 'cache') })

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

  it('says what it tried where a base has no ONNX files', async () => {
    await expect(loadPrompted('me/tiny-a', { base: 'hf/empty', hub: access() })).rejects.toMatchObject({
      code: 'base-no-onnx',
      message: expect.stringContaining('hf/empty'),
    })
  })
})
