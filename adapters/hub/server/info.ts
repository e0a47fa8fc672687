/** `/api/models/R`, `/api/models/R/revision/REV` and `/api/models` with filters: what the Hub says of a repository. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { readCardData } from '../../../src/card/front-matter.ts'
import { actsFor } from './accounts.ts'
import { openRepository, splitRevision, type Call, type Handler } from './call.ts'
import { sha1 } from '../digest.ts'
import { isObject, parseJson, sendJson, type JsonObject } from './http.ts'
import { LIST_PAGE } from './limits.ts'
import type { RepoKind } from './names.ts'
import { pointerOf, type Commit, type Entry, type Repository } from './repository.ts'

/** Largest card and largest adapter_config.json that are read for a listing, bytes. */
const SMALL_FILE_BYTES = 1 << 20
/** The length of a safetensors header that is read for the parameter count. */
const HEADER_BYTES = 1 << 16

async function readSmall(repository: Repository, commit: Commit, path: string): Promise<string | undefined> {
  const entry = commit.entries.find((item) => item.path === path)
  if (entry === undefined || entry.size > SMALL_FILE_BYTES) return undefined
  return readFile(repository.blobPath(entry), 'utf8')
}

const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [])

/** Tags as the Hub makes them: the card's own, and one for each fact that people filter by. */
export function tagsOf(card: JsonObject, files: readonly string[]): string[] {
  const made = [
    ...(typeof card['library_name'] === 'string' ? [card['library_name']] : []),
    ...(files.some((file) => file.endsWith('.safetensors')) ? ['safetensors'] : []),
    ...(files.some((file) => file.endsWith('.onnx')) ? ['onnx'] : []),
    ...list(card['tags']),
    ...list(card['language']),
    ...list(card['datasets']).map((name) => `dataset:${name}`),
    ...list(card['base_model']).map((name) => `base_model:${name}`),
    ...(typeof card['base_model_relation'] === 'string'
      ? list(card['base_model']).map((name) => `base_model:${String(card['base_model_relation'])}:${name}`)
      : []),
    ...list(card['license']).map((name) => `license:${name}`),
  ]
  return [...new Set(made)]
}

/** Parameter counts by dtype, from the header of the adapter's tensors. */
async function countParameters(repository: Repository, entry: Entry): Promise<object | undefined> {
  const parts: Buffer[] = []
  for await (const part of createReadStream(repository.blobPath(entry), { end: HEADER_BYTES - 1 })) parts.push(part as Buffer)
  const bytes = Buffer.concat(parts)
  const length = bytes.length < 8 ? 0 : Number(bytes.readBigUInt64LE(0))
  if (length < 2 || length > bytes.length - 8) return undefined
  let header: unknown
  try {
    header = parseJson(bytes.subarray(8, 8 + length).toString('utf8'))
  } catch {
    return undefined
  }
  const parameters: Record<string, number> = {}
  for (const [name, tensor] of Object.entries(isObject(header) ? header : {})) {
    if (name === '__metadata__' || !isObject(tensor) || !Array.isArray(tensor['shape'])) continue
    const dtype = String(tensor['dtype'])
    parameters[dtype] = (parameters[dtype] ?? 0) + tensor['shape'].reduce((product: number, size) => product * Number(size), 1)
  }
  return { parameters, total: Object.values(parameters).reduce((sum, count) => sum + count, 0) }
}

function parseQuietly(text: string | undefined): JsonObject | undefined {
  try {
    const value = parseJson(text ?? 'null')
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export async function describe(repository: Repository, id: string, blobs: boolean): Promise<JsonObject> {
  const commit = await repository.readCommit(id)
  const { settings } = repository
  const card = readCardData((await readSmall(repository, commit, 'README.md')) ?? '')
  const config = parseQuietly(await readSmall(repository, commit, 'adapter_config.json'))
  const adapter = commit.entries.find(({ path }) => path === 'adapter_model.safetensors')
  const siblings = commit.entries.map(({ path, oid, size, lfs }) => ({
    rfilename: path,
    ...(blobs ? { size, blobId: oid } : {}),
    ...(blobs && lfs !== undefined ? { lfs: { sha256: lfs, size, pointerSize: pointerOf(lfs, size).length } } : {}),
  }))
  return {
    _id: sha1(`${settings.kind}/${settings.id}`).slice(0, 24),
    id: settings.id,
    modelId: settings.id,
    author: settings.id.split('/')[0],
    sha: id,
    lastModified: commit.date,
    createdAt: settings.createdAt,
    private: settings.private,
    gated: settings.gated ? 'manual' : false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: tagsOf(
      card,
      commit.entries.map(({ path }) => path),
    ),
    ...(typeof card['pipeline_tag'] === 'string' ? { pipeline_tag: card['pipeline_tag'] } : {}),
    ...(typeof card['library_name'] === 'string' ? { library_name: card['library_name'] } : {}),
    ...(card['model-index'] === undefined ? {} : { 'model-index': card['model-index'] }),
    cardData: card,
    ...(config === undefined ? {} : { config: { peft: config } }),
    ...(adapter === undefined ? {} : { safetensors: await countParameters(repository, adapter) }),
    usedStorage: commit.entries.reduce((sum, { size }) => sum + size, 0),
    spaces: [],
    siblings,
  }
}

/** Fields that every answer holds, whatever `expand` asks for. */
const ALWAYS: ReadonlySet<string> = new Set([
  '_id',
  'id',
  'modelId',
  'sha',
  'lastModified',
  'private',
  'downloads',
  'likes',
  'gated',
  'tags',
  'pipeline_tag',
])

function chosen(info: JsonObject, query: URLSearchParams): JsonObject {
  const expand = [...query.getAll('expand'), ...query.getAll('expand[]')].flatMap((item) => item.split(','))
  if (expand.length === 0) return info
  return Object.fromEntries(Object.entries(info).filter(([key]) => ALWAYS.has(key) || expand.includes(key)))
}

export const repositoryInfo: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const { commit } = await splitRevision(repository, call.rest.length > 0 ? call.rest : ['main'])
  const info = await describe(repository, commit, /^(true|1)$/i.test(call.query.get('blobs') ?? ''))
  sendJson(call.response, chosen(info, call.query), { 'x-repo-commit': commit })
}

function matches(info: JsonObject, query: URLSearchParams): boolean {
  const id = String(info['id'])
  const tags = list(info['tags'])
  const wanted = [...query.getAll('filter'), ...query.getAll('tags')].flatMap((item) => item.split(',')).filter((item) => item !== '')
  const author = query.get('author')
  const search = query.get('search')?.toLowerCase()
  const task = query.get('pipeline_tag')
  return (
    (author === null || id.startsWith(`${author}/`)) &&
    (search === undefined || id.toLowerCase().includes(search)) &&
    (task === null || info['pipeline_tag'] === task) &&
    wanted.every((tag) => tags.includes(tag) || info['pipeline_tag'] === tag)
  )
}

const SORTS: ReadonlySet<string> = new Set(['lastModified', 'createdAt', 'id'])

/** All repositories of a kind that the caller may see and asks for, newest change first, in pages. */
export async function listRepositories(call: Call, kind: RepoKind): Promise<void> {
  const found: JsonObject[] = []
  for await (const repository of call.state.repositories.all(kind)) {
    const owner = repository.settings.id.split('/')[0] ?? ''
    if (repository.settings.private && !actsFor(call.account, owner)) continue
    const head = await repository.resolve('main')
    const info = head === undefined ? undefined : await describe(repository, head, false)
    if (info && matches(info, call.query)) found.push(info)
  }
  const asked = call.query.get('sort') ?? ''
  const key = SORTS.has(asked) ? asked : 'lastModified'
  const ascending = call.query.get('direction') === '1' || key === 'id' ? 1 : -1
  found.sort((a, b) => ascending * (String(a[key]) < String(b[key]) ? -1 : 1))
  const limit = Math.min(Number(call.query.get('limit')) || LIST_PAGE, LIST_PAGE)
  const start = Number(call.query.get('cursor')) || 0
  const next = new URL(call.request.url ?? '', call.origin)
  next.searchParams.set('cursor', String(start + limit))
  const full = call.query.get('full') !== null || call.query.has('expand')
  const left: ReadonlySet<string> = new Set(full ? [] : ['siblings', 'cardData', 'config', 'safetensors', 'model-index'])
  const page = found
    .slice(start, start + limit)
    .map((info) => Object.fromEntries(Object.entries(chosen(info, call.query)).filter(([name]) => !left.has(name))))
  sendJson(call.response, page, start + limit < found.length ? { link: `<${next.href}>; rel="next"` } : {})
}
