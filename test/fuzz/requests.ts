/** Requests to a hub, made unsound: every route with every field of a wrong kind, addresses and headers that break parsers, bodies that are none. */
import { createRandom } from '../../src/tensor/random.ts'

export interface Made {
  readonly method: string
  /** As it is sent: a path, or what should be one. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const sha = 'ab'.repeat(32)

/** Values that no field expects, and some that it does. */
const VALUES: readonly unknown[] = [
  { toString: 1 },
  { valueOf: 1, toString: null },
  { toJSON: 1 },
  { length: -1 },
  [{ toString: 1 }],
  [],
  {},
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53 + 2,
  '',
  ' ',
  'x',
  'main',
  'me',
  'me/x',
  '__proto__',
  'constructor',
  '..',
  '../..',
  'a/../b',
  '.git',
  'CON',
  'aux.txt',
  'README.md',
  'README.md/x',
  'caf\u00e9',
  'cafe\u0301',
  '\ud800',
  '\u0000',
  '\n',
  '\u202e',
  'x'.repeat(300),
  'a/'.repeat(100),
  'refs/heads/main',
  'refs/pr/1',
  'refs/pr/x',
  sha,
  sha.slice(0, 40),
  'hf_x',
  '---\ntags: [{toString: 1}]\n---\n',
  '---\na: *nope\n---\n',
  `---\n${'? '.repeat(300)}\n---\n`,
  `---\na: ${'['.repeat(3000)}\n---\n`,
  '---\na: &a [*a]\n---\n',
  '---\n%YAML 1.1\n--- {d: 2026-01-01}\n---\n',
  '---\n__proto__: {a: 1}\nlicense: mit\n---\n# x\n',
  'eA==',
]

interface Route {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** One JSON value a line. */
  readonly body?: readonly unknown[]
}

const header = { key: 'header', value: { summary: 's', description: 'd' } }
const file = (path: string, more: object = {}): object => ({ key: 'file', value: { path, content: 'eA==', encoding: 'base64', ...more } })

/** Each route of a hub as clients use it. */
const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/', query: { base: 'a', task: 'b', search: 'c', from: '1' } },
  { method: 'GET', path: '/me/x' },
  { method: 'GET', path: '/me/x/tree/main' },
  { method: 'GET', path: '/me/x/resolve/main/README.md' },
  { method: 'GET', path: '/datasets/me/d/resolve/main/README.md' },
  { method: 'GET', path: '/me/x/raw/main/README.md' },
  { method: 'HEAD', path: '/me/x/resolve/main/README.md' },
  {
    method: 'GET',
    path: '/api/models',
    query: {
      filter: 'a',
      author: 'me',
      search: 'x',
      sort: 'id',
      direction: '1',
      limit: '5',
      cursor: '1',
      full: '1',
      expand: 'cardData',
      pipeline_tag: 'x',
    },
  },
  { method: 'GET', path: '/api/datasets', query: { limit: '5', cursor: '1' } },
  { method: 'GET', path: '/api/models/me/x', query: { blobs: 'true', expand: 'siblings' } },
  { method: 'GET', path: '/api/models/me/x/revision/main' },
  { method: 'GET', path: '/api/models/me/x/tree/main/runs', query: { recursive: 'true', expand: 'true', limit: '1', cursor: 'YQ' } },
  { method: 'GET', path: '/api/models/me/x/commits/main' },
  { method: 'GET', path: '/api/models/me/x/refs', query: { include_prs: '1' } },
  { method: 'GET', path: '/api/whoami-v2' },
  { method: 'POST', path: '/api/validate-yaml', body: [{ content: '---\nlicense: mit\n---\n', repoType: 'model' }] },
  {
    method: 'POST',
    path: '/api/repos/create',
    body: [{ name: 'y', organization: 'me', type: 'model', private: false, visibility: 'public' }],
  },
  { method: 'DELETE', path: '/api/repos/delete', body: [{ name: 'y', organization: 'me', type: 'model' }] },
  { method: 'PUT', path: '/api/models/me/x/settings', body: [{ private: false, visibility: 'public', gated: false }] },
  { method: 'POST', path: '/api/models/me/x/paths-info/main', body: [{ paths: ['README.md'], expand: true }] },
  {
    method: 'POST',
    path: '/api/models/me/x/preupload/main',
    body: [{ files: [{ path: 'a.bin', size: 3, sample: 'eA==' }], gitAttributes: '' }],
  },
  { method: 'POST', path: '/api/models/me/x/commit/main', query: { create_pr: '0' }, body: [header, file('a.txt')] },
  { method: 'POST', path: '/api/models/me/x/commit/main', body: [header, file('README.md', { content: '# x', encoding: 'utf-8' })] },
  { method: 'POST', path: '/api/models/me/x/commit/main', body: [header, file('b.txt', { oldPath: 'README.md' })] },
  {
    method: 'POST',
    path: '/api/models/me/x/commit/main',
    body: [header, { key: 'lfsFile', value: { path: 'l.bin', algo: 'sha256', oid: sha, size: 1 } }],
  },
  {
    method: 'POST',
    path: '/api/models/me/x/commit/main',
    body: [header, { key: 'deletedFile', value: { path: 'a.txt' } }, { key: 'deletedFolder', value: { path: 'runs/' } }],
  },
  { method: 'POST', path: '/api/models/me/x/branch/b', body: [{ startingPoint: 'main', overwrite: true, emptyBranch: false }] },
  { method: 'DELETE', path: '/api/models/me/x/branch/b' },
  { method: 'POST', path: '/api/models/me/x/tag/main', body: [{ tag: 'v1' }] },
  { method: 'DELETE', path: '/api/models/me/x/tag/v1' },
  {
    method: 'POST',
    path: '/me/x.git/info/lfs/objects/batch',
    body: [{ operation: 'upload', transfers: ['basic'], objects: [{ oid: sha, size: 1 }] }],
  },
  { method: 'POST', path: '/me/x.git/info/lfs/objects/verify', body: [{ oid: sha, size: 1 }] },
  { method: 'PUT', path: `/lfs/models/me/x/${sha}`, query: { size: '1', until: '9999999999', signature: sha } },
]

const TARGETS: readonly string[] = [
  '//',
  '///',
  '//%00',
  '//x//y',
  '/%',
  '/%ff',
  '/%00',
  '/..',
  '/%2e%2e/%2e%2e',
  'http://',
  'http://[',
  'https://x',
  'http://x:99999/',
  'x',
  '*',
  '?',
  '/?%',
  '/#',
  '/\\',
  '/api',
  '/api/',
  '/api//',
  '/api/models//',
  '/api/models/me',
  '/datasets',
  '/datasets/',
  '/lfs/models',
  '/;x',
  `/${'a/'.repeat(2000)}`,
  `/${'x'.repeat(8000)}`,
]
const PIECES: readonly string[] = [
  '%00',
  '%2F',
  '%2e%2e',
  '..',
  '.',
  '',
  '%ff',
  '%',
  'refs',
  'refs%2Fpr%2F1',
  'refs%2Fheads%2F..',
  '__proto__',
  'constructor',
  'a'.repeat(250),
  `${'a%2F'.repeat(90)}a`,
  'HEAD',
  'main',
  sha.slice(0, 40),
  '%0a',
  '%F0%9F%98%80',
  'x.git',
  'CON',
  '-',
  '~',
  '%e2%80%ae',
]
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  authorization: ['Bearer', 'Bearer ', 'Bearer  x', 'Basic eA==', 'Bearer hf_unknown0123456789abcdef', '', 'x'.repeat(5000)],
  host: ['', 'x', '127.0.0.999', '127.0.0.1:99999', '[::1', '[::1]:1', 'localhost', 'localhost:x', '127.0.0.1/..', 'a b'],
  range: [
    'bytes=',
    'bytes=-',
    'bytes=0-0',
    'bytes=5-1',
    'bytes=99999999999999999999-',
    'bytes=-99999999999999999999',
    'bytes=0-1,2-3',
    'items=0-1',
    'bytes=a-b',
  ],
  'if-range': ['"x"', '', '*'],
  'content-type': ['application/x-www-form-urlencoded', 'text/plain', '', 'x'.repeat(500)],
  'content-encoding': ['gzip', 'br'],
  accept: ['text/html', '*/*', '', 'text/html;q=x'],
  'x-forwarded-proto': ['https', 'x', 'javascript'],
  'user-agent': ['hf_hub/1.0', ''],
  expect: ['100-continue'],
  'transfer-encoding': ['chunked'],
  cookie: ['__proto__=1'],
}
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'TRACE']
const BODIES: readonly string[] = [
  '',
  '{',
  '[]',
  'null',
  '1',
  '"x"',
  '\u0000',
  '{"__proto__":{"x":1}}',
  '{"key":"header"}',
  '{"key":"header","value":null}\n{}',
  '['.repeat(20_000),
  '{"a":'.repeat(5000),
  '\ufeff{}',
  'paths=a&paths=%ff&expand=x',
  '{"name":"y","name":{"toString":1}}',
  '\n\n\n',
  'x'.repeat(200_000),
]

/** A stream of requests: the same seed gives the same. */
export function requests(seed: number, tokens: readonly string[]): () => Made {
  const source = createRandom(seed)
  const random = (): number => source.uniform()
  const under = (count: number): number => Math.floor(random() * count)
  const pick = <T>(list: readonly T[]): T => list[under(list.length)] as T
  const chance = (share: number): boolean => random() < share

  /** Another value for one field, anywhere in a JSON value; or the field gone, or one more. */
  const spoil = (value: unknown): unknown => {
    if (Array.isArray(value) && value.length > 0 && chance(0.7)) {
      const at = under(value.length)
      return value.map((item: unknown, index) => (index === at ? spoil(item) : item))
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && chance(0.85)) {
      const entries = Object.entries(value)
      const at = under(entries.length + 1)
      if (at === entries.length) return { ...value, [pick(['x', 'toString', 'overwrite', 'oldPath'])]: pick(VALUES) }
      return Object.fromEntries(
        entries.flatMap(([key, item], index) => (index !== at ? [[key, item]] : chance(0.1) ? [] : [[key, spoil(item)]])),
      )
    }
    return pick(VALUES)
  }
  const bodyOf = ({ body }: Route): Buffer => {
    if (body === undefined) return Buffer.from(chance(0.1) ? pick(BODIES) : '')
    if (chance(0.1)) return Buffer.from(pick(BODIES))
    const at = chance(0.85) ? under(body.length) : -1
    const text = body.map((line, index) => JSON.stringify(index === at ? spoil(line) : line)).join('\n')
    const bytes = Buffer.from(text)
    if (chance(0.05) && bytes.length > 0) bytes[under(bytes.length)] = under(256)
    return chance(0.03) ? bytes.subarray(0, under(bytes.length)) : bytes
  }
  const targetOf = ({ path, query }: Route): string => {
    if (chance(0.06)) return pick(TARGETS)
    const parts = path.split('/')
    while (chance(0.3)) parts.splice(1 + under(parts.length), chance(0.6) ? 1 : 0, pick(PIECES))
    const given = Object.entries(query ?? {}).filter(() => chance(0.6))
    const asked = given.map(
      ([name, value]) =>
        `${name}=${chance(0.4) ? pick(['', '-1', '1e9', 'NaN', 'Infinity', '%00', '%', '__proto__', '99999999999999999999', '0', 'x']) : value}`,
    )
    return `${parts.join('/')}${asked.length > 0 ? `?${asked.join('&')}` : ''}`
  }
  return () => {
    const route = pick(ROUTES)
    const token = pick([...tokens, ...tokens, ''])
    const headers: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` }
    while (chance(0.15)) {
      const name = pick(Object.keys(HEADERS))
      headers[name] = pick(HEADERS[name] ?? [''])
    }
    return { method: chance(0.05) ? pick(METHODS) : route.method, target: targetOf(route), headers, body: bodyOf(route) }
  }
}
