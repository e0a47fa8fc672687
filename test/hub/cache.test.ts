/** What others do to a cache that is shared: edits, damage, links planted to have us write elsewhere, and what another client left. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, lstat, mkdir, readdir, readFile, readlink, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HubError } from '../../src/errors.ts'
import { verifyPrompts } from '../../adapters/compose/verify.ts'
import { findBase } from '../../adapters/compose/open-base.ts'
import { formatProcess, thisProcess } from '../../adapters/disk/processes.ts'
import { gitBlobId } from '../../adapters/hub/digest.ts'
import { pullPrompt, type Pulled, type PullOptions } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import type { Hub } from '../../adapters/hub/server/start.ts'
import { folder, hub, promptFiles, readFiles, same, TOKEN, writeFiles } from './helpers.ts'

const FILES = promptFiles().set('README.md', Buffer.from(`---\ntags: [soft-prompts]\n---\n# Test\n${'By hand. '.repeat(50)}`))

let server: Hub
let cacheDir = ''
let repository = ''

beforeEach(async () => {
  server = await hub()
  cacheDir = await folder()
  repository = join(cacheDir, 'models--me--x')
  await pushPrompt({ repo: 'me/x', dir: await writeFiles(join(await folder(), 'p'), FILES), hubUrl: server.url, token: TOKEN })
})

const pull = (options: Partial<PullOptions> = {}): Promise<Pulled> => pullPrompt({ repo: 'me/x', hubUrl: server.url, cacheDir, ...options })

/** Makes the cache one that another client filled: nothing in it but blobs, refs and snapshots. */
const forgetListings = (): Promise<void> => rm(join(repository, 'listings'), { recursive: true, force: true })

async function edit(path: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  await writeFile(path, change(await readFile(path)))
}
const flip = (bytes: Buffer): Buffer => {
  bytes[bytes.length - 1]! ^= 1
  return bytes
}

describe.each([
  ['as we left it', async () => {}],
  ['as another client leaves it', forgetListings],
] as const)('a cache %s', (_, prepare) => {
  it.each([
    ['a README edited in place', 'README.md', (path: string) => edit(path, flip)],
    [
      'a configuration edited in place',
      'adapter_config.json',
      (path: string) => edit(path, (bytes) => Buffer.from(String(bytes).replace('google-t5', 'another'))),
    ],
    ['tensors with a flipped bit', 'adapter_model.safetensors', (path: string) => edit(path, flip)],
    ['a file cut short', 'README.md', (path: string) => edit(path, (bytes) => bytes.subarray(0, 9))],
    [
      'a link that points elsewhere',
      'README.md',
      async (path: string) => {
        const other = join(await folder(), 'other')
        await cp(path, other, { dereference: true })
        await rm(path)
        await symlink(other, path)
      },
    ],
    [
      'a link to another file of the repository',
      'README.md',
      async (path: string) => {
        await rm(path)
        await symlink(await readlink(join(dirname(path), 'adapter_config.json')), path)
      },
    ],
  ] as const)('%s is called damage offline, and repaired online', async (what, name, spoil) => {
    const { dir } = await pull()
    await spoil(join(dir, name))
    await prepare()
    // What another client's link says is all that is known of its file.
    const isUnknown = prepare === forgetListings && what.endsWith('of the repository')
    const told = await pull({ offline: true }).then(
      () => 'used',
      (error: Error) => error.message.split(' (')[0],
    )
    expect(told).toBe(isUnknown ? 'used' : `${name} of me/x is damaged in the cache`)
    await pull()
    expect(same(await readFiles(dir), FILES)).toBe(true)
    expect((await pull({ offline: true })).downloadedBytes).toBe(0)
  })

  it('a file that is missing is said to be', async () => {
    const { dir } = await pull()
    await rm(await realpath(join(dir, 'README.md')))
    await prepare()
    await expect(pull({ offline: true })).rejects.toMatchObject({
      code: 'hub-offline',
      message: expect.stringContaining('README.md of me/x'),
    })
  })

  it('a warm pull reads it and sends for nothing', async () => {
    await pull()
    await prepare()
    expect((await pull({ offline: true })).downloadedBytes).toBe(0)
    expect((await pull()).downloadedBytes).toBe(0)
  })
})

it('a file that is not the repository’s and would be read as its own is refused', async () => {
  const { dir } = await pull()
  await writeFile(join(dir, 'notes.txt'), 'mine')
  await pull()
  await writeFile(join(dir, 'soft_prompt.json'), '{}')
  for (const offline of [false, true])
    await expect(pull({ offline })).rejects.toMatchObject({
      code: 'hub-cache-corrupt',
      message: expect.stringContaining('soft_prompt.json lies in the cache and is no file of the repository'),
    })
})

it('verify of a folder in the cache checks the files that no manifest holds a hash of', async () => {
  const { dir } = await pull()
  const cache = async (): Promise<unknown> => (await verifyPrompts(dir))[0]?.checks.find(({ name }) => name === 'cache')
  expect(await cache()).toEqual({ name: 'cache', standing: 'ok', detail: '5 files by the digests that the cache lists' })
  await edit(join(dir, 'README.md'), flip)
  expect(await cache()).toMatchObject({ standing: 'failed', code: 'hub-cache-corrupt', detail: expect.stringContaining('README.md') })
})

it('a damaged base that training finds in the cache is mended, or refused where nobody can be asked', async () => {
  const base = new Map([
    ['config.json', Buffer.from('{}')],
    ['model.safetensors', Buffer.from('weights')],
  ])
  const lines = [...base].map(([path, bytes]) =>
    JSON.stringify({ key: 'file', value: { path, content: bytes.toString('base64'), encoding: 'base64' } }),
  )
  const headers = { authorization: `Bearer ${TOKEN}` }
  await fetch(`${server.url}/api/repos/create`, { method: 'POST', headers, body: JSON.stringify({ name: 't5', organization: 'me' }) })
  const body = [JSON.stringify({ key: 'header', value: { summary: 'x' } }), ...lines].join('\n')
  expect((await fetch(`${server.url}/api/models/me/t5/commit/main`, { method: 'POST', headers, body })).status).toBe(200)
  vi.stubEnv('HF_ENDPOINT', server.url)
  vi.stubEnv('HF_HUB_CACHE', cacheDir)
  try {
    const { dir } = await findBase('me/t5')
    await edit(join(dir, 'model.safetensors'), flip)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(findBase('me/t5')).rejects.toMatchObject({ code: 'hub-cache-corrupt' })
    vi.stubEnv('HF_HUB_OFFLINE', '')
    expect(same(await readFiles((await findBase('me/t5')).dir), base)).toBe(true)
  } finally {
    vi.unstubAllEnvs()
  }
})

describe('planted by another user of the cache', () => {
  let victim = ''
  beforeEach(async () => {
    victim = await folder()
    await writeFile(join(victim, 'precious'), 'precious')
  })
  const isUnharmed = async (): Promise<boolean> =>
    (await readdir(victim)).join() === 'precious' && (await readFile(join(victim, 'precious'), 'utf8')) === 'precious'
  const oid = gitBlobId(FILES.get('adapter_config.json') as Buffer)
  /** As a process leaves it that was killed while it downloaded. */
  const unfinished = (): string =>
    join(repository, 'blobs', `${oid}+${formatProcess({ ...thisProcess(), start: '1' })}.0123456789ab.1.incomplete`)

  it('an unfinished download that is a link to a file is not written through', async () => {
    await mkdir(join(repository, 'blobs'), { recursive: true })
    await symlink(join(victim, 'precious'), unfinished())
    const { dir } = await pull()
    expect(await isUnharmed()).toBe(true)
    expect(same(await readFiles(dir), FILES)).toBe(true)
    expect((await lstat(join(repository, 'blobs', oid))).isFile()).toBe(true)
  })

  it('an unfinished download that has another name too is not written to', async () => {
    await mkdir(join(repository, 'blobs'), { recursive: true })
    const { link } = await import('node:fs/promises')
    await link(join(victim, 'precious'), unfinished())
    await pull()
    expect(await isUnharmed()).toBe(true)
  })

  it('a blob that is a link is replaced, and what it pointed to left alone', async () => {
    await mkdir(join(repository, 'blobs'), { recursive: true })
    await symlink(join(victim, 'precious'), join(repository, 'blobs', oid))
    const { dir } = await pull()
    expect(await isUnharmed()).toBe(true)
    expect(same(await readFiles(dir), FILES)).toBe(true)
  })

  it('a blob that is a link to the right bytes is not trusted to keep them', async () => {
    await pull()
    const other = join(await folder(), 'other')
    await rename(join(repository, 'blobs', oid), other)
    await symlink(other, join(repository, 'blobs', oid))
    await expect(pull({ offline: true })).rejects.toMatchObject({ code: 'hub-cache-corrupt' })
    await pull()
    expect((await lstat(join(repository, 'blobs', oid))).isFile()).toBe(true)
  })

  it.skipIf(process.platform === 'win32').each(['refs/main', 'listings/COMMIT.json', 'blobs/OID'])(
    'a pipe that nobody ever writes to (%s) is not waited for',
    async (name) => {
      const { commit } = await pull()
      const path = join(repository, name.replace('COMMIT', commit).replace('OID', oid))
      await rm(path)
      execFileSync('mkfifo', [path])
      const offline: unknown = await pull({ offline: true }).catch((error: unknown) => error)
      expect(name.startsWith('listings') || offline instanceof HubError).toBe(true)
      const { dir } = await pull()
      expect(same(await readFiles(dir), FILES)).toBe(true)
      expect((await lstat(path)).isFile()).toBe(true)
    },
  )

  it('a list of digests that was changed with the file is found by asking the Hub again, or by a lock file', async () => {
    const lockFile = join(await folder(), 'lock.json')
    const { commit, dir } = await pull({ lockFile })
    const forged = Buffer.from(String(FILES.get('README.md')).replace('By hand', 'By them'))
    const listing = join(repository, 'listings', `${commit}.json`)
    const own = gitBlobId(FILES.get('README.md') as Buffer)
    await writeFile(listing, (await readFile(listing, 'utf8')).replace(own, gitBlobId(forged)))
    await writeFile(join(repository, 'blobs', gitBlobId(forged)), forged)
    await rm(join(dir, 'README.md'))
    await symlink(join('..', '..', 'blobs', gitBlobId(forged)), join(dir, 'README.md'))
    // Nobody is asked, and nothing else was pinned: the cache is what is trusted.
    await pull({ offline: true })
    await expect(pull({ lockFile, frozen: true, offline: true })).rejects.toMatchObject({ code: 'hub-lock-drift' })
    await pull({ check: true })
    expect(same(await readFiles(dir), FILES)).toBe(true)
    await pull({ lockFile, frozen: true, offline: true })
  })

  it('a ref that is a link is replaced, and what it pointed to left alone', async () => {
    await mkdir(join(repository, 'refs'), { recursive: true })
    await symlink(join(victim, 'precious'), join(repository, 'refs', 'main'))
    await pull()
    expect(await isUnharmed()).toBe(true)
  })

  it.each(['blobs', 'refs', 'snapshots', 'listings', 'checked', 'snapshots/COMMIT', 'snapshots/COMMIT/runs', 'refs/heads'])(
    'a folder that is a link (%s) is refused by name',
    async (name) => {
      const { commit } = await pull({ cacheDir: await folder() })
      const path = join(repository, name.replace('COMMIT', commit))
      await mkdir(dirname(path), { recursive: true })
      await symlink(victim, path)
      await fetch(`${server.url}/api/models/me/x/branch/heads%2Fa`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}` },
        body: '{}',
      })
      const revision = name === 'refs/heads' ? 'heads/a' : 'main'
      await expect(pull({ revision })).rejects.toMatchObject({ code: 'hub-cache-link', message: expect.stringContaining(path) })
      expect(await isUnharmed()).toBe(true)
    },
  )
})

it('a repository of the cache that lies on another disk, behind a link, is used', async () => {
  await symlink(await folder(), repository)
  const { dir } = await pull()
  expect(same(await readFiles(dir), FILES)).toBe(true)
  expect((await pull({ offline: true })).downloadedBytes).toBe(0)
})

it('a folder where a file belongs, as another client leaves of a repository that had both, is replaced', async () => {
  const { dir } = await pull()
  await rm(join(dir, 'README.md'))
  await writeFiles(dir, new Map([['README.md/x', Buffer.from('x')]]))
  await expect(pull({ offline: true })).rejects.toMatchObject({ code: 'hub-cache-corrupt' })
  await pull()
  expect(same(await readFiles(dir), FILES)).toBe(true)
  expect((await readdir(join(repository, 'blobs'))).filter((name) => name.startsWith('link'))).toEqual([])
})

it('a branch `a`, later `a/b`, later `a` again: each is pulled', async () => {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const branch = (name: string, method: string): Promise<Response> =>
    fetch(`${server.url}/api/models/me/x/branch/${encodeURIComponent(name)}`, {
      method,
      headers,
      ...(method === 'POST' ? { body: '{}' } : {}),
    })
  for (const [old, fresh] of [
    ['', 'a'],
    ['a', 'a/b'],
    ['a/b', 'a/b/c'],
    ['a/b/c', 'a'],
  ] as const) {
    if (old !== '') await branch(old, 'DELETE')
    await branch(fresh, 'POST')
    await pull({ revision: fresh })
    expect((await pull({ revision: fresh, offline: true })).revision).toBe(fresh)
    const before = old === '' ? 'never-fetched' : old
    await expect(pull({ revision: before, offline: true })).rejects.toMatchObject({ code: 'hub-offline' })
  }
})

it('names blobs as git and LFS do, so that a cache without listings can be checked', async () => {
  await pull()
  const blobs = await Promise.all(
    (await readdir(join(repository, 'blobs'))).map(async (name) => [name, await readFile(join(repository, 'blobs', name))] as const),
  )
  for (const [name, bytes] of blobs)
    expect(name).toBe(name.length === 40 ? gitBlobId(bytes) : createHash('sha256').update(bytes).digest('hex'))
  expect(blobs.map(([name]) => name.length).toSorted()).toEqual([40, 40, 40, 64, 64])
})
