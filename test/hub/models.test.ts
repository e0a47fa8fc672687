/** Base models and prompts by Hub id: fetched once, into the shared cache, and used from there. */
import { commit, createRepo } from '@huggingface/hub'
import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findPrompt } from '../../adapters/compose/find-prompt.ts'
import { findBase } from '../../adapters/compose/open-base.ts'
import { fetchDataset, type DatasetOptions } from '../../adapters/compose/open-dataset.ts'
import { openHubModel } from '../../adapters/compose/open-hub-model.ts'
import { pullBase } from '../../adapters/compose/pull-base.ts'
import { findOnnxFolder } from '../../adapters/compose/onnx-folder.ts'
import { REHASH_BYTES } from '../../adapters/hub/cache-check.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { pull } from '../../scripts/pull-prompt.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, readFiles, TOKEN, writeFiles } from './helpers.ts'

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
    expect(await findBase(`${url}/team/t5/tree/main`)).toEqual(base)
    await expect(findBase(`${url}/team/t5/tree/main`, { revision: 'other' })).rejects.toMatchObject({ code: 'hub-url' })
    expect(await readFile(join(base.dir, 'model.safetensors'), 'utf8')).toBe('weights')
    await expect(openHubModel('team/t5', { parts: 'onnx', variant: '_fp16' })).rejects.toMatchObject({ code: 'hub-not-a-model' })
  })

  it('says what is missing: no model, nothing in the cache, no such name', async () => {
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    await expect(openHubModel('me/sst2')).rejects.toMatchObject({ code: 'hub-not-a-model' })
    await expect(findBase('no/such')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    await expect(findBase('./no-such')).rejects.toMatchObject({ code: 'base-missing' })
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(findBase('team/t5')).rejects.toMatchObject({ code: 'hub-offline' })
  })

  it('pulls a prompt that is named by its id, and takes a path as it stands', async () => {
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    expect(await readFiles(await findPrompt('me/sst2'))).toEqual(promptFiles())
    expect(await readFiles(await findPrompt(`${url}/me/sst2/tree/main`))).toEqual(promptFiles())
    const dir = await promptFolder()
    expect(await findPrompt(dir)).toBe(dir)
    expect(await findPrompt('./me/sst2')).toBe('./me/sst2')
  })
})

const pinned = async (lockFile: string): Promise<Record<string, { commit: string; files: { path: string; sha256: string }[] }>> =>
  JSON.parse(await readFile(lockFile, 'utf8')).models
const change = (path: string, content: string | Buffer): Promise<unknown> =>
  commit({
    hubUrl: url,
    accessToken: TOKEN,
    repo: 'team/t5',
    title: 'changed',
    useXet: false,
    operations: [{ operation: 'addOrUpdate', path, content: new Blob([typeof content === 'string' ? content : new Uint8Array(content)]) }],
  })

describe('prompts.lock.json', () => {
  it('pins a base model by commit and sha256 of what was fetched; ONNX files and weights join', async () => {
    const lockFile = join(await folder(), 'prompts.lock.json')
    await Promise.all([openHubModel('team/t5', { parts: 'onnx', lockFile }), openHubModel('team/t5', { lockFile })])
    const { 'team/t5': entry } = await pinned(lockFile)
    const paths = [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'onnx/decoder_model_merged.onnx',
      'onnx/encoder_model.onnx',
      'tokenizer.json',
    ]
    expect(entry?.files.map(({ path }) => path)).toEqual(paths)
    for (const { path, sha256 } of entry?.files ?? []) {
      expect(sha256).toBe(
        createHash('sha256')
          .update(FILES[path] ?? '')
          .digest('hex'),
      )
    }
    // Pinned, it is what it was, whatever main holds now; and from the cache without a request.
    await change('config.json', '{"model_type":"other"}')
    seen.length = 0
    const frozen = await openHubModel('team/t5', { parts: 'onnx', lockFile, frozen: true })
    expect([frozen.commit, seen]).toEqual([entry?.commit, []])
    expect(await readFile(join(frozen.dir, 'config.json'), 'utf8')).toBe(FILES['config.json'])
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await openHubModel('team/t5', { lockFile, frozen: true })).dir).toBe(frozen.dir)
  })

  it('frozen refuses a model that drifted, files that are not pinned, and models that are not', async () => {
    const lockFile = join(await folder(), 'prompts.lock.json')
    await openHubModel('team/t5', { lockFile })
    const frozen = (options: object = {}, id = 'team/t5'): Promise<unknown> => openHubModel(id, { lockFile, frozen: true, ...options })
    await expect(frozen({ parts: 'onnx' })).rejects.toMatchObject({
      code: 'hub-lock-drift',
      message: expect.stringContaining('is not pinned'),
    })
    await expect(frozen({ revision: 'v2' })).rejects.toMatchObject({ code: 'hub-lock-drift' })
    await expect(frozen({}, 'team/other')).rejects.toMatchObject({ code: 'hub-lock-missing' })
    const text = await readFile(lockFile, 'utf8')
    for (const offline of [false, true]) {
      await writeFile(
        lockFile,
        text.replace(/"sha256": "(.)/, (_, digit: string) => `"sha256": "${digit === '0' ? '1' : '0'}`),
      )
      await expect(frozen({ offline })).rejects.toMatchObject({ code: 'hub-lock-drift', message: expect.stringContaining('other bytes') })
    }
  })

  it('a byte of a large file that changed in the cache is seen, and repaired where the hub can be asked', async () => {
    const large = Buffer.alloc(REHASH_BYTES + 1, 'w')
    await change('model.safetensors', large)
    const lockFile = join(await folder(), 'prompts.lock.json')
    const { dir } = await openHubModel('team/t5', { lockFile })
    const file = await realpath(join(dir, 'model.safetensors'))
    const spoil = async (): Promise<void> => {
      const bytes = Buffer.from(large)
      bytes[1000]! ^= 1
      await writeFile(file, bytes)
    }
    await spoil()
    for (const options of [{}, { lockFile, frozen: true }]) {
      const offline = openHubModel('team/t5', { ...options, offline: true })
      await expect(offline).rejects.toMatchObject({
        code: 'hub-cache-corrupt',
        message: expect.stringContaining('model.safetensors of team/t5 is damaged'),
      })
    }
    for (const options of [{}, { lockFile, frozen: true }]) {
      await spoil()
      expect((await openHubModel('team/t5', options)).downloadedBytes).toBe(large.length)
      expect((await readFile(file)).equals(large)).toBe(true)
      expect((await openHubModel('team/t5', options)).downloadedBytes).toBe(0)
    }
  })

  it('a disk that gave another byte back, size and times the same, is found by check and by frozen', async () => {
    const large = Buffer.alloc(REHASH_BYTES + 1, 'w')
    await change('model.safetensors', large)
    const lockFile = join(await folder(), 'prompts.lock.json')
    const { dir } = await openHubModel('team/t5', { lockFile })
    const file = await realpath(join(dir, 'model.safetensors'))
    const rot = async (): Promise<void> => {
      await openHubModel('team/t5')
      large[1000]! ^= 1
      await writeFile(file, large)
      // The stamp of what lies there now, as times can only be set back by who has the machine.
      const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true })
      await writeFile(join(dir, '..', '..', 'checked', basename(file)), `${size} ${mtimeNs} ${ctimeNs} ${ino}`)
      large[1000]! ^= 1
    }
    await rot()
    expect((await openHubModel('team/t5')).downloadedBytes).toBe(0)
    await expect(openHubModel('team/t5', { lockFile, frozen: true })).rejects.toMatchObject({ code: 'hub-cache-corrupt' })
    await expect(openHubModel('team/t5', { offline: true, check: true })).rejects.toMatchObject({ code: 'hub-cache-corrupt' })
    expect((await openHubModel('team/t5', { check: true })).downloadedBytes).toBe(large.length)
    expect((await readFile(file)).equals(large)).toBe(true)
  })

  it('pull --save --base pins prompt and base; --frozen takes both, and an app does too', async () => {
    const files = promptFiles()
    const config = String(files.get('adapter_config.json')).replace('google-t5/t5-small', 'team/t5')
    files.set('adapter_config.json', Buffer.from(config))
    const dir = await writeFiles(join(await folder(), 'prompt'), files)
    await pushPrompt({ dir, repo: 'me/sst2', hubUrl: url, token: TOKEN })
    const lockFile = join(await folder(), 'prompts.lock.json')
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
    const run = (...args: string[]): Promise<number> => main(commandLine(pull), ['me/sst2', '--lock-file', lockFile, ...args])
    expect(await run('--frozen', '--base', 'onnx')).toBe(1)
    expect(await run('--save', '--base', 'onnx')).toBe(0)
    expect(Object.keys(await pinned(lockFile))).toEqual(['team/t5'])
    await change('onnx/encoder_model.onnx', 'another encoder')
    vi.stubEnv('HF_HUB_CACHE', join(await folder(), 'empty'))
    expect(await run('--frozen', '--base', 'onnx')).toBe(0)
    expect(await run('--frozen', '--base', 'weights')).toBe(1)
    files.set('adapter_config.json', Buffer.from(config.replace('"team/t5"', '""')))
    await expect(pullBase(await writeFiles(join(await folder(), 'nameless'), files), 'onnx')).rejects.toMatchObject({
      code: 'base-unnamed',
    })
    vi.restoreAllMocks()
    // What loadPrompted asks for the base with `{ hub: { lockFile, frozen: true } }`.
    const onnx = await findOnnxFolder({ id: 'team/t5' }, [''], { lockFile, frozen: true })
    expect(await readFile(join(onnx, 'onnx/encoder_model.onnx'), 'utf8')).toBe(FILES['onnx/encoder_model.onnx'])
  })
})

const upload = async (name: string, files: Readonly<Record<string, string>>): Promise<void> => {
  const access = { hubUrl: url, accessToken: TOKEN, repo: { type: 'dataset' as const, name } }
  await createRepo(access)
  const operations = Object.entries(files).map(([path, text]) => ({ operation: 'addOrUpdate' as const, path, content: new Blob([text]) }))
  await commit({ ...access, title: 'data', operations, useXet: false })
}
const texts = async (options: Partial<DatasetOptions>, repo = 'team/data'): Promise<string[]> =>
  Promise.all((await fetchDataset({ repo, split: 'train', ...options })).map((path) => readFile(path, 'utf8')))

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
      code: 'dataset-split',
      message: expect.stringContaining('test, train, validation'),
    })
  })

  it('asks which configuration is meant where there are several', async () => {
    await upload('team/glue', { 'sst2/train-00000-of-00001.parquet': 's', 'rte/train/0000.parquet': 'r' })
    await expect(texts({}, 'team/glue')).rejects.toMatchObject({ code: 'dataset-config' })
    expect(await texts({ config: 'rte' }, 'team/glue')).toEqual(['r'])
  })
})
