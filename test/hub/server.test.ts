/** The local hub by itself: what clients rely on, and what attackers try. */
import {
  checkRepoAccess,
  commit,
  createRepo,
  downloadFile,
  fileExists,
  listCommits,
  listFiles,
  listModels,
  pathsInfo,
  snapshotDownload,
  whoAmI,
} from '@huggingface/hub'
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { checkMarks } from '../../adapters/hub/server/http.ts'
import { COMMIT_LINES, COMMIT_MARKS, REPO_FILES } from '../../adapters/hub/server/limits.ts'
import { folder, hub, promptFiles, promptFolder, READ_TOKEN, readFiles, STRANGER, TOKEN } from './helpers.ts'

const auth = (token: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${token}` } })

const bytesOf = async (body: Blob | Response | null | undefined): Promise<Buffer> =>
  Buffer.from((await body?.arrayBuffer()) ?? new ArrayBuffer(0))

const put = async (address: string, bytes: string): Promise<number> => (await fetch(address, { method: 'PUT', body: bytes })).status

describe('the JavaScript client', () => {
  it('creates, commits, lists and downloads', async () => {
    const { url: hubUrl } = await hub()
    const base = { hubUrl, accessToken: TOKEN, repo: 'me/plain' }
    await createRepo(base)
    await expect(createRepo(base)).rejects.toMatchObject({ statusCode: 409 })
    const big = Buffer.from(new Uint8Array(3_000_000).map((_, index) => index % 251))
    const operations = [
      { operation: 'addOrUpdate' as const, path: 'a/b/big.bin', content: new Blob([big]) },
      { operation: 'addOrUpdate' as const, path: 'empty.txt', content: new Blob([]) },
      { operation: 'addOrUpdate' as const, path: 'ä ö/odd.txt', content: new Blob(['odd name']) },
    ]
    await commit({ ...base, title: 'first', operations })
    const files: string[] = []
    for await (const file of listFiles({ ...base, recursive: true })) files.push(`${file.type} ${file.path}`)
    expect(files).toEqual(['directory a', 'directory a/b', 'file a/b/big.bin', 'file empty.txt', 'directory ä ö', 'file ä ö/odd.txt'])
    const blob = await downloadFile({ ...base, path: 'a/b/big.bin' })
    expect(big.equals(await bytesOf(blob))).toBe(true)
    expect(await bytesOf(blob?.slice(1000, 1010))).toEqual(big.subarray(1000, 1010))
    expect((await downloadFile({ ...base, path: 'empty.txt' }))?.size).toBe(0)
    expect(await (await downloadFile({ ...base, path: encodeURI('ä ö/odd.txt') }))?.text()).toBe('odd name')
    expect(await downloadFile({ ...base, path: 'none' })).toBeNull()
    expect(await fileExists({ ...base, path: 'none' })).toBe(false)
    const [info] = await pathsInfo({ ...base, paths: ['a/b/big.bin'], expand: true })
    expect(info).toMatchObject({
      size: big.length,
      lfs: { size: big.length },
      lastCommit: { title: 'first' },
      securityFileStatus: { status: 'safe' },
    })
    expect(await whoAmI(base)).toMatchObject({ name: 'me', type: 'user' })
    const titles: string[] = []
    for await (const one of listCommits({ ...base, repo: { type: 'model', name: 'me/plain' } })) titles.push(one.title)
    expect(titles).toEqual(['first', 'initial commit'])
    vi.spyOn(console, 'debug').mockImplementation(() => {})
    expect((await readFiles(await snapshotDownload({ ...base, cacheDir: await folder() }))).get('a/b/big.bin')?.length).toBe(big.length)
    vi.restoreAllMocks()
  })

  it('takes names that every object has for names', async () => {
    const { url: hubUrl } = await hub()
    const base = { hubUrl, accessToken: TOKEN, repo: 'me/constructor' }
    await createRepo(base)
    const operations = [{ operation: 'addOrUpdate' as const, path: 'x.constructor', content: new Blob(['x']) }]
    await commit({ ...base, title: 'first', operations })
    expect(await (await downloadFile({ ...base, path: 'x.constructor' }))?.text()).toBe('x')
    const created = { method: 'POST', body: JSON.stringify({ type: 'constructor', name: 'odd' }) }
    expect((await fetch(`${hubUrl}/api/repos/create`, { ...auth(TOKEN), ...created })).status).toBe(400)
    const listed = await fetch(`${hubUrl}/api/models?sort=constructor`, auth(TOKEN))
    expect([listed.status, ((await listed.json()) as { id: string }[]).map(({ id }) => id)]).toEqual([200, ['me/constructor']])
  })

  it('lists with filters, only what the caller may see', async () => {
    const { url: hubUrl } = await hub()
    await pushPrompt({ dir: await promptFolder(1), repo: 'me/public', hubUrl, token: TOKEN })
    await pushPrompt({ dir: await promptFolder(2), repo: 'team/secret', hubUrl, token: TOKEN, private: true })
    const names = async (search: object, accessToken?: string): Promise<string[]> => {
      const found: string[] = []
      for await (const model of listModels({ hubUrl, search, ...(accessToken === undefined ? {} : { accessToken }) }))
        found.push(model.name)
      return found.toSorted()
    }
    expect(await names({})).toEqual(['me/public'])
    expect(await names({}, STRANGER)).toEqual(['me/public'])
    expect(await names({}, TOKEN)).toEqual(['me/public', 'team/secret'])
    expect(await names({ tags: ['soft-prompts', 'base_model:google-t5/t5-small'] }, TOKEN)).toEqual(['me/public', 'team/secret'])
    expect(await names({ tags: ['base_model:google-t5/t5-base'] }, TOKEN)).toEqual([])
    expect(await names({ owner: 'team' }, TOKEN)).toEqual(['team/secret'])
    expect(await names({ query: 'PUB' })).toEqual(['me/public'])
    await expect(checkRepoAccess({ repo: 'team/secret', hubUrl, accessToken: STRANGER })).rejects.toMatchObject({ statusCode: 404 })
  })
})

describe('pages', () => {
  it('a tree comes in pages with absolute links', async () => {
    const { url } = await hub()
    await createRepo({ hubUrl: url, accessToken: TOKEN, repo: 'me/many' })
    const operations = Array.from({ length: 25 }, (_, index) => ({
      operation: 'addOrUpdate' as const,
      path: `f${index}.txt`,
      content: new Blob([String(index)]),
    }))
    await commit({ hubUrl: url, accessToken: TOKEN, repo: 'me/many', title: 'many', operations })
    const paths: string[] = []
    let next: string | undefined = `${url}/api/models/me/many/tree/main?limit=10`
    for (let pages = 0; next !== undefined; pages += 1) {
      expect(pages).toBeLessThan(3)
      const response: Response = await fetch(next)
      paths.push(...((await response.json()) as { path: string }[]).map(({ path }) => path))
      next = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
    }
    expect(paths).toEqual(operations.map(({ path }) => path).toSorted())
  })
})

describe('ranges', () => {
  it('serves them as HTTP says', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(1), repo: 'me/x', hubUrl: url, token: TOKEN })
    const bytes = promptFiles(1).get('adapter_model.safetensors') as Buffer
    const get = (range: string, extra: Record<string, string> = {}): Promise<Response> =>
      fetch(`${url}/me/x/resolve/main/adapter_model.safetensors`, { headers: { range, ...extra } })
    expect(await bytesOf(await get('bytes=10-19'))).toEqual(bytes.subarray(10, 20))
    expect(await bytesOf(await get('bytes=-7'))).toEqual(bytes.subarray(-7))
    expect(await bytesOf(await get('bytes=100-'))).toEqual(bytes.subarray(100))
    expect(await bytesOf(await get('bytes=5-999999999'))).toEqual(bytes.subarray(5))
    expect((await get('bytes=999999-')).status).toBe(416)
    expect(await bytesOf(await get('bytes=5-1'))).toHaveLength(0)
    expect(await bytesOf(await get('bytes=5-', { 'if-range': '"other"' }))).toEqual(bytes)
    const empty = await fetch(`${url}/me/x/resolve/main/training_log.jsonl`, { headers: { range: 'bytes=0-0' } })
    expect([empty.status, empty.headers.get('content-range')]).toEqual([200, 'bytes */0'])
  })
})

/** A request as it is, with nothing put right by fetch. */
const raw = (
  port: number,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<{ status: number; text: string }> =>
  new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      let text = ''
      answer.on('data', (part) => (text += String(part)))
      answer.on('end', () => done({ status: answer.statusCode ?? 0, text }))
    })
    sent.on('error', fail)
    sent.end(body)
  })

/** Sends lines of JSON, as a commit is. */
const postLines = (url: string, lines: readonly object[]): Promise<Response> =>
  fetch(url, { method: 'POST', ...auth(TOKEN), body: lines.map((line) => JSON.stringify(line)).join('\n') })

/** One file into a branch. */
const fileTo = (url: string, branch: string): Promise<Response> =>
  postLines(`${url}/commit/${branch}`, [
    { key: 'header', value: { summary: 'more' } },
    { key: 'file', value: { path: 'more.txt', content: 'eA==', encoding: 'base64' } },
  ])
const branchesOf = async (url: string): Promise<string[]> => {
  const { branches } = (await (await fetch(`${url}/refs`, auth(TOKEN))).json()) as { branches: { name: string }[] }
  return branches.map(({ name }) => name)
}
const ask = (url: string, method: string, body: object = {}): Promise<Response> =>
  fetch(url, { method, ...auth(TOKEN), body: JSON.stringify(body) })

describe('several at once', () => {
  it('of many creations of one name one is made, and stays as it was made', async () => {
    const { url } = await hub()
    const create = (index: number): Promise<Response> =>
      postLines(`${url}/api/repos/create`, [{ name: 'x', type: 'model', visibility: index % 2 === 0 ? 'private' : 'public' }])
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => create(index)))
    const made = answers.findIndex(({ status }) => status === 200)
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 409)])
    const info = (await (await fetch(`${url}/api/models/me/x`, auth(TOKEN))).json()) as { private: boolean }
    expect(info.private).toBe(made % 2 === 0)
  })

  it('of many commits to one parent one is taken, also while settings change', async () => {
    const { url } = await hub()
    await createRepo({ hubUrl: url, accessToken: TOKEN, repo: 'me/x' })
    const { sha } = (await (await fetch(`${url}/api/models/me/x`)).json()) as { sha: string }
    const send = (index: number): Promise<Response> =>
      postLines(`${url}/api/models/me/x/commit/main`, [
        { key: 'header', value: { summary: `commit ${index}`, parentCommit: sha } },
        { key: 'file', value: { path: `f${index}.txt`, content: 'eA==', encoding: 'base64' } },
      ])
    const settle = (): Promise<Response> =>
      fetch(`${url}/api/models/me/x/settings`, { method: 'PUT', ...auth(TOKEN), body: JSON.stringify({ private: true }) })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? send(index) : settle())))
    const commits = answers.filter((_, index) => index % 2 === 0).map(({ status }) => status)
    expect(commits.toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 412)])
  })

  it('commits go to branches only, and sizes are those of what was uploaded', async () => {
    const { url } = await hub()
    const base = { hubUrl: url, accessToken: TOKEN, repo: 'me/x' }
    await pushPrompt({ dir: await promptFolder(), repo: 'me/x', hubUrl: url, token: TOKEN })
    const { sha } = (await (await fetch(`${url}/api/models/me/x`)).json()) as { sha: string }
    expect((await postLines(`${url}/api/models/me/x/tag/main`, [{ tag: 'v1' }])).status).toBe(200)
    const header = { key: 'header', value: { summary: 'again' } }
    for (const to of ['v1', 'refs/tags/v1', sha]) {
      expect([to, (await postLines(`${url}/api/models/me/x/commit/${encodeURIComponent(to)}`, [header])).status]).toEqual([
        to,
        to === sha ? 400 : 404,
      ])
    }
    const [file] = await pathsInfo({ ...base, paths: ['adapter_model.safetensors'] })
    const lied = { path: 'copy.safetensors', algo: 'sha256', oid: file?.lfs?.oid, size: 1 }
    expect((await postLines(`${url}/api/models/me/x/commit/main`, [header, { key: 'lfsFile', value: lied }])).status).toBe(200)
    expect((await pathsInfo({ ...base, paths: ['copy.safetensors'] }))[0]).toMatchObject({ size: file?.size, lfs: file?.lfs })
  })

  it('of two changes of settings both hold', async () => {
    const { url } = await hub()
    await createRepo({ hubUrl: url, accessToken: TOKEN, repo: 'me/x' })
    const settings = `${url}/api/models/me/x/settings`
    for (let round = 0; round < 5; round++) {
      await ask(settings, 'PUT', { private: false, gated: false })
      await Promise.all([ask(settings, 'PUT', { private: true }), ask(settings, 'PUT', { gated: true })])
      expect(await (await fetch(`${url}/api/models/me/x`, auth(TOKEN))).json()).toMatchObject({ private: true, gated: 'manual' })
    }
  })

  it('a branch that is deleted while a commit to it is made does not come back', async () => {
    const { url } = await hub()
    await createRepo({ hubUrl: url, accessToken: TOKEN, repo: 'me/x' })
    const repo = `${url}/api/models/me/x`
    for (let round = 0; round < 5; round++) {
      await ask(`${repo}/branch/dev${round}`, 'POST')
      const [gone, made] = await Promise.all([ask(`${repo}/branch/dev${round}`, 'DELETE'), fileTo(repo, `dev${round}`)])
      expect([gone.status, [200, 404].includes(made.status)]).toEqual([200, true])
    }
    expect(await branchesOf(repo)).toEqual(['main'])
  })

  it('of a repository that is deleted while commits to it are made, a later one of its name has nothing', async () => {
    const { url } = await hub()
    const repo = `${url}/api/models/me/x`
    for (let round = 0; round < 5; round++) {
      await ask(`${url}/api/repos/create`, 'POST', { name: 'me/x', private: true })
      await ask(`${repo}/branch/dev`, 'POST')
      const sent = [
        fileTo(repo, 'dev'),
        ask(`${url}/api/repos/delete`, 'DELETE', { name: 'me/x' }),
        fileTo(repo, 'dev'),
        fileTo(repo, 'main'),
      ]
      const [, gone, ...others] = await Promise.all(sent)
      expect([gone?.status, others.every(({ status }) => status === 200 || status === 404)]).toEqual([200, true])
      expect((await ask(`${url}/api/repos/create`, 'POST', { name: 'me/x' })).status).toBe(200)
      expect(await branchesOf(repo)).toEqual(['main'])
      await ask(`${url}/api/repos/delete`, 'DELETE', { name: 'me/x' })
    }
  })
})

describe('attacks', () => {
  it.each([
    '/me/x/resolve/main/../../../../../../etc/passwd',
    '/me/x/resolve/main/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
    '/me/x/resolve/..%2f..%2f..%2fsecret.txt',
    '/..%2f..%2fsecret.txt/resolve/main/x',
    '/%2e%2e/%2e%2e/resolve/main/secret.txt',
    '/api/models/..%2f..%2f/x',
    '/api/models/me/x/tree/..%2f..%2f',
    '/api/models/me/x/revision/refs%2fheads%2f..%2f..%2f..%2frepo.json',
    '/me/x/resolve/refs%2fheads%2fmain%00/README.md',
    '/me/x/resolve/main/%ff%fe',
    '/__proto__/constructor/resolve/main/x',
  ])('GET %s reaches nothing outside', async (path) => {
    const dir = await folder()
    await writeFile(join(dir, 'secret.txt'), 'SECRET')
    const server = await hub({ dir: join(dir, 'hub') })
    await pushPrompt({ dir: await promptFolder(), repo: 'me/x', hubUrl: server.url, token: TOKEN })
    const { status, text } = await raw(server.port, 'GET', path)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(text).not.toMatch(/SECRET|root:|tokenSha256/)
  })

  it.each([
    '../../evil',
    '/etc/evil',
    'a/../../evil',
    '.git/config',
    'a\\..\\evil',
    'a//b',
    '',
    'x\u0000y',
    'a/.GIT/hooks/x',
    '\u00e9'.repeat(128),
  ])('a commit to the path %j is refused', async (path) => {
    // In a folder of this test's own: others come and go beside it.
    const server = await hub({ dir: join(await folder(), 'hub') })
    await createRepo({ hubUrl: server.url, accessToken: TOKEN, repo: 'me/x' })
    const body = [
      { key: 'header', value: { summary: 'evil' } },
      { key: 'file', value: { path, content: 'eA==', encoding: 'base64' } },
    ]
    const before = await readdir(join(server.dir, '..'))
    const sent = await fetch(`${server.url}/api/models/me/x/commit/main`, {
      method: 'POST',
      ...auth(TOKEN),
      body: body.map((line) => JSON.stringify(line)).join('\n'),
    })
    expect(sent.status).toBe(400)
    expect(await readdir(join(server.dir, '..'))).toEqual(before)
  })

  it.each(['..', '.', 'a/b/c', 'con\u0000', '-x', 'a..b', 'a--b', 'x'.repeat(200), '', 'a%2fb'])(
    'a repository named %j is refused',
    async (name) => {
      const { url } = await hub()
      const sent = await fetch(`${url}/api/repos/create`, {
        method: 'POST',
        ...auth(TOKEN),
        body: JSON.stringify({ name, organization: 'me', type: 'model' }),
      })
      expect([400, 403]).toContain(sent.status)
    },
  )

  it('takes only what was announced by LFS, at a signed address', async () => {
    const server = await hub()
    await createRepo({ hubUrl: server.url, accessToken: TOKEN, repo: 'me/x' })
    const { createHash } = await import('node:crypto')
    const body = 'the right bytes'
    const oid = createHash('sha256').update(body).digest('hex')
    const asked = { operation: 'upload', objects: [{ oid, size: body.length }] }
    const batch = await fetch(`${server.url}/me/x.git/info/lfs/objects/batch`, {
      method: 'POST',
      ...auth(TOKEN),
      body: JSON.stringify(asked),
    })
    const { objects } = (await batch.json()) as { objects: { actions: { upload: { href: string } } }[] }
    const href = objects[0]?.actions.upload.href ?? ''
    expect(await put(href, 'the wrong bytes')).toBe(400)
    expect(await put(href, `${body} and more`)).toBe(400)
    expect(await put(href.replace(/signature=../, 'signature=00'), body)).toBe(403)
    expect(await put(href.replace('/me/x/', '/me/y/'), body)).toBe(403)
    expect(await put(href.replace(oid, '0'.repeat(64)), body)).toBe(403)
    expect((await readdir(join(server.dir, 'models/me/x'), { recursive: true })).filter((name) => name.startsWith('lfs/'))).toEqual([])
    expect(await put(href, body)).toBe(200)
    const refused = await fetch(`${server.url}/me/x.git/info/lfs/objects/batch`, {
      method: 'POST',
      ...auth(STRANGER),
      body: JSON.stringify(asked),
    })
    expect(refused.status).toBe(403)
  })

  it('refuses bodies that are no JSON, too large, or of another shape, and goes on', async () => {
    const server = await hub()
    await createRepo({ hubUrl: server.url, accessToken: TOKEN, repo: 'me/x' })
    const post = async (path: string, body: string): Promise<number> =>
      (await raw(server.port, 'POST', path, auth(TOKEN).headers, body)).status
    for (const body of ['', '[]', 'null', '{"key":1}', '{', '{"key":"header","value":{}}'])
      expect(await post('/api/models/me/x/commit/main', body)).toBe(400)
    for (const body of ['[]', '{', 'null']) expect(await post('/api/models/me/x/preupload/main', body)).toBe(400)
    expect(await post('/api/validate-yaml', JSON.stringify({ content: 'x'.repeat(9 << 20) })).catch(() => 413)).toBe(413)
    expect((await fetch(`${server.url}/api/models/me/x`)).status).toBe(200)
  })

  it.each([
    ['brackets', '['.repeat(4 << 20), '['.repeat(4 << 20)],
    ['empty lists', `{"a":[${'[],'.repeat(1 << 20)}[]]}`, `{"key":"header","value":{"a":[${'[],'.repeat(1 << 20)}[]]}}`],
    ['names', `{${'"a":1,'.repeat(1 << 20)}"a":1}`, `{"key":"header","value":{${'"a":1,'.repeat(1 << 20)}"a":1}}`],
    ['lines', `[${'1,\n'.repeat(1 << 20)}1]`, '\n'.repeat(4 << 20)],
  ])('a body of nothing but %s is refused before it is parsed', async (_, body, lines) => {
    const server = await hub()
    await createRepo({ hubUrl: server.url, accessToken: TOKEN, repo: 'me/x' })
    const post = async (path: string, text: string, headers: Record<string, string>): Promise<string> =>
      (await fetch(`${server.url}${path}`, { method: 'POST', headers, body: text })).text()
    expect(await post('/api/validate-yaml', body, {})).toMatch(/holds more than \d+ values/)
    expect(await post('/api/models/me/x/commit/main', lines, auth(TOKEN).headers)).toMatch(/holds more than \d+ values|at most \d+ lines/)
  })

  it('a commit of as many files as a repository can hold has few enough values', () => {
    const line = JSON.stringify({ key: 'file', value: { path: 'a[{,:', content: '\\"[,', encoding: 'base64', oldPath: 'x' } })
    expect(() => checkMarks(`${line}\n`.repeat(COMMIT_LINES), COMMIT_MARKS)).not.toThrow()
    expect(COMMIT_LINES).toBeGreaterThan(REPO_FILES)
  })

  it('read tokens write nothing; strangers see and change nothing', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/x', hubUrl: url, token: TOKEN, private: true })
    for (const [token, status] of [
      [READ_TOKEN, 403],
      [STRANGER, 404],
      ['hf_unknownToken0123456789', 401],
    ] as const) {
      const remove = { method: 'DELETE', ...auth(token), body: JSON.stringify({ name: 'x', organization: 'me' }) }
      expect((await fetch(`${url}/api/repos/delete`, remove)).status).toBe(status)
      expect((await fetch(`${url}/api/models/me/x/branch/b`, { method: 'POST', ...auth(token), body: '{}' })).status).toBe(status)
      expect((await fetch(`${url}/api/models/me/x/commit/main`, { method: 'POST', ...auth(token), body: '{}' })).status).toBe(status)
    }
    expect((await fetch(`${url}/me/x/resolve/main/README.md`, auth(STRANGER))).status).toBe(404)
    expect((await fetch(`${url}/me/x/resolve/main/README.md`, auth(READ_TOKEN))).status).toBe(200)
  })

  it('a file of a stranger is never a page of this host', async () => {
    const { url } = await hub()
    await createRepo({ hubUrl: url, accessToken: TOKEN, repo: 'me/x' })
    const operations = [{ operation: 'addOrUpdate' as const, path: 'evil.html', content: new Blob(['<script>1</script>']) }]
    await commit({ hubUrl: url, accessToken: TOKEN, repo: 'me/x', title: 'x', operations })
    const { headers } = await fetch(`${url}/me/x/resolve/main/evil.html`)
    expect(headers.get('content-type')).toBe('application/octet-stream')
    expect(headers.get('content-security-policy')).toContain('sandbox')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('a Host header cannot put another address into answers', async () => {
    const server = await hub()
    expect((await raw(server.port, 'GET', '/api/models', { host: 'evil.example/x?' })).status).toBe(400)
    // A page whose name was pointed at this machine (DNS rebinding).
    expect((await raw(server.port, 'GET', '/api/models', { host: `evil.example:${server.port}` })).status).toBe(400)
    expect((await raw(server.port, 'GET', '/api/models', { host: `localhost:${server.port}` })).status).toBe(200)
  })
})

describe('on disk', () => {
  it('makes a token at the first start that only its owner can read, and keeps its digest only', async () => {
    const dir = await folder()
    const { startHub } = await import('../../adapters/hub/server/start.ts')
    const server = await startHub({ dir })
    const token = await readFile(join(dir, 'token'), 'utf8')
    expect((await stat(join(dir, 'token'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(dir, 'tokens.json'), 'utf8')).not.toContain(token)
    await pushPrompt({ dir: await promptFolder(), repo: 'anyone/x', hubUrl: server.url, token })
    await server.close()
    const again = await startHub({ dir })
    expect((await fetch(`${again.url}/api/whoami-v2`, auth(token))).status).toBe(200)
    expect((await fetch(`${again.url}/anyone/x/resolve/main/README.md`)).status).toBe(200)
    await again.close()
  })

  it('sweeps what a kill left, and passes over what is not its own', async () => {
    const dir = await folder()
    await mkdir(join(dir, 'models', 'me', 'x+vm-1-a.b.1.unfinished'), { recursive: true })
    await mkdir(join(dir, 'models', 'not a name', 'x'), { recursive: true })
    await symlink('/nowhere', join(dir, 'models', 'dangling'))
    const { url } = await hub({ dir })
    expect(await (await fetch(`${url}/api/models`)).json()).toEqual([])
    expect(await readdir(join(dir, 'models', 'me'))).toEqual([])
  })

  it('a repository whose name ends as unfinished files do outlives a restart', async () => {
    const first = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/x.unfinished', hubUrl: first.url, token: TOKEN })
    await first.close()
    const again = await hub({ dir: first.dir })
    expect((await fetch(`${again.url}/me/x.unfinished/resolve/main/README.md`)).status).toBe(200)
  })
})
