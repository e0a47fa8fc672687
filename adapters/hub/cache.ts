/**
 * The standard Hugging Face cache, shared with Python: `models--owner--name/{blobs,refs,snapshots}`. A blob is named by its digest, a snapshot holds
 * relative links to blobs, a ref holds a commit's id. Ours beside them, left alone by Python: `listings` and `checked`. Who may read it is for umask to say,
 * as with Python's client, private repositories included. Source: huggingface_hub 1.33, file_download.py.
 */
import type { Stats } from 'node:fs'
import { constants, copyFile, lstat, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { readRegular } from '../disk/read.ts'
import { putFile, writeAtomic } from '../disk/replace.ts'
import { clearAbandoned, unfinishedName } from '../disk/unfinished.ts'
import { checkListedPath, checkRemotePath, checkRevision } from './files.ts'
import { isCommit, type Digest, type RemoteFile, type RepoRef } from './remote.ts'

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

const entryAt = (path: string): Promise<Stats | undefined> => lstat(path).catch(() => undefined)

/**
 * Folders of a repository's cache, from its own down to these, are folders: where another user put a link, what we write would land where it points.
 * That a whole repository lies on another disk, behind a link, is its owner's choice.
 * @throws {HubError} `hub-cache-link`
 */
export async function checkFolders({ dir }: RepoCache, ...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    let at = dir
    for (const part of relative(dir, folder).split(sep)) {
      at = join(at, part)
      const found = await entryAt(at)
      if (found === undefined) break
      if (!found.isSymbolicLink()) continue
      throw new HubError('hub-cache-link', `${at} in the cache is a link, which no client of the Hub makes: remove it, then pull again.`, {
        facts: { file: at },
      })
    }
  }
}

/** The folders that every pull writes to. @throws {HubError} `hub-cache-link` */
export const checkCache = (cache: RepoCache): Promise<void> =>
  checkFolders(cache, ...['blobs', 'refs', 'snapshots', 'listings', 'checked'].map((name) => join(cache.dir, name)))

function refPath({ dir }: RepoCache, revision: string): string {
  return join(dir, 'refs', ...checkRevision(revision).split('/'))
}

/** The commit a branch or tag stood for when it was last fetched. */
export async function readRef(cache: RepoCache, revision: string): Promise<string | undefined> {
  const path = refPath(cache, revision)
  // A folder where `a/b` was fetched since `a`: of that nothing is known.
  const text = (await readRegular(path))?.trim() ?? ''
  return isCommit(text) ? text : undefined
}

/** Takes refs away that stand where this one must lie: git has no branches `a` and `a/b` at once, so the hub's `a` is gone. */
async function clearWay({ dir }: RepoCache, path: string): Promise<void> {
  for (let at = dirname(path); at !== join(dir, 'refs'); at = dirname(at)) if ((await entryAt(at))?.isFile()) await rm(at)
  if ((await entryAt(path))?.isDirectory()) await rm(path, { recursive: true })
}

/** Written last, so that a ref stands for a whole snapshot. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await readRef(cache, revision)) === commit) return
  await checkFolders(cache, dirname(refPath(cache, revision)))
  await clearWay(cache, refPath(cache, revision))
  await writeAtomic(refPath(cache, revision), commit, { beside: unfinishedPath(cache) })
}

const listingPath = ({ dir }: RepoCache, commit: string): string => join(dir, 'listings', `${commit}.json`)

const isListed = (file: Partial<RemoteFile> | null): boolean =>
  typeof file?.path === 'string' && Number.isSafeInteger(file.size) && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.digest?.hex ?? '')

/** All files of a commit, as the Hub listed them once; undefined where that is not known. Python's client leaves this folder alone. */
export async function readListing(cache: RepoCache, commit: string): Promise<RemoteFile[] | undefined> {
  try {
    const files = JSON.parse((await readRegular(listingPath(cache, commit))) ?? 'null') as RemoteFile[] | null
    if (!Array.isArray(files) || !files.every(isListed)) return undefined
    return files.map((file) => ({ ...file, path: checkListedPath(file.path) }))
  } catch {
    return undefined // not ours, or spoilt: the Hub is asked again
  }
}

export async function writeListing(cache: RepoCache, commit: string, files: readonly RemoteFile[]): Promise<void> {
  await writeAtomic(listingPath(cache, commit), JSON.stringify(files), { beside: unfinishedPath(cache) })
}

/** Where a file of a snapshot lies. @throws {HubError} `hub-unsafe-path` where that is not below it */
export const filePath = (cache: RepoCache, commit: string, path: string): string =>
  join(snapshotPath(cache, commit), ...checkListedPath(path).split('/'))

/** What a snapshot's link to its blob holds. */
export const linkTarget = (cache: RepoCache, path: string, digest: Digest): string => relative(dirname(path), blobPath(cache, digest))

/** Puts a link to the blob into the snapshot; replaces what is there in one step. Copies where links are not allowed (Windows). */
export async function linkSnapshot(cache: RepoCache, commit: string, file: RemoteFile): Promise<void> {
  const path = filePath(cache, commit, checkRemotePath(file.path))
  const target = linkTarget(cache, path, file.digest)
  await checkFolders(cache, dirname(path))
  if ((await readlink(path).catch(() => undefined)) === target) return
  if ((await entryAt(path))?.isDirectory()) await clearFolder(cache, path)
  const link = (beside: string): Promise<void> =>
    symlink(target, beside).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPERM' && error.code !== 'ENOSYS') throw error
      return copyFile(blobPath(cache, file.digest), beside, constants.COPYFILE_EXCL)
    })
  await putFile(path, link, unfinishedPath(cache))
}

/** Takes away a folder where a file belongs, as other clients leave of a repository that has both under one name. */
async function clearFolder(cache: RepoCache, path: string): Promise<void> {
  const aside = unfinishedPath(cache)
  await rename(path, aside)
  await rm(aside, { recursive: true })
}

/**
 * The snapshot of a revision that is in the cache already.
 * @throws {HubError} `hub-offline` | `hub-cache-link`
 */
export async function findSnapshot(cache: RepoCache, repo: RepoRef, revision: string): Promise<{ commit: string; dir: string }> {
  const commit = isCommit(revision) ? revision : await readRef(cache, revision)
  if (commit === undefined) throw offline(repo, revision)
  const dir = snapshotPath(cache, commit)
  await checkFolders(cache, dir)
  if ((await entryAt(dir))?.isDirectory()) return { commit, dir }
  throw offline(repo, revision)
}

export const offline = (repo: RepoRef, revision: string, missing?: string): HubError =>
  new HubError(
    'hub-offline',
    `Offline (HF_HUB_OFFLINE), and ${missing === undefined ? '' : `${missing} of `}${repo.name} at "${revision}" is not in the cache; go online and pull it once.`,
  )
