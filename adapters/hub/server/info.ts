/** `/api/models/R`, `/api/models/R/revision/REV` and `/api/models` with filters: what the Hub says of a repository. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { SoftPromptError } from '../../../src/errors.ts'
import { parseStrictJson } from '../../../src/tensor/strict-json.ts'
import { actsFor } from './accounts.ts'
import { openRepository, splitRevision, type Call, type Handler } from './call.ts'
import { sha1 } from '../digest.ts'
import { CARD, checkCard, readCard } from './cards.ts'
import { countIn, isObject, sendJson, type JsonObject } from './http.ts'
import { CONFIG_BYTES, LIST_PAGE } from './limits.ts'
import type { RepoKind } from './names.ts'
import { promptLines, type PromptLines } from './prompts.ts'
import { pointerOf, type Commit, type Entry, type Repository } from './repository.ts'

/** The length of a safetensors header that is read for the parameter count. */
const HEADER_BYTES = 1 << 16

const list = (value: unknown): string[] => (Array.isArray(value) ? value : [value]).filter((item) => typeof item === 'string')

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
      ? list(card['base_model']).map((name) => `base_model:${card['base_model_relation'] as string}:${name}`)
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
  const parameters = new Map<string, number>()
  for (const [name, tensor] of Object.entries(parseQuietly(bytes.subarray(8, 8 + length).toString('utf8')) ?? {})) {
    if (name === '__metadata__' || !isObject(tensor)) continue
    const { dtype, shape } = tensor
    if (typeof dtype !== 'string' || !Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
      return undefined
    const count = shape.reduce((product: number, size: number) => product * size, 1)
    parameters.set(dtype, (parameters.get(dtype) ?? 0) + count)
  }
  const total = [...parameters.values()].reduce((sum, count) => sum + count, 0)
  return Number.isSafeInteger(total) ? { parameters: Object.fromEntries(parameters), total } : undefined
}

/** A stranger's JSON object, of a depth that can be sent on; undefined for anything else. */
function parseQuietly(text: string): JsonObject | undefined {
  try {
    const value = parseStrictJson(text, 'file')
    return isObject(value) ? value : undefined
  } catch (error) {
    if (error instanceof SoftPromptError) return undefined
    throw error
  }
}

/** What the files of a commit say of themselves. */
interface Said {
  readonly card: JsonObject
  readonly config?: JsonObject
  readonly safetensors?: object
  readonly lines: PromptLines
}

async function readSaid(repository: Repository, { entries }: Commit): Promise<Said> {
  const find = (path: string): Entry | undefined => entries.find((entry) => entry.path === path)
  const json = async (path: string): Promise<JsonObject | undefined> => {
    const entry = find(path)
    return entry === undefined || entry.size > CONFIG_BYTES ? undefined : parseQuietly(await readFile(repository.blobPath(entry), 'utf8'))
  }
  const readme = find(CARD)
  const adapter = find('adapter_model.safetensors')
  const card = readme === undefined ? {} : checkCard(await readCard(repository, readme)).data
  const config = await json('adapter_config.json')
  const safetensors = adapter && (await countParameters(repository, adapter))
  return {
    card,
    ...(config === undefined ? {} : { config }),
    ...(safetensors === undefined ? {} : { safetensors }),
    lines: promptLines(await json('soft_prompt.json'), card, config),
  }
}

/** The commit last asked for of each repository: lists ask for the same again and again, and a commit never changes. */
const remembered = new WeakMap<Repository, { readonly id: string; readonly said: Promise<Said> }>()

function saidBy(repository: Repository, id: string, commit: Commit): Promise<Said> {
  const known = remembered.get(repository)
  if (known?.id === id) return known.said
  const said = readSaid(repository, commit)
  remembered.set(repository, { id, said })
  // What failed is tried again.
  said.catch(() => remembered.delete(repository))
  return said
}

export async function describe(repository: Repository, id: string, blobs: boolean): Promise<JsonObject> {
  const commit = await repository.readCommit(id)
  const { settings } = repository
  const { card, config, safetensors } = await saidBy(repository, id, commit)
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
    ...(safetensors === undefined ? {} : { safetensors }),
    usedStorage: commit.entries.reduce((sum, { size }) => sum + size, 0),
    spaces: [],
    siblings,
  }
}

export interface Described {
  /** As clients are told. */
  readonly info: JsonObject
  readonly lines: PromptLines
}

/** Every repository that the caller may see and that can be read: one that cannot be hides no other. */
export async function* describeAll(call: Call, kind: RepoKind): AsyncGenerator<Described> {
  for await (const repository of call.state.repositories.all(kind)) {
    const [owner = '', name = ''] = repository.settings.id.split('/')
    if (repository.settings.private && !actsFor(call.account, owner)) continue
    try {
      const head = await repository.resolve('main')
      if (head === undefined) continue
      const info = await describe(repository, head, false)
      const { lines } = await saidBy(repository, head, await repository.readCommit(head))
      yield { info, lines }
    } catch (error) {
      // One that was deleted meanwhile is only gone.
      if ((await call.state.repositories.find(kind, owner, name)) === repository) call.state.report(error)
    }
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
  for await (const { info } of describeAll(call, kind)) if (matches(info, call.query)) found.push(info)
  const asked = call.query.get('sort') ?? ''
  const key = SORTS.has(asked) ? asked : 'lastModified'
  const ascending = call.query.get('direction') === '1' || key === 'id' ? 1 : -1
  found.sort((a, b) => ascending * (String(a[key]) < String(b[key]) ? -1 : 1))
  const limit = Math.min(countIn(call.query, 'limit', LIST_PAGE) || LIST_PAGE, LIST_PAGE)
  const start = countIn(call.query, 'cursor', 0)
  const next = new URL(call.url)
  next.searchParams.set('cursor', String(start + limit))
  const full = call.query.get('full') !== null || call.query.has('expand')
  const left: ReadonlySet<string> = new Set(full ? [] : ['siblings', 'cardData', 'config', 'safetensors', 'model-index'])
  const page = found
    .slice(start, start + limit)
    .map((info) => Object.fromEntries(Object.entries(chosen(info, call.query)).filter(([name]) => !left.has(name))))
  sendJson(call.response, page, start + limit < found.length ? { link: `<${next.href}>; rel="next"` } : {})
}
