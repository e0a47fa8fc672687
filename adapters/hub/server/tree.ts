/** `/api/models/R/tree/REV/PATH` in pages, and `/api/models/R/paths-info/REV`. */
import { openRepository, splitRevision, type Handler } from './call.ts'
import { sha1 } from '../digest.ts'
import { badRequest, countIn, flagOf, readFormOrJson, Refusal, sendJson } from './http.ts'
import { TREE_PAGE } from './limits.ts'
import { pointerOf, type Commit, type Entry, type Origin } from './repository.ts'

interface FolderItem {
  readonly path: string
  readonly oid: string
}

const SAFE = { status: 'safe', avScan: { virusFound: false, virusNames: null }, pickleImportScan: null }

const originOf = (entry: Entry, id: string, commit: Commit): Origin => entry.since ?? { id, title: commit.title, date: commit.date }

/** One file as clients expect it; `pickleImportScan` and `avScan` must be there when expanded, or Python throws. */
export function fileItem(entry: Entry, id: string, commit: Commit, expand: boolean): object {
  const { path, oid, size, lfs } = entry
  const pointerSize = lfs === undefined ? 0 : pointerOf(lfs, size).length
  return {
    type: 'file',
    oid,
    size,
    path,
    ...(lfs === undefined ? {} : { lfs: { oid: lfs, size, pointerSize } }),
    ...(expand ? { lastCommit: originOf(entry, id, commit), securityFileStatus: SAFE } : {}),
  }
}

/** Every folder that holds a file, with an id made from what lies below it. */
function foldersOf(entries: readonly Entry[]): FolderItem[] {
  const below = new Map<string, string[]>()
  for (const { path, oid } of entries) {
    const parts = path.split('/')
    for (let depth = 1; depth < parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join('/')
      const lines = below.get(folder)
      if (lines) lines.push(`${path} ${oid}`)
      else below.set(folder, [`${path} ${oid}`])
    }
  }
  return [...below].map(([path, lines]) => ({ path, oid: sha1(`tree ${lines.join('\n')}`) }))
}

const folderItem = ({ path, oid }: FolderItem, id: string, commit: Commit, expand: boolean): object => ({
  type: 'directory',
  oid,
  size: 0,
  path,
  ...(expand ? { lastCommit: { id, title: commit.title, date: commit.date } } : {}),
})

export const listTree: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const { commit: id, path } = await splitRevision(repository, call.rest)
  const commit = await repository.readCommit(id)
  const expand = /^true$/i.test(call.query.get('expand') ?? '')
  const recursive = /^true$/i.test(call.query.get('recursive') ?? '')
  const prefix = path === '' ? '' : `${path}/`
  const here = ({ path: item }: { path: string }): boolean =>
    item.startsWith(prefix) && (recursive || !item.slice(prefix.length).includes('/'))
  const folders = foldersOf(commit.entries)
  if (path !== '' && !folders.some((folder) => folder.path === path)) {
    throw new Refusal(404, 'EntryNotFound', `${path} does not exist on "${id}"`, { 'x-repo-commit': id })
  }
  const items = [
    ...folders.filter(here).map((folder) => ({ path: folder.path, item: folderItem(folder, id, commit, expand) })),
    ...commit.entries.filter(here).map((entry) => ({ path: entry.path, item: fileItem(entry, id, commit, expand) })),
  ].toSorted((a, b) => (a.path < b.path ? -1 : 1))
  const limit = Math.min(countIn(call.query, 'limit', TREE_PAGE) || TREE_PAGE, TREE_PAGE)
  const cursor = call.query.get('cursor')
  const start = cursor === null ? 0 : items.findIndex((item) => item.path > Buffer.from(cursor, 'base64url').toString('utf8'))
  const page = start < 0 ? [] : items.slice(start, start + limit)
  const last = page.at(-1)
  const more = last !== undefined && start + limit < items.length
  const next = new URL(call.url)
  if (more) next.searchParams.set('cursor', Buffer.from(last.path).toString('base64url'))
  sendJson(
    call.response,
    page.map(({ item }) => item),
    { 'x-repo-commit': id, ...(more ? { link: `<${next.href}>; rel="next"` } : {}) },
  )
}

const isText = (path: unknown): path is string => typeof path === 'string'

export const pathsInfo: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const { commit: id } = await splitRevision(repository, call.rest)
  const commit = await repository.readCommit(id)
  const body = await readFormOrJson(call.request)
  const paths = body['paths']
  if (!Array.isArray(paths) || paths.length > 1000 || !paths.every(isText))
    throw badRequest('"paths" must be a list of at most 1000 paths.')
  const expand = flagOf(body, 'expand')
  const wanted = new Set(paths.map((path) => path.replace(/\/$/, '')))
  const folders = foldersOf(commit.entries).filter(({ path }) => wanted.has(path))
  const files = commit.entries.filter(({ path }) => wanted.has(path))
  sendJson(
    call.response,
    [...folders.map((folder) => folderItem(folder, id, commit, expand)), ...files.map((entry) => fileItem(entry, id, commit, expand))],
    { 'x-repo-commit': id },
  )
}
