/** A hub with hostile and careless neighbours: what one pushes never shows on another's page, and what nobody could keep is refused with words. */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { startHub } from '../../adapters/hub/server/start.ts'
import { folder, hub, promptFolder, TOKEN } from './helpers.ts'

const headers = { authorization: `Bearer ${TOKEN}` }

interface Answer {
  readonly status: number
  readonly error: string
}

const answerOf = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  const { error = '' } = (text.startsWith('{') ? JSON.parse(text) : {}) as { error?: string }
  return { status: response.status, error }
}

const create = async (url: string, name: string, more: object = {}): Promise<Answer> =>
  answerOf(await fetch(`${url}/api/repos/create`, { method: 'POST', headers, body: JSON.stringify({ name, ...more }) }))

/** A commit of files by name, through the plain API. */
async function commit(
  url: string,
  repo: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  gone: readonly string[] = [],
): Promise<Answer> {
  const lines = [
    { key: 'header', value: { summary: 'files' } },
    ...gone.map((path) => ({ key: 'deletedFile', value: { path } })),
    ...Object.entries(files).map(([path, content]) => ({
      key: 'file',
      value: { path, content: Buffer.from(content).toString('base64'), encoding: 'base64' },
    })),
  ]
  const body = lines.map((line) => JSON.stringify(line)).join('\n')
  return answerOf(await fetch(`${url}/api/models/${repo}/commit/main`, { method: 'POST', headers, body }))
}

type Method = 'POST' | 'PUT' | 'DELETE'

const post = async (url: string, path: string, body: unknown, method: Method = 'POST'): Promise<Answer> =>
  answerOf(await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) }))

/** A text, a number, and what converts by code of its own. */
const WRONG = [{ toString: 1 }, { valueOf: 1 }, [{ toString: 1 }], 7, true] as const

function tensorsOf(header: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text])
}

const card = (yaml: string): string => `---\n${yaml}\n---\n# Card\n`
const aliases = [
  'a0: &a0 [x,x,x,x,x,x,x,x,x]',
  ...Array.from({ length: 8 }, (_, at) => `a${at + 1}: &a${at + 1} [${Array(9).fill(`*a${at}`).join()}]`),
]

describe('a card', () => {
  it.each([
    ['tags: [{toString: 1}]', '"tags" must be a list of words'],
    ['pipeline_tag: {toString: 1}', '"pipeline_tag" must be'],
    ['base_model: [{toString: 1}]', '"base_model" must be'],
    ['base_model_relation: {toString: 1}', '"base_model_relation" must be'],
    ['a: *nope', 'line 2: "*nope" names nothing'],
    [aliases.join('\n'), 'aliases'],
    ['license: mit\ntitle: a: b', 'line 3'],
    ['license: mit\nlicense: mit', 'there already, in line 2'],
    ['? '.repeat(400) + 'a', 'nested'],
    ['a: ' + '['.repeat(5000), 'nested'],
    ['a: ' + '- '.repeat(5000), 'nested'],
    ['? {a: 1}\n: b', 'a key is no word'],
    ['model-index: 3', '"model-index" must be'],
    ['%YAML 1.1\n--- {d: 2026-01-01}', 'neither text, number'],
  ])('that huggingface.co refuses is refused here, with the reason: %j', async (yaml, words) => {
    const { url } = await hub()
    await create(url, 'me/x')
    const { status, error } = await commit(url, 'me/x', { 'README.md': card(yaml) })
    expect([status, error]).toEqual([400, expect.stringContaining('Invalid metadata in README.md: ')])
    expect(error).toContain(words)
    const asked = await fetch(`${url}/api/validate-yaml`, { method: 'POST', body: JSON.stringify({ content: card(yaml) }) })
    expect(asked.status).toBe(400)
    expect(JSON.stringify(await asked.json())).toContain(words.replaceAll('"', '\\"'))
  })

  it('as a copy of another file too', async () => {
    const { url } = await hub()
    await create(url, 'me/x')
    expect((await commit(url, 'me/x', { 'other.md': card('tags: 7') })).status).toBe(200)
    const copy = [
      { key: 'header', value: { summary: 'copy' } },
      { key: 'file', value: { path: 'README.md', oldPath: 'other.md' } },
    ]
    const sent = await fetch(`${url}/api/models/me/x/commit/main`, {
      method: 'POST',
      headers,
      body: copy.map((line) => JSON.stringify(line)).join('\n'),
    })
    expect(await answerOf(sent)).toMatchObject({ status: 400, error: expect.stringContaining('Invalid metadata') as string })
  })

  it('that lies there from before is shown with the reason, and hides no other', async () => {
    const server = await hub()
    const { url, dir } = server
    await pushPrompt({ dir: await promptFolder(), repo: 'me/good', hubUrl: url, token: TOKEN })
    await create(url, 'me/bad')
    await commit(url, 'me/bad', { 'README.md': card('license: mit'), 'adapter_config.json': '{}', 'soft_prompt.json': '{"task":"t"}' })
    await server.close()
    // As an older hub kept it.
    const blobs = join(dir, 'models/me/bad/blobs')
    for (const name of await readdir(blobs)) {
      if ((await readFile(join(blobs, name), 'utf8')).startsWith('---'))
        await writeFile(join(blobs, name), card('tags: [{toString: 1}]\na: *nope'))
      else await writeFile(join(blobs, name), '['.repeat(100_000))
    }
    const again = await hub({ dir })
    expect(((await (await fetch(`${again.url}/api/models`)).json()) as { id: string }[]).map(({ id }) => id).toSorted()).toEqual([
      'me/bad',
      'me/good',
    ])
    for (const path of ['/', '/me/bad', '/me/good', '/api/models/me/bad', '/api/models/me/good'])
      expect([path, (await fetch(`${again.url}${path}`)).status]).toEqual([path, 200])
    expect(await (await fetch(`${again.url}/me/bad`)).text()).toContain('&quot;*nope&quot; names nothing')
  })

  it('whose repository is broken on disk takes only itself away, and is reported', async () => {
    const reported: unknown[] = []
    const { url, dir } = await hub({ onError: (error) => reported.push(error) })
    await create(url, 'me/good')
    await create(url, 'me/bad')
    const refs = join(dir, 'models/me/bad/commits')
    for (const name of await readdir(refs)) await writeFile(join(refs, name), '{')
    for (const path of ['/api/models', '/']) expect((await fetch(`${url}${path}`)).status).toBe(200)
    expect(((await (await fetch(`${url}/api/models`)).json()) as { id: string }[]).map(({ id }) => id)).toEqual(['me/good'])
    expect(reported.length).toBeGreaterThan(0)
  })

  it('longer than is read here is kept and said', async () => {
    const { url } = await hub()
    await create(url, 'me/x')
    const long = card(`language: [${Array.from({ length: 20_000 }, () => 'en').join(', ')}]`) + 'word '.repeat(20_000)
    expect(await commit(url, 'me/x', { 'README.md': long })).toMatchObject({ status: 200 })
    const page = await (await fetch(`${url}/me/x`)).text()
    expect(page).toContain('the front matter is longer than 16000 characters')
    expect(page).toContain('the card is longer than is shown here: <a href="/me/x/resolve/')
    expect(await (await fetch(`${url}/me/x/resolve/main/README.md`)).text()).toBe(long)
  })
})

describe('a file of tensors', () => {
  it.each([
    { x: { dtype: { toString: 1 }, shape: [1], data_offsets: [0, 4] } },
    { x: { dtype: 'F32', shape: [{ valueOf: 1 }] } },
    { x: { dtype: 'F32', shape: [1e300, 1e300] } },
    { x: { dtype: '__proto__', shape: [1] } },
    { x: { dtype: 'F32', shape: [-1] } },
  ])('with a header like %j stops no list', async (header) => {
    const { url } = await hub()
    await create(url, 'me/x')
    expect((await commit(url, 'me/x', { 'adapter_model.safetensors': tensorsOf(header) })).status).toBe(200)
    for (const path of ['/', '/api/models?full=1', '/api/models/me/x', '/me/x']) expect((await fetch(`${url}${path}`)).status).toBe(200)
  })
})

describe('a value of another kind', () => {
  it.each(WRONG.map((value) => [value] as const))('%j is refused wherever a text stands', async (value) => {
    const { url } = await hub()
    await create(url, 'me/x')
    const asked: [string, unknown, Method?][] = [
      ...['name', 'type', 'organization', 'visibility'].map((field): [string, unknown] => [
        '/api/repos/create',
        { name: 'y', [field]: value },
      ]),
      ['/api/repos/delete', { name: value }, 'DELETE'],
      ['/api/validate-yaml', { content: value }],
      ['/api/models/me/x/settings', { visibility: value }, 'PUT'],
      ['/api/models/me/x/tag/main', { tag: value }],
      ['/api/models/me/x/branch/b', { startingPoint: value }],
      ['/api/models/me/x/paths-info/main', { paths: [value] }],
      ['/api/models/me/x/preupload/main', { files: [{ path: value, size: 1 }] }],
      ['/api/models/me/x/preupload/main', { files: [{ path: 'a', size: 1, sample: value }] }],
      ['/me/x.git/info/lfs/objects/batch', { operation: 'upload', objects: [{ oid: value, size: 1 }] }],
      ['/me/x.git/info/lfs/objects/verify', { oid: value, size: 1 }],
      ...['summary', 'description', 'parentCommit'].map((field): [string, unknown] => [
        '/api/models/me/x/commit/main',
        { key: 'header', value: { summary: 's', [field]: value } },
      ]),
    ]
    for (const [path, body, method] of asked) expect([path, body, (await post(url, path, body, method)).status]).toEqual([path, body, 400])
    for (const field of ['path', 'content', 'encoding', 'oldPath']) {
      const lines = [
        { key: 'header', value: { summary: 's' } },
        { key: 'file', value: { path: 'a', content: '', [field]: value } },
      ]
      const body = lines.map((line) => JSON.stringify(line)).join('\n')
      expect((await fetch(`${url}/api/models/me/x/commit/main`, { method: 'POST', headers, body })).status).toBe(400)
    }
  })

  it.each([{ toString: 1 }, 'yes', 7] as const)('%j is refused wherever yes or no, or a number, stands', async (value) => {
    const { url } = await hub()
    await create(url, 'me/x')
    const size = typeof value === 'number' ? 1.5 : value
    for (const [path, body, method] of [
      ['/api/repos/create', { name: 'y', private: value }, 'POST'],
      ['/api/models/me/x/settings', { private: value }, 'PUT'],
      ['/api/models/me/x/branch/b', { emptyBranch: value }, 'POST'],
      ['/api/models/me/x/paths-info/main', { paths: [], expand: value }, 'POST'],
      ['/api/models/me/x/preupload/main', { files: [{ path: 'a', size }] }, 'POST'],
      ['/me/x.git/info/lfs/objects/batch', { operation: 'upload', objects: [{ oid: 'ab'.repeat(32), size }] }, 'POST'],
    ] as const)
      expect([path, (await post(url, path, body, method)).status]).toEqual([path, 400])
    // A repository that should have been private was not made at all.
    expect((await fetch(`${url}/api/models/me/y`)).status).toBe(401)
  })
})

describe('names', () => {
  it.each([
    [['README.md/x'], 'is a file and a folder'],
    [['readme.md'], 'differ in capital letters only'],
    [['caf\u00e9', 'cafe\u0301'], String.raw`"cafe\u0301"`],
    [['CON'], 'is a device'],
    [['a/aux.txt'], 'is a device'],
    [['a. '], 'ends with a dot or a space'],
    [['a./b'], 'ends with a dot or a space'],
  ])('%j: refused with the reason', async (paths, words) => {
    const { url } = await hub()
    await create(url, 'me/x')
    await commit(url, 'me/x', { 'README.md': '# x\n' })
    const before = await (await fetch(`${url}/api/models/me/x`)).text()
    const { status, error } = await commit(url, 'me/x', Object.fromEntries(paths.map((path) => [path, 'x'])))
    expect([status, error]).toEqual([400, expect.stringContaining(words)])
    expect(error).not.toMatch(/\p{C}/u)
    expect(await (await fetch(`${url}/api/models/me/x`)).text()).toBe(before)
  })

  it('a folder can take the place of a file in one commit', async () => {
    const { url } = await hub()
    await create(url, 'me/x')
    await commit(url, 'me/x', { runs: 'a file' })
    expect((await commit(url, 'me/x', { 'runs/a': 'x' }, ['runs'])).status).toBe(200)
  })

  it.each(['a'.repeat(171), `${'a/'.repeat(60)}a`])('of a branch too long for the disk are refused: %s', async (name) => {
    const { url } = await hub()
    await create(url, 'me/x')
    expect(await post(url, `/api/models/me/x/branch/${encodeURIComponent(name)}`, {})).toMatchObject({
      status: 400,
      error: expect.stringContaining('too long') as string,
    })
    expect((await post(url, `/api/models/me/x/branch/${'a'.repeat(170)}`, {})).status).toBe(200)
  })
})

it('an error says nothing on a line of its own, whatever was asked', async () => {
  const { url } = await hub()
  const evil = 'x\nerror: fake line\r\u001b[31m\u202e'
  const asked = [
    await post(url, '/api/repos/create', { name: evil }),
    await post(url, '/api/repos/create', { name: 'x', type: evil }),
    await answerOf(await fetch(`${url}/me/${encodeURIComponent(evil)}`)),
    await answerOf(await fetch(`${url}/api/models/me/x/tree/main/${encodeURIComponent(evil)}`)),
  ]
  await create(url, 'me/x')
  asked.push(
    await commit(url, 'me/x', { [evil]: 'x' }),
    await commit(url, 'me/x', {}, [evil]),
    await answerOf(await fetch(`${url}/api/models/me/x/tree/main/${encodeURIComponent(evil)}`)),
    await answerOf(await fetch(`${url}/api/models/me/x/revision/${encodeURIComponent(evil)}`)),
    await post(url, `/api/models/me/x/branch/${encodeURIComponent(evil)}`, {}),
    await commit(url, 'me/x', { 'README.md': `---\n${JSON.stringify(evil)}: 1\n${JSON.stringify(evil)}: 2\n---\n` }),
  )
  for (const { status, error } of asked) {
    expect(status).toBeGreaterThanOrEqual(400)
    expect(error).not.toMatch(/[\p{Cc}\u202e]/u)
  }
})

/** Every kind of mode below a folder. */
const modes = async (dir: string): Promise<string[]> => {
  const items = await readdir(dir, { recursive: true, withFileTypes: true })
  const found = items.map(async (item) => {
    const { mode } = await stat(join(item.parentPath, item.name))
    return `${item.isDirectory() ? 'folder' : 'file'} ${(mode & 0o777).toString(8)}`
  })
  return [...new Set(await Promise.all(found))].toSorted()
}

describe.skipIf(process.platform === 'win32')('on disk', () => {
  it('all that a hub keeps is its owner’s alone', async () => {
    const dir = join(await folder(), 'deep', 'hub')
    const server = await startHub({ dir })
    const token = await readFile(join(dir, 'token'), 'utf8')
    await pushPrompt({ dir: await promptFolder(), repo: 'local/x', hubUrl: server.url, token, private: true })
    expect(await modes(dir)).toEqual(['file 600', 'folder 700'])
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    await server.close()
  })

  it('a folder of an older hub is closed; one that holds other things only at what is the hub’s', async () => {
    const dir = await folder()
    await mkdir(join(dir, 'models/me'), { recursive: true })
    for (const path of ['', 'models', 'models/me']) await chmod(join(dir, path), 0o755)
    await hub({ dir })
    expect([(await stat(dir)).mode & 0o777, (await stat(join(dir, 'models'))).mode & 0o777]).toEqual([0o700, 0o700])
    const shared = await folder()
    await mkdir(join(shared, 'models'))
    await writeFile(join(shared, 'notes.txt'), '')
    for (const path of ['', 'models', 'notes.txt']) await chmod(join(shared, path), 0o755)
    await hub({ dir: shared })
    expect([(await stat(shared)).mode & 0o777, (await stat(join(shared, 'models'))).mode & 0o777]).toEqual([0o755, 0o700])
    expect((await stat(join(shared, 'notes.txt'))).mode & 0o777).toBe(0o755)
  })
})

it('the list tells what each prompt does, on which base and how well', async () => {
  const { url } = await hub()
  const examples = new URL('../../hub-cards/examples/', import.meta.url).pathname
  await pushPrompt({ dir: join(examples, 'topic'), repo: 'me/topic', hubUrl: url, token: TOKEN })
  const { task, metrics } = JSON.parse(await readFile(join(examples, 'topic/soft_prompt.json'), 'utf8')) as {
    task: string
    metrics: { value: number; n: number }[]
  }
  const page = await (await fetch(`${url}/`)).text()
  expect(page).toContain(`<p>${task}</p>`)
  expect(page).toContain('for <code>t5-tiny-en</code>')
  expect(page).toContain(`<b>${(100 * (metrics[0]?.value ?? 0)).toFixed(1)} % accuracy on dev (${metrics[0]?.n} rows)</b>`)
  // A prompt without a manifest says what its card and its adapter do.
  await pushPrompt({ dir: await promptFolder(), repo: 'me/peft', hubUrl: url, token: TOKEN })
  expect(await (await fetch(`${url}/?search=peft`)).text()).toContain('for <code>google-t5/t5-small</code>')
})
