/** `/R/resolve/REV/PATH` and `/R/raw/REV/PATH`: the bytes of a file, whole or by range. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { openRepository, passGate, splitRevision, type Call, type Handler } from './call.ts'
import { headerText, Refusal } from './http.ts'
import { pointerOf, type Entry } from './repository.ts'

interface Range {
  readonly start: number
  readonly end: number // exclusive
}

/** One range of `bytes=a-b`, `bytes=a-` or `bytes=-n`; undefined where the header is absent or not understood. */
export function parseRange(header: string | undefined, size: number): Range | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const suffix = match[1] === ''
  const start = suffix ? Math.max(0, size - Number(match[2])) : Number(match[1])
  const end = suffix || match[2] === '' ? size : Math.min(size, Number(match[2]) + 1)
  // An empty file answers the clients' `bytes=0-0` with `bytes */0`, from which they read its size.
  return start >= size || end <= start ? 'unsatisfiable' : { start, end }
}

/** Types by ending; a card's pictures need theirs, as nothing is guessed. All are sent with a policy that runs nothing. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['json', 'application/json'],
  ['md', 'text/plain; charset=utf-8'],
  ['txt', 'text/plain; charset=utf-8'],
  ['jsonl', 'text/plain; charset=utf-8'],
  ['svg', 'image/svg+xml'],
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['webp', 'image/webp'],
])

const typeOf = (path: string): string => TYPES.get(/\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? '') ?? 'application/octet-stream'

async function findEntry(call: Call, address: Parameters<Handler>[1]): Promise<{ entry: Entry; commit: string; file: string }> {
  const repository = await openRepository(call, address, 'read')
  const { commit, path } = await splitRevision(repository, call.rest)
  passGate(call, repository, address.owner)
  const { entries } = await repository.readCommit(commit)
  const entry = entries.find((item) => item.path === path)
  if (entry === undefined) throw new Refusal(404, 'EntryNotFound', 'Entry not found', { 'x-repo-commit': commit })
  return { entry, commit, file: repository.blobPath(entry) }
}

export const resolveFile: Handler = async (call, address) => {
  const { request, response } = call
  const { entry, commit, file } = await findEntry(call, address)
  const { size } = await stat(file)
  const etag = `"${entry.lfs ?? entry.oid}"`
  const headers: Record<string, string | number> = {
    etag,
    'x-repo-commit': commit,
    'accept-ranges': 'bytes',
    'content-type': typeOf(entry.path),
    // Files of strangers are never shown as pages of this host.
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'content-disposition': `inline; filename="${headerText(entry.path.split('/').at(-1) ?? '').replace(/["\\]/g, '_')}"`,
    ...(entry.lfs === undefined ? {} : { 'x-linked-etag': etag, 'x-linked-size': size }),
  }
  const asked = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag ? undefined : request.headers.range
  const range = parseRange(asked, size)
  if (range === 'unsatisfiable') {
    // 200 for an empty file: there is nothing to send, and clients read the size from Content-Range.
    response.writeHead(size === 0 ? 200 : 416, { ...headers, 'content-range': `bytes */${size}`, 'content-length': 0 }).end()
    return
  }
  const { start, end } = range ?? { start: 0, end: size }
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-length': end - start,
    ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${size}` } : {}),
  })
  if (request.method === 'HEAD' || size === 0) response.end()
  else await pipeline(createReadStream(file, { start, end: end - 1 }), response)
}

/** What git itself holds: the pointer for an LFS file. */
export const rawFile: Handler = async (call, address) => {
  const { entry, commit } = await findEntry(call, address)
  if (entry.lfs === undefined) return resolveFile(call, address)
  const body = pointerOf(entry.lfs, entry.size)
  call.response.writeHead(200, {
    etag: `"${entry.oid}"`,
    'x-repo-commit': commit,
    'content-type': 'text/plain',
    'content-length': body.length,
  })
  call.response.end(call.request.method === 'HEAD' ? undefined : body)
}
