/** Base models and prompts by Hub id: fetched once, into the shared cache, and used from there. */
import { commit, createRepo } from '@huggingface/hub'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findPrompt } from '../../adapters/compose/find-prompt.ts'
import { findBase } from '../../adapters/compose/open-base.ts'
import { openHubDataset } from '../../adapters/compose/hub-dataset.ts'
import { openHubModel } from '../../adapters/compose/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, readFiles, TOKEN } from './helpers.ts'

const FILES: Readonly<Record<string, string>> = {
  'config.json': '{"model_type":"t5"}',
  'tokenizer.json': '{}',
  'generation_config.json': '{}',
  'model.safetensors': 'weights',
  'pytorch_model.bin': 'a pickle',
  'tf_model.h5': 'others',
  'flax_model.msgpack': 'others',
  'onnx/encoder_model.onnx': 'float encoder',
  'onnx/decoder_model_merged.onnx': 'float decoder',
  'onnx/encoder_model_quantized.onnx': 'small encoder',
  'onnx/decoder_model_merged_quantized.onnx': 'small decoder',
  'README.md': '# T5',
}

let cacheDir = ''
let url = ''
let seen: string[] = []

beforeEach(async () => {
  const server = await hub()
  const proxy = await faultProxy(server, () => undefined)
  ;[cacheDir, url, seen] = [join(await folder(), 'hub'), proxy.url, proxy.seen]
  vi.stubEnv('HF_ENDPOINT', url)
  vi.stubEnv('HF_HUB_CACHE', cacheDir)
  vi.stubEnv('HF_TOKEN', TOKEN)
  vi.stubEnv('HF_HUB_OFFLINE', '')
  const access = { hubUrl: url, accessToken: TOKEN, repo: 'team/t5' }
  await createRepo(access)
  const operations = Object.entries(FILES).map(([path, text]) => ({ operation: 'addOrUpdate' as const, path, content: new Blob([text]) }))
  await commit({ ...access, title: 'model', operations, useXet: false })
})
afterEach(() => vi.unstubAllEnvs())

describe('by Hub id', () => {
  it('fetches what training reads and nothing else, once', async () => {
    const base = await findBase('team/t5')
    expect((await readdir(base.dir)).toSorted()).toEqual(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'])
    expect(base).toMatchObject({ id: 'team/t5', revision: expect.stringMatching(/^[0-9a-f]{40}$/) })
    seen.length = 0
    expect(await findBase('team/t5')).toEqual(base)
    expect(seen).toEqual([])
  })

  it('fetches the ONNX files of one variant; training fetches the weights beside them', async () => {
    const { dir } = await openHubModel('team/t5', { parts: 'onnx', variant: '_quantized' })
    expect((await readdir(join(dir, 'onnx'))).toSorted()).toEqual(['decoder_model_merged_quantized.onnx', 'encoder_model_quantized.onnx'])
    const base = await findBase('team/t5')
    expect(base.dir).toBe(dir)
    expect(await readFile(join(base.dir, 'model.safetensors'), 'utf8')).toBe('weights')
    await expect(openHubModel('team/t5', { parts: 'onnx', variant: '_fp16' })).rejects.toMatchObject({ code: 'hub-not-a-model' })
  })

  it('says what is missing: no model, nothing in the cache, no such name', async () => {
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    await expect(openHubModel('me/sst2')).rejects.toMatchObject({ code: 'hub-not-a-model' })
    await expect(findBase('no/such')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(findBase('./no-such')).rejects.toMatchObject({ code: expect.stringMatching(/base-missing|hub-name/) })
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(findBase('team/t5')).rejects.toMatchObject({ code: 'hub-offline' })
  })

  it('pulls a prompt that is named by its id, and takes a path as it stands', async () => {
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    expect(await readFiles(await findPrompt('me/sst2'))).toEqual(promptFiles())
    const dir = await promptFolder()
    expect(await findPrompt(dir)).toBe(dir)
    expect(await findPrompt('./me/sst2')).toBe('./me/sst2')
  })
})

const upload = async (name: string, files: Readonly<Record<string, string>>): Promise<void> => {
  const access = { hubUrl: url, accessToken: TOKEN, repo: { type: 'dataset' as const, name } }
  await createRepo(access)
  const operations = Object.entries(files).map(([path, text]) => ({ operation: 'addOrUpdate' as const, path, content: new Blob([text]) }))
  await commit({ ...access, title: 'data', operations, useXet: false })
}
const texts = async (options: object, name = 'team/data'): Promise<string[]> =>
  Promise.all((await openHubDataset(name, options)).files.map((path) => readFile(path, 'utf8')))

describe('data sets by Hub id', () => {
  it('fetches the files of a split in order, Parquet first', async () => {
    await upload('team/data', {
      'data/train-00001-of-00002.parquet': 'b',
      'data/train-00000-of-00002.parquet': 'a',
      'data/validation-00000-of-00001.parquet': 'v',
      'train.jsonl': '{}',
      'test.csv': 'x,y',
    })
    expect(await texts({})).toEqual(['a', 'b'])
    expect(await texts({ split: 'validation' })).toEqual(['v'])
    expect(await texts({ split: 'test' })).toEqual(['x,y'])
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect(await texts({ split: 'validation' })).toEqual(['v'])
    vi.stubEnv('HF_HUB_OFFLINE', '')
    await expect(texts({ split: 'dev' })).rejects.toMatchObject({
      code: 'hub-no-split',
      message: expect.stringContaining('data/train-00000-of-00002.parquet'),
    })
  })

  it('asks which configuration is meant where there are several', async () => {
    await upload('team/glue', { 'sst2/train-00000-of-00001.parquet': 's', 'rte/train-00000-of-00001.parquet': 'r' })
    expect(await texts({ config: 'rte' }, 'team/glue')).toEqual(['r'])
    await expect(texts({}, 'team/glue')).rejects.toMatchObject({ code: 'hub-many-configs' })
  })
})
