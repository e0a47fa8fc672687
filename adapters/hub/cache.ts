/**
 * The standard Hugging Face cache, shared with Python: `models--owner--name/{blobs,refs,snapshots}`. A blob is named by its digest, a snapshot holds
 * relative links to blobs, a ref holds a commit's id. Source: huggingface_hub 1.33, file_download.py.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, lstat, readlink, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { isMissing, readText } from '../disk/read.ts'
import { putFile, writeAtomic } from '../disk/replace.ts'
import { clearAbandoned, unfinishedName } from '../disk/unfinished.ts'
import { checkRemotePath } from './files.ts'
import { isCommit, type Digest, type RemoteFile, type RepoRef } from './remote.ts'

/** Blobs up to this size are hashed again each time they are used; larger ones were verified when they were written. */
export const REHASH_BYTES: number = 16 << 20

export interface RepoCache {
  readonly dir: string
  /** For the lock files, beside the repositories as in Python. */
  readonly locks: string
}

export function repoCache(cacheDir: string, { type, name }: RepoRef): RepoCache {
  const folder = `${type}s--${name.replaceAll('/', '--')}`
  return { dir: join(cacheDir, folder), locks: join(cacheDir, '.locks', folder) }
}

export const blobPath = ({ dir }: RepoCache, digest: Digest): string => join(dir, 'blobs', digest.hex)

/** What is being written lies among the blobs: all that a snapshot or `refs` holds is taken for whole. */
const LINK = 'link'

const unfinishedPath = ({ dir }: RepoCache): string => unfinishedName(join(dir, 'blobs', LINK))

/** Removes what killed processes left, but for downloads, which are taken over. */
export const clearCache = ({ dir }: RepoCache): Promise<void> => clearAbandoned(join(dir, 'blobs'), LINK)

export const snapshotPath = ({ dir }: RepoCache, commit: string): string => join(dir, 'snapshots', commit)

function refPath({ dir }: RepoCache, revision: string): string {
  return join(dir, 'refs', ...checkRemotePath(revision).split('/'))
}

/** The commit a branch or tag stood for when it was last fetched. */
export async function readRef(cache: RepoCache, revision: string): Promise<string | undefined> {
  const text = (await readText(refPath(cache, revision)))?.trim() ?? ''
  return isCommit(text) ? text : undefined
}

/** Written last, so that a ref stands for a whole snapshot. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await readRef(cache, revision)) === commit) return
  await writeAtomic(refPath(cache, revision), commit, { beside: unfinishedPath(cache) })
}

const listingPath = ({ dir }: RepoCache, commit: string): string => join(dir, 'listings', `${commit}.json`)

const isListed = (file: Partial<RemoteFile> | null): boolean =>
  typeof file?.path === 'string' && Number.isSafeInteger(file.size) && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.digest?.hex ?? '')

/** All files of a commit, as the Hub listed them once; undefined where that is not known. Python's client leaves this folder alone. */
export async function readListing(cache: RepoCache, commit: string): Promise<RemoteFile[] | undefined> {
  try {
    const files = JSON.parse((await readText(listingPath(cache, commit))) ?? 'null') as RemoteFile[] | null
    if (!Array.isArray(files) || !files.every(isListed)) return undefined
    return files.map((file) => ({ ...file, path: checkRemotePath(file.path) }))
  } catch {
    return undefined // not ours, or spoilt: the Hub is asked again
  }
}

export async function writeListing(cache: RepoCache, commit: string, files: readonly RemoteFile[]): Promise<void> {
  await writeAtomic(listingPath(cache, commit), JSON.stringify(files), { beside: unfinishedPath(cache) })
}

/** A running digest of either kind. */
export function startDigest(digest: Digest, size: number): { update(bytes: Uint8Array): void; hex(): string } {
  const hash = digest.algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
}

/** Whether a file holds these bytes. */
export async function holds(path: string, { digest, size }: RemoteFile): Promise<boolean> {
  try {
    if ((await stat(path)).size !== size) return false
    const running = startDigest(digest, size)
    for await (const part of createReadStream(path)) running.update(part as Buffer)
    return running.hex() === digest.hex
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Whether the blob is there and sound. A small one is hashed: another program may have written it unverified. */
export async function hasBlob(cache: RepoCache, file: RemoteFile): Promise<boolean> {
  const path = blobPath(cache, file.digest)
  if (file.size <= REHASH_BYTES) return holds(path, file)
  return stat(path).then(
    (found) => found.size === file.size,
    () => false,
  )
}

/** Puts a link to the blob into the snapshot; replaces what is there in one step. Copies where links are not allowed (Windows). */
export async function linkSnapshot(cache: RepoCache, commit: string, file: RemoteFile): Promise<string> {
  const path = join(snapshotPath(cache, commit), ...checkRemotePath(file.path).split('/'))
  const target = relative(dirname(path), blobPath(cache, file.digest))
  if ((await readlink(path).catch(() => undefined)) === target) return path
  const link = (beside: string): Promise<void> =>
    symlink(target, beside).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPERM' && error.code !== 'ENOSYS') throw error
      return copyFile(blobPath(cache, file.digest), beside)
    })
  await putFile(path, link, unfinishedPath(cache))
  return path
}

/**
 * The snapshot of a revision that is in the cache already.
 * @throws {HubError} `hub-offline`
 */
export async function findSnapshot(cache: RepoCache, repo: RepoRef, revision: string): Promise<{ commit: string; dir: string }> {
  const commit = isCommit(revision) ? revision : await readRef(cache, revision)
  const dir = commit === undefined ? '' : snapshotPath(cache, commit)
  const there =
    commit !== undefined &&
    (await lstat(dir).then(
      (found) => found.isDirectory(),
      () => false,
    ))
  if (there) return { commit, dir }
  throw offline(repo, revision)
}

export const offline = (repo: RepoRef, revision: string): HubError =>
  new HubError(
    'hub-offline',
    `Offline (HF_HUB_OFFLINE), and ${repo.name} at "${revision}" is not in the cache; go online and pull it once.`,
  )

/** Whether a snapshot has all of these files. */
export async function holdsAll(dir: string, files: readonly RemoteFile[]): Promise<boolean> {
  const sizes = files.map(({ path }) => stat(join(dir, path)).catch(() => undefined))
  return (await Promise.all(sizes)).every((found, index) => found?.size === files[index]?.size)
}
