/** A hub that answers with what no hub says: coded errors, nothing written, no line of ours forged. */
import { readdir } from 'node:fs/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { pullPromptFiles } from '../../adapters/hub/browser.ts'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { searchPrompts } from '../../adapters/hub/search.ts'
import { fetchSnapshot } from '../../adapters/hub/snapshot.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { pull } from '../../scripts/pull-prompt.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, quickClock, readFiles, same, TOKEN } from './helpers.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { entriesOf, hostileHub, json, sendFile, store } from './hostile.ts'

const CONFIG = promptFiles().get('adapter_config.json') as Buffer
const clock = quickClock()

const emptyFiles = (paths: readonly string[]): object[] => paths.map((path) => ({ type: 'file', path, size: 0, oid: 'a'.repeat(40) }))

describe('an entry of a listing', () => {
  const sound = { type: 'file', path: 'README.md', size: 1, oid: 'a'.repeat(40) }
  it.each([
    [{ ...sound, path: {} }, 'hub-answer'],
    [{ ...sound, path: null }, 'hub-answer'],
    [{ ...sound, size: '1' }, 'hub-answer'],
    [{ ...sound, size: -1 }, 'hub-answer'],
    [{ ...sound, oid: { toString: 1 } }, 'hub-answer'],
    [{ ...sound, lfs: { oid: { toString: 1 } } }, 'hub-answer'],
    [{ ...sound, lfs: 'x' }, 'hub-answer'],
    [{ ...sound, path: '../../x' }, 'hub-unsafe-path'],
    [{ ...sound, path: 'runs//x' }, 'hub-unsafe-path'],
    [{ ...sound, path: 'x\u0000' }, 'hub-unsafe-path'],
    ['x', 'hub-answer'],
    [null, 'hub-answer'],
  ])('%j ends as %s', async (entry, code) => {
    const { url } = await hostileHub({ tree: (_, response) => json(response, [...entriesOf(promptFiles()), entry]) })
    const cacheDir = await folder()
    await expect(pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir, clock })).rejects.toMatchObject({ code })
    expect(await readdir(cacheDir)).toEqual([])
  })

  it.each([
    [['README.md/x'], /lies below a file/],
    [['runs/a', 'runs/a/b'], /a file and a folder/],
    [['runs/A', 'runs/a'], /capital letters/],
    [['runs/CON'], /device/],
    [['runs/aux.txt'], /device/],
    [['runs/x.'], /dot or a space/],
    [['README.md'], /twice/],
  ])('beside others as %j is refused before anything is written', async (paths, words) => {
    const { url } = await hostileHub({ tree: (_, response) => json(response, [...entriesOf(promptFiles()), ...emptyFiles(paths)]) })
    const cacheDir = await folder()
    const pulled = pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir, clock })
    await expect(pulled).rejects.toMatchObject({ code: 'hub-unsafe-path', message: expect.stringMatching(words) })
    expect(await readdir(cacheDir)).toEqual([])
  })

  /** What git holds and some disks do not, or programs obey. */
  const strange = ['aux.c', 'Makefile', 'makefile', 'logs/10:30/x', 'a\\b', '\u001b[31m\n', `runs/${'x'.repeat(300)}`, '\u00e9'.repeat(255)]

  it('of a file that nobody wants may have any name that git can hold', async () => {
    const { url } = await hostileHub({ tree: (_, response) => json(response, [...entriesOf(promptFiles()), ...emptyFiles(strange)]) })
    const cacheDir = await folder()
    const { dir } = await pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir, clock })
    expect(same(await readFiles(dir), promptFiles())).toBe(true)
    expect((await pullPrompt({ repo: 'me/x', hubUrl: url, cacheDir, clock, offline: true })).dir).toBe(dir)
    expect((await pullPromptFiles({ repo: 'me/x', hubUrl: url })).files.size).toBe(promptFiles().size)
  })

  it.each(strange.slice(3))('of a file that is wanted may not: %j', async (path) => {
    const { url } = await hostileHub({ tree: (_, response) => json(response, emptyFiles([path])) })
    const cacheDir = await folder()
    const fetched = fetchSnapshot({ repo: 'me/x', hubUrl: url, cacheDir, clock, select: (all) => all })
    await expect(fetched).rejects.toMatchObject({ code: 'hub-unsafe-path', message: expect.not.stringMatching(/[\u001b\n]/) })
    expect(await readdir(cacheDir)).toEqual([])
  })
})

it.each(['../..', 'a//b', '', 'a\nb', 'x'.repeat(300)])(
  'a revision as %j is refused as what it is, and nobody is asked',
  async (revision) => {
    const { url, seen } = await hostileHub({})
    const pulled = pullPrompt({ repo: 'me/x', revision, hubUrl: url, cacheDir: await folder(), clock })
    await expect(pulled).rejects.toMatchObject({ code: 'hub-revision', message: expect.stringContaining('check --revision') })
    expect(seen).toEqual([])
  },
)

/** A fetch whose lists of models are this. */
const answers =
  (value: unknown): typeof fetch =>
  async (input, init) =>
    String(input).includes('/api/models')
      ? new Response(JSON.stringify(value), { headers: { 'content-type': 'application/json' } })
      : fetch(input, init)

it('a search result that is none is left out, or has a code', async () => {
  const { url } = await hostileHub({})
  const model = { id: 'me/x', lastModified: 'never', downloads: 1, likes: 0, private: false, cardData: { base_model: { toString: 1 } } }
  const found = await searchPrompts({ hubUrl: url, fetch: answers([model, { ...model, id: {} }, { ...model, id: 'a/b\u001b[31m' }]) })
  expect(found).toMatchObject([{ repo: 'me/x', updated: '' }])
  for (const value of [null, 5, [null]])
    await expect(searchPrompts({ hubUrl: url, fetch: answers(value) })).rejects.toMatchObject({ code: 'hub-answer' })
})

describe('a store that the hub sends us to', () => {
  const signed = /sig=/

  it.each([403, 404, 416, 401])('whose address has run out (%i) is asked for by a new one', async (status) => {
    const seen: string[] = []
    const at = await store((request, response, count) => {
      seen.push(String(request.headers.authorization))
      if (count === 1) response.writeHead(status, { 'content-type': 'application/xml' }).end('<Error><Code>AccessDenied</Code></Error>')
      else sendFile(request, response, CONFIG)
    })
    const server = await hostileHub({
      file: (_, response, count) => void response.writeHead(302, { location: `${at}/x?sig=${count}` }).end(),
    })
    const { dir } = await pullPrompt({ repo: 'me/x', hubUrl: server.url, token: TOKEN, cacheDir: await folder(), clock })
    expect(same(await readFiles(dir), promptFiles())).toBe(true)
    expect(seen).toEqual(['undefined', 'undefined'])
  })

  it('that goes on refusing is named, and no token is spoken of, as none was sent', async () => {
    const at = await store((_, response) => void response.writeHead(403).end())
    const server = await hostileHub({
      file: (_, response, count) => void response.writeHead(302, { location: `${at}/x?sig=${count}` }).end(),
    })
    const failure: unknown = await pullPrompt({ repo: 'me/x', hubUrl: server.url, token: TOKEN, cacheDir: await folder(), clock }).catch(
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ code: 'hub-store', message: expect.stringContaining(`${at}/x answered 403`) })
    expect(String(failure)).not.toMatch(/token|log in/i)
    expect(String(failure)).not.toMatch(signed)
    expect(server.seen.filter((line) => line.endsWith('adapter_config.json'))).toHaveLength(5)
  })
})

it('a hub that forbids what was asked without a token says to log in', async () => {
  const server = await hostileHub({ revision: (_, response) => void response.writeHead(403).end() })
  const pulled = (token?: string): Promise<unknown> => pullPrompt({ repo: 'me/x', hubUrl: server.url, cacheDir: 'none', clock, token })
  await expect(pulled()).rejects.toMatchObject({ code: 'hub-forbidden', message: expect.stringContaining('set HF_TOKEN') })
  await expect(pulled(TOKEN)).rejects.toMatchObject({ code: 'hub-forbidden', message: expect.stringContaining('The token has no right') })
})

it('a push whose commit fails twice says no more than that', async () => {
  const server = await hub()
  const proxy = await faultProxy(server, ({ url }) => (url?.includes('/commit/') ? { kind: 'status', status: 503 } : undefined))
  const push = pushPrompt({ repo: 'me/x', dir: await promptFolder(1), hubUrl: proxy.url, token: TOKEN, clock })
  await expect(push).rejects.toMatchObject({ code: 'hub-unavailable', message: expect.not.stringContaining('kept failing') })
})

describe('on a terminal', () => {
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
  })

  it.each([[[]], [['--debug']]])('the words of a hub are one line of an error of ours, and nothing is obeyed (flags %j)', async (flags) => {
    const words = 'no\nerror: fake line\r\n\u001b[2J\u202eevil\u2028more\u0007 hf_abcdefghijkl'
    const server = await hostileHub({
      revision: (_, response) => void response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: words })),
    })
    vi.stubEnv('HF_ENDPOINT', server.url)
    vi.stubEnv('HF_HOME', await folder())
    let shown = ''
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      shown += String(text)
      return true
    })
    expect(await main(commandLine(pull), ['me/x', ...flags])).toBe(1)
    expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u2028\u2029]|abcdefghijkl/)
    expect(shown.split('\n').filter((line) => /fake|evil|more/.test(line))).toHaveLength(1)
    expect(shown).not.toMatch(/^error: fake/m)
    expect(shown).toContain('It said: "no error: fake line')
  })
})
