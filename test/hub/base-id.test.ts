/** Whose prompt it is: a base named at training is found by whoever pulls the prompt; one that cannot be found is said, and no path of anybody's disk is published. */
import { commit, createRepo } from '@huggingface/hub'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { convertPrompt } from '../../adapters/compose/convert.ts'
import { fetchBase } from '../../adapters/compose/browser-base.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { findBase } from '../../adapters/compose/open-base.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { pushFolder } from '../../adapters/compose/push.ts'
import { verifyPrompts } from '../../adapters/compose/verify.ts'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { searchPrompts } from '../../adapters/hub/search.ts'
import { readCardData } from '../../src/card/front-matter.ts'
import { compile, type Compiled } from '../scripts/child.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, readFiles, TOKEN, writeFiles } from './helpers.ts'

const MODEL = new URL('../../models/t5-tiny-en/', import.meta.url).pathname
const FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']
const OWNERS = { [TOKEN]: { name: 'me', role: 'write', orgs: ['google-t5'] } } as const
const PATH = '/kaggle/working/models/flan-t5-small'

let cli: Compiled
let url = ''
beforeAll(() => {
  cli = compile()
})
afterAll(() => cli.remove())
beforeEach(async () => {
  ;({ url } = await hub({ tokens: OWNERS }))
  const HF_HOME = await folder()
  for (const [name, value] of Object.entries({ HF_ENDPOINT: url, HF_HOME, HF_HUB_CACHE: '', HF_TOKEN: TOKEN, HF_HUB_OFFLINE: '' }))
    vi.stubEnv(name, value)
})
afterEach(() => vi.unstubAllEnvs())

/** The command line in a folder. */
async function run(cwd: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [cli.script, ...args], { cwd }).then(
    (said) => ({ code: 0, ...said }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
}

/** The shipped base as a repository. */
async function publishBase(repo: string): Promise<void> {
  const access = { hubUrl: url, accessToken: TOKEN, repo }
  await createRepo(access)
  const read = FILES.map(async (path) => ({
    operation: 'addOrUpdate' as const,
    path,
    content: new Blob([await readFile(join(MODEL, path))]),
  }))
  await commit({ ...access, title: 'model', operations: await Promise.all(read), useXet: false })
}

/** A folder as its author has it: the base in `name`, and rows. */
async function author(name: string): Promise<string> {
  const rows = ['good', 'bad', 'good', 'bad'].map((word) => JSON.stringify({ input: `a ${word} film`, target: word })).join('\n')
  const dir = await writeFiles(await folder(), new Map([['rows.jsonl', Buffer.from(rows)]]))
  await mkdir(join(dir, name))
  for (const file of FILES) await cp(join(MODEL, file), join(dir, name, file))
  return dir
}

const train = (model: string, out: string): string[] => [
  'train',
  '--model',
  model,
  '--data',
  'rows.jsonl',
  '--out',
  out,
  '--length',
  '2',
  '--steps',
  '1',
  '--threads',
  '1',
]

const pulled = async (repo: string): Promise<Map<string, Buffer>> =>
  readFiles((await pullPrompt({ repo, hubUrl: url, token: TOKEN, cacheDir: await folder() })).dir)

const baseOf = async (repo: string): Promise<unknown> => {
  const files = await pulled(repo)
  const config = JSON.parse(String(files.get('adapter_config.json'))) as { base_model_name_or_path: string }
  const manifest = files.get('soft_prompt.json')
  const { base_model: base } = JSON.parse(String(manifest ?? '{"base_model":{}}')) as { base_model: { id?: string } }
  return [config.base_model_name_or_path, base.id, readCardData(String(files.get('README.md')))['base_model']]
}

describe('a prompt trained on a folder', () => {
  it('is found with its base by whoever pulls it, where the base was named', async () => {
    await publishBase('me/tiny-base')
    const mine = await author('t5-small')
    const trained = await run(mine, ...train('./t5-small', 'p'), '--base-id', 'me/tiny-base')
    expect([trained.code, trained.stderr]).toEqual([0, expect.not.stringContaining("folder's name")])
    expect((await run(mine, 'push', 'p', 'me/x')).code).toBe(0)
    expect(await baseOf('me/x')).toEqual(['me/tiny-base', 'me/tiny-base', 'me/tiny-base'])
    expect((await searchPrompts({ base: 'me/tiny-base', hubUrl: url, token: TOKEN })).map(({ repo }) => repo)).toEqual(['me/x'])
    // Elsewhere: an empty folder, an empty cache.
    vi.stubEnv('HF_HOME', await folder())
    const there = await folder()
    const answered = await run(there, 'run', 'me/x', 'a good film')
    expect([answered.code, answered.stdout]).toEqual([0, expect.stringMatching(/good|bad/)])
    const pipe = await loadPrompted('me/x', { exportTo: join(there, 'onnx') })
    const [best] = await pipe.classify('a good film')
    await pipe.dispose()
    expect(answered.stdout).toContain(best?.label)
  })

  it('is said to be of a folder, and not pushed without a word for it', async () => {
    const mine = await author('base')
    const trained = await run(mine, ...train('./base', 'p'))
    expect([trained.code, trained.stderr]).toEqual([
      0,
      expect.stringMatching(/known by its folder's name only, "base".*--base-id OWNER\/NAME/),
    ])
    const before = await readFiles(join(mine, 'p'))
    const refused = await run(mine, 'push', 'p', 'me/x')
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/--base-id OWNER\/NAME.*--local-base.*\[push-base\]\n$/)])
    await expect(pulled('me/x')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
    const named = await run(mine, 'push', 'p', 'me/x', '--base-id', 'me/tiny-base')
    expect([named.code, named.stderr]).toEqual([0, expect.stringContaining('sent as me/tiny-base, in place of base')])
    expect(await baseOf('me/x')).toEqual(['me/tiny-base', 'me/tiny-base', 'me/tiny-base'])
    expect((await run(mine, 'push', 'p', 'me/closed', '--local-base')).code).toBe(0)
    expect(await baseOf('me/closed')).toEqual(['base', 'base', undefined])
    // Whoever pulls it has to know.
    const lost = await run(await folder(), 'run', 'me/closed', 'a film')
    expect([lost.code, lost.stderr]).toEqual([1, expect.stringContaining('[base-missing]')])
    await expect(loadPrompted('me/closed', { exportTo: await folder() })).rejects.toMatchObject({
      code: 'base-no-onnx',
      message: expect.stringContaining('{ base: "OWNER/NAME" }'),
    })
    expect(await readFiles(join(mine, 'p'))).toEqual(before)
    const manifest = JSON.parse(String((await pulled('me/x')).get('soft_prompt.json'))) as { base_model: { fingerprint?: unknown } }
    const own = JSON.parse(String(before.get('soft_prompt.json'))) as typeof manifest
    expect(manifest.base_model.fingerprint).toEqual(own.base_model.fingerprint)
    expect(own.base_model.fingerprint).toBeDefined()
  })

  it('is held to its width where its folder is called as one of T5’s models', async () => {
    const { embeddings } = await openPrompt(await promptFolder())
    const of = async (width: number): Promise<string> => {
      const dir = await folder()
      const fingerprint = { version: 1, vocabSize: 32_128, width } as const
      await writePromptFolder({ embeddings, manifest: { base: { id: 't5-small', fingerprint } } }, dir)
      return dir
    }
    const refused = pushFolder({ dir: await of(16), repo: 'me/x' })
    await expect(refused).rejects.toMatchObject({
      code: 'push-base',
      message: expect.stringMatching(/width 16 in a folder called t5-small, which others read as google-t5\/t5-small, of width 512/),
    })
    const { notes } = await pushFolder({ dir: await of(512), repo: 'me/x' })
    expect(notes[0]).toBe('The base model t5-small is google-t5/t5-small on the Hub, and its card says so.')
  })

  it('a name for the base that is no Hub id is refused before anything is trained or sent', async () => {
    const mine = await author('base')
    for (const id of ['./base', '/tmp/base', 'C:\\base', '~/base', 'base', 'a/b/c', '']) {
      const refused = await run(mine, ...train('./base', 'p'), `--base-id=${id}`)
      expect([id, refused.code, refused.stderr]).toEqual([id, 1, expect.stringContaining('[base-id]')])
      await expect(pushFolder({ dir: await promptFolder(), repo: 'me/x', baseId: id })).rejects.toMatchObject({ code: 'base-id' })
    }
    await expect(pulled('me/x')).rejects.toMatchObject({ code: 'hub-repo-not-found' })
  })
})

it('a file of a base is no base, and no repository', async () => {
  await expect(findBase(join(MODEL, 'model.safetensors'))).rejects.toMatchObject({
    code: 'base-missing',
    message: expect.stringContaining('is a file'),
  })
})

/** A PEFT adapter as Python leaves it where the model lay in a folder: the path in its configuration and its card. */
async function withPath(): Promise<string> {
  const files = promptFiles()
  const config = JSON.parse(String(files.get('adapter_config.json'))) as object
  const named = { ...config, base_model_name_or_path: PATH, tokenizer_name_or_path: PATH, revision: 'a'.repeat(40) }
  files.set('adapter_config.json', Buffer.from(JSON.stringify(named, null, 2)))
  const card = `---\nbase_model: ${PATH}\nlibrary_name: peft\ntags:\n- base_model:adapter:${PATH}\n---\n# Mine\n\nOf ${PATH}.\n`
  files.set('README.md', Buffer.from(card))
  return writeFiles(join(await folder(), 'prompt'), files)
}

describe('a path', () => {
  it('is never published: push asks for a name, and puts it wherever the path stood', async () => {
    const dir = await withPath()
    const before = await readFiles(dir)
    await expect(pushFolder({ dir, repo: 'me/x' })).rejects.toMatchObject({ code: 'push-base', facts: { base: PATH } })
    for (const [repo, how, name] of [
      ['me/named', { baseId: 'google/flan-t5-small' }, 'google/flan-t5-small'],
      ['me/kept', { baseId: 'google/flan-t5-small', keepCard: true }, 'google/flan-t5-small'],
      ['me/local', { localBase: true }, 'flan-t5-small'],
    ] as const) {
      const { notes } = await pushFolder({ dir, repo, ...how })
      expect(notes[0]).toContain(`sent as ${name}, in place of ${PATH}`)
      const files = await pulled(repo)
      for (const [path, bytes] of files) expect([path, String(bytes)]).toEqual([path, expect.not.stringContaining('kaggle')])
      expect(JSON.parse(String(files.get('adapter_config.json')))).toMatchObject({
        base_model_name_or_path: name,
        tokenizer_name_or_path: name,
        revision: null,
        num_attention_heads: 4,
      })
      expect(String(files.get('README.md'))).toContain(`# Mine\n\nOf ${name}.`)
    }
    expect(await readFiles(dir)).toEqual(before)
  })

  it('of the tokenizer alone is not published either', async () => {
    const files = promptFiles()
    const config = JSON.parse(String(files.get('adapter_config.json'))) as object
    files.set('adapter_config.json', Buffer.from(JSON.stringify({ ...config, tokenizer_name_or_path: '/content/drive/tokenizer' })))
    const { notes } = await pushFolder({ dir: await writeFiles(await folder(), files), repo: 'me/x' })
    expect(notes).toEqual([expect.stringContaining('path to the tokenizer')])
    expect(JSON.parse(String((await pulled('me/x')).get('adapter_config.json')))).toEqual({
      ...config,
      tokenizer_name_or_path: 'google-t5/t5-small',
    })
  })

  it('is not published from an artifact of ours either, nor from a bundle', async () => {
    const { embeddings } = await openPrompt(await promptFolder())
    const dir = join(await folder(), 'p')
    await writePromptFolder({ embeddings, manifest: { base: { id: PATH, onnxId: '/kaggle/onnx' }, task: 'mood' } }, dir, { card: 'x' })
    const bundle = join(await folder(), 'p.tar.gz')
    await convertPrompt(dir, bundle)
    for (const [repo, source] of [
      ['me/folder', dir],
      ['me/bundle', bundle],
    ] as const) {
      await pushFolder({ dir: source, repo, localBase: true })
      const files = await pulled(repo)
      expect([...files].filter(([, bytes]) => String(bytes).includes('kaggle')).map(([path]) => path)).toEqual([])
      expect((await openPrompt((await pullPrompt({ repo, hubUrl: url, cacheDir: await folder() })).dir)).manifest).toMatchObject({
        base: { id: 'flan-t5-small' },
        task: 'mood',
      })
    }
  })
})

it('one prompt of a pack is pushed by its name, from a folder of several or a bundle', async () => {
  const [pack, bundle] = [await folder(), join(await folder(), 'pack.tar.gz')]
  const { embeddings } = await openPrompt(await promptFolder())
  for (const task of ['one', 'two']) await writePromptFolder({ embeddings, manifest: { base: { id: 'me/tiny' }, task } }, join(pack, task))
  await convertPrompt(pack, bundle)
  for (const [repo, from] of [
    ['me/of-folder', pack],
    ['me/of-bundle', bundle],
  ] as const) {
    await expect(pushFolder({ dir: from, repo })).rejects.toMatchObject({ message: expect.stringContaining(`${from}#one`) })
    await expect(pushFolder({ dir: `${from}#three`, repo })).rejects.toMatchObject({
      code: expect.stringMatching(/push-pack|prompt-missing/),
    })
    await pushFolder({ dir: `${from}#two`, repo })
    expect((await openPrompt((await pullPrompt({ repo, hubUrl: url, cacheDir: await folder() })).dir)).manifest.task).toBe('two')
  }
})

it('says which prompt names a base that the Hub does not have, and what else would do', async () => {
  const dir = await promptFolder()
  const { embeddings } = await openPrompt(dir)
  await writePromptFolder({ embeddings, manifest: { base: { id: 'me/nowhere' } } }, join(dir, 'p'))
  const { code, stderr } = await run(dir, 'run', 'p', 'a film')
  expect([code, stderr]).toEqual([1, expect.stringMatching(/base model me\/nowhere, which p names,.*--model.*\[hub-repo-not-found\]/)])
})

it('what is checked, compared and sent is the same bytes, whatever becomes of the folder meanwhile', async () => {
  const dir = await promptFolder()
  const server = new URL(url)
  const proxy = await faultProxy({ port: Number(server.port) }, () => {
    for (const name of promptFiles().keys()) writeFileSync(join(dir, name), 'spoilt')
    return undefined
  })
  await pushFolder({ dir, repo: 'me/x', hubUrl: proxy.url, keepCard: true })
  expect(await pulled('me/x')).toEqual(promptFiles())
  expect(String((await readFiles(dir)).get('README.md'))).toBe('spoilt')
})

describe("T5's names without an owner", () => {
  it('mean the model of google-t5: to train, run, load, verify, show and search', async () => {
    await publishBase('google-t5/t5-small')
    const mine = await author('elsewhere')
    expect((await run(mine, ...train('t5-small', 'p'))).code).toBe(0)
    expect((await openPrompt(join(mine, 'p'))).manifest.base).toMatchObject({ id: 'google-t5/t5-small', revision: expect.any(String) })
    // As PEFT's tutorials write it.
    const { embeddings } = await openPrompt(join(mine, 'p'))
    await writePromptFolder({ embeddings, manifest: { base: { id: 't5-small' }, labels: ['good', 'bad'] } }, join(mine, 'old'))
    const answered = await run(mine, 'run', 'old', 'p', 'a good film')
    expect([answered.code, answered.stdout]).toEqual([0, expect.stringMatching(/good|bad/)])
    const pipe = await loadPrompted({ old: join(mine, 'old'), new: join(mine, 'p') }, { exportTo: join(mine, 'onnx') })
    expect(pipe.bank.names).toEqual(['old', 'new'])
    await pipe.dispose()
    expect(await verifyPrompts(join(mine, 'old'), { model: 't5-small' })).toMatchObject([{ sound: true }])
    await pushFolder({ dir: join(mine, 'old'), repo: 'me/old' })
    expect(readCardData(String((await pulled('me/old')).get('README.md')))['base_model']).toBe('google-t5/t5-small')
    // An address of the Hub is the same; in a page too, where nothing else tells the id.
    expect(await findBase(`${url}/google-t5/t5-small`, { baseId: `${url}/t5-tests/x` })).toMatchObject({ id: 't5-tests/x', isLocal: false })
    expect((await fetchBase(`${url}/google-t5/t5-small/resolve/main/`)).id).toBe('google-t5/t5-small')
    for (const base of ['t5-small', 'google-t5/t5-small'])
      expect((await searchPrompts({ base, hubUrl: url, token: TOKEN })).map(({ repo }) => repo)).toEqual(['me/old'])
  })

  it('are found in a cache that Python filled by them', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    const cache = join(process.env['HF_HOME'] ?? '', 'hub')
    const revision = '0'.repeat(40)
    const dir = join(cache, 'models--t5-small/snapshots', revision)
    await mkdir(join(dir, '../../refs'), { recursive: true })
    await mkdir(dir, { recursive: true })
    writeFileSync(join(dir, '../../refs/main'), revision)
    for (const file of FILES) await cp(join(MODEL, file), join(dir, file))
    for (const name of ['t5-small', 'google-t5/t5-small', dir])
      expect(await findBase(name)).toEqual({ id: 'google-t5/t5-small', dir, revision, isLocal: false })
    await expect(findBase('t5-base')).rejects.toMatchObject({ code: 'hub-offline' })
  })
})
