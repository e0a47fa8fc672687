/** `/api/models/R/preupload/BRANCH` and `/api/models/R/commit/BRANCH`: how a change arrives. */
import { extname } from 'node:path'
import { openRepository, type Call, type Handler, type RepoAddress } from './call.ts'
import { findNameConflict } from '../../../src/prompt/file-names.ts'
import { digestOf } from '../digest.ts'
import { CARD, checkCard, readCard } from './cards.ts'
import {
  badRequest,
  checkMarks,
  countOf,
  isObject,
  parseJson,
  readBody,
  readObject,
  Refusal,
  sendJson,
  textOf,
  type JsonObject,
} from './http.ts'
import { COMMIT_BODY_BYTES, COMMIT_LINES, COMMIT_MARKS, INLINE_FILE_BYTES, REGULAR_FILE_BYTES, REPO_FILES } from './limits.ts'
import { checkPath, checkRef, SHA256 } from './names.ts'
import { lfsEntry, type Commit, type Entry, type Repository } from './repository.ts'

/** What the Hub's default `.gitattributes` sends by LFS, as far as models and data sets use it. */
const LFS_EXTENSIONS: ReadonlySet<string> = new Set(
  '.safetensors .bin .onnx .onnx_data .onnx_adapter .npy .npz .pt .pth .ckpt .h5 .gz .tgz .zip .tar .parquet .arrow .model .msgpack .gguf'.split(
    ' ',
  ),
)

/** Python without LFS: with hf_xet installed it knows no other way, so its files come inside the commit. */
const isPython = (call: Call): boolean => (call.request.headers['user-agent'] ?? '').includes('hf_hub/')

function byLfs(path: string, size: number, sample: Uint8Array): boolean {
  return (
    size > 0 &&
    (LFS_EXTENSIONS.has(extname(path).toLowerCase()) || path.includes('tfevents') || size > REGULAR_FILE_BYTES || sample.includes(0))
  )
}

async function modeOf(call: Call, repository: Repository, entries: readonly Entry[], file: JsonObject): Promise<object> {
  const path = checkPath(file['path'])
  const size = countOf(file, 'size')
  const inline = isPython(call) && size <= INLINE_FILE_BYTES
  const lfs = !inline && byLfs(path, size, Buffer.from(textOf(file, 'sample', ''), 'base64'))
  const old = entries.find((entry) => entry.path === path)
  const oid = old === undefined ? undefined : await idFor(repository, old, lfs)
  return { path, uploadMode: lfs ? 'lfs' : 'regular', shouldIgnore: false, oid }
}

/** What a change goes to: a branch, or the branch of a pull request; no tag and no commit. */
function branchOf(call: Call): string {
  const name = call.rest.join('/')
  return /^refs\/(heads|pr)\//.test(name) ? name : `refs/heads/${checkRef(name)}`
}

export const preupload: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const body = await readObject(call.request)
  const head = await repository.need(branchOf(call))
  const { entries } = await repository.readCommit(head)
  const files: unknown = body['files'] ?? []
  if (!Array.isArray(files) || !files.every(isObject)) throw badRequest('"files" must be a list of { path, size, sample }.')
  const answers = await Promise.all(files.map((file) => modeOf(call, repository, entries, file)))
  sendJson(call.response, { commitOid: head, files: answers })
}

/** The id a client compares its own with: sha256 where it will send by LFS, git's otherwise. */
async function idFor(repository: Repository, entry: Entry, lfs: boolean): Promise<string> {
  if (lfs) return entry.lfs ?? entry.oid
  return entry.lfs === undefined ? entry.oid : digestOf(repository.blobPath(entry), 'git')
}

interface Operation {
  readonly key: string
  readonly value: JsonObject
}

function parseCommit(text: string): { header: JsonObject; operations: Operation[] } {
  const lines = text.split('\n', COMMIT_LINES + 1)
  if (lines.length > COMMIT_LINES) throw badRequest(`A commit has at most ${COMMIT_LINES} lines.`)
  checkMarks(text, COMMIT_MARKS)
  const written = lines.filter((line) => line.trim() !== '')
  const parsed = written.map((line): Operation => {
    const item = parseJson(line)
    if (!isObject(item) || typeof item['key'] !== 'string' || !isObject(item['value']))
      throw badRequest('Each line needs "key" and "value".')
    return { key: item['key'], value: item['value'] }
  })
  const header = parsed.find(({ key }) => key === 'header')?.value
  if (header === undefined || typeof header['summary'] !== 'string') throw badRequest('The commit has no header with a "summary".')
  return { header, operations: parsed.filter(({ key }) => key !== 'header') }
}

/** A file that the operation adds. */
async function added(repository: Repository, { key, value }: Operation, entries: ReadonlyMap<string, Entry>): Promise<Entry> {
  const path = checkPath(value['path'])
  const from = textOf(value, 'oldPath', '')
  if (from !== '') {
    const old = entries.get(from)
    if (old === undefined) throw new Refusal(404, 'EntryNotFound', `${from.slice(0, 200)} does not exist.`)
    const { since: _, ...moved } = old
    return { ...moved, path }
  }
  if (key === 'lfsFile') {
    const oid = textOf(value, 'oid')
    const size = SHA256.test(oid) ? await repository.lfsSize(oid) : undefined
    if (size === undefined) throw badRequest(`The LFS object of ${path} was not uploaded.`)
    return lfsEntry(path, oid, size)
  }
  const bytes = Buffer.from(textOf(value, 'content'), textOf(value, 'encoding', 'utf-8') === 'base64' ? 'base64' : 'utf8')
  return { path, oid: await repository.putBlob(bytes), size: bytes.length }
}

async function applyAll(repository: Repository, commit: Commit, head: string, operations: readonly Operation[]): Promise<Entry[]> {
  const since = { id: head, title: commit.title, date: commit.date }
  const entries = new Map(commit.entries.map((entry) => [entry.path, { ...entry, since: entry.since ?? since }] as [string, Entry]))
  for (const operation of operations) {
    const { key, value } = operation
    if (key === 'file' || key === 'lfsFile') {
      const entry = await added(repository, operation, entries)
      const old = entries.get(entry.path)
      if (old?.oid !== entry.oid) entries.set(entry.path, entry)
    } else if (key === 'deletedFile') {
      const path = checkPath(value['path'])
      if (!entries.delete(path)) throw new Refusal(404, 'EntryNotFound', `A file with this name doesn't exist: ${path}`)
    } else if (key === 'deletedFolder') {
      const prefix = `${checkPath(textOf(value, 'path').replace(/\/$/, ''))}/`
      for (const path of entries.keys()) if (path.startsWith(prefix)) entries.delete(path)
    } else {
      throw badRequest(`"${key.slice(0, 100)}" is not an operation.`)
    }
  }
  if (entries.size > REPO_FILES) throw badRequest(`A repository holds at most ${REPO_FILES} files.`)
  return [...entries.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** What a repository may not hold: names that cannot lie side by side, and a card that says nothing a list can show. */
async function checkChange(repository: Repository, before: readonly Entry[], after: readonly Entry[]): Promise<void> {
  const known = new Map(before.map((entry) => [entry.path, entry.oid]))
  const fresh = after.filter(({ path, oid }) => known.get(path) !== oid)
  const paths = fresh.map(({ path }) => path).filter((path) => !known.has(path))
  const conflict =
    paths.length === 0 ? undefined : findNameConflict([...after.map(({ path }) => path).filter((path) => known.has(path)), ...paths])
  // Of what lay there before this rule, nothing new is to blame.
  if (conflict && paths.some((path) => path === conflict.path || path.startsWith(`${conflict.path}/`))) {
    throw badRequest(`This commit cannot be kept: ${conflict.words}. Choose another name.`)
  }
  const card = fresh.find(({ path }) => path === CARD)
  if (card === undefined) return
  const { errors } = checkCard(await readCard(repository, card))
  if (errors.length > 0) throw badRequest(`Invalid metadata in ${CARD}: ${errors.join('; ')}`)
}

async function nextPullRequest(repository: Repository): Promise<string> {
  const numbers = (await repository.refs('pr')).map(({ name }) => Number(name))
  return `refs/pr/${numbers.reduce((most, number) => Math.max(most, number), 0) + 1}`
}

function checkParent(parent: string, head: string): void {
  if (parent === '' || parent === head) return
  throw new Refusal(412, undefined, 'A commit has happened since. Please refresh and try again.')
}

export const commit: Handler = async (call, address: RepoAddress) => {
  const repository = await openRepository(call, address, 'write')
  const branch = branchOf(call)
  const { header, operations } = parseCommit((await readBody(call.request, COMMIT_BODY_BYTES)).toString('utf8'))
  const asPullRequest = call.query.get('create_pr') === '1'
  const done = await repository.exclusive(async () => {
    const head = await repository.need(branch)
    if (!asPullRequest) checkParent(textOf(header, 'parentCommit', ''), head)
    const base = await repository.readCommit(head)
    const entries = await applyAll(repository, base, head, operations)
    await checkChange(repository, base.entries, entries)
    const id = await repository.writeCommit({
      parent: head,
      title: textOf(header, 'summary').slice(0, 500),
      message: textOf(header, 'description', '').slice(0, 10_000),
      author: call.account?.name ?? 'local',
      date: call.state.now().toISOString(),
      entries,
    })
    const ref = asPullRequest ? await nextPullRequest(repository) : branch
    await repository.writeRef(ref, id)
    return { id, ref }
  })
  const url = `${call.origin}/${address.kind === 'models' ? '' : 'datasets/'}${repository.settings.id}`
  sendJson(call.response, {
    success: true,
    commitOid: done.id,
    commitUrl: `${url}/commit/${done.id}`,
    hookOutput: '',
    ...(asPullRequest ? { pullRequestUrl: `${url}/discussions/${done.ref.split('/')[2]}` } : {}),
  })
}
