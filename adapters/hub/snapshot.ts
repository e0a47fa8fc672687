/** Fetches chosen files of a repository at one commit into the shared cache. */
import { HubError } from '../../src/errors.ts'
import { follow } from './follow.ts'
import { newPatience } from './bounds.ts'
import {
  blobPath,
  checkCache,
  clearCache,
  filePath,
  findSnapshot,
  linkSnapshot,
  offline,
  readListing,
  repoCache,
  snapshotPath,
  writeListing,
  writeRef,
  type RepoCache,
} from './cache.ts'
import { checkStrangers, damaged, hasBlob, knownFiles, standingOf } from './cache-check.ts'
import type { HubAccess } from './fetch.ts'
import { checkNames, checkRepoId, checkRevision } from './files.ts'
import { isCommit, listRemote, resolveCommit, type RemoteFile, type RepoRef, type RepoType } from './remote.ts'
import { systemClock } from './retry.ts'

/** Downloads at the same time. */
const PARALLEL = 4

/** What a listing that is wrong leads to. */
const MISLISTED: ReadonlySet<string> = new Set([
  'hub-corrupt',
  'hub-truncated',
  'hub-file-not-found',
  'hub-not-a-prompt',
  'hub-not-a-model',
])

/** How far a snapshot is, and the file that moved. */
export interface SnapshotProgress {
  readonly repo: string
  readonly doneBytes: number
  readonly totalBytes: number
  readonly path: string
  readonly fileDoneBytes: number
  readonly fileBytes: number
}

export interface SnapshotOptions extends HubAccess {
  readonly repo: string
  readonly type?: RepoType
  /** Branch, tag or commit. */
  readonly revision?: string
  readonly cacheDir: string
  /** Use what is in the cache and ask nobody. */
  readonly offline?: boolean
  /** Ask the Hub for its list again, unless offline, and hash every file, the large ones too that were hashed before and look untouched. */
  readonly check?: boolean
  /** Chooses among the files at the commit, and may refuse. */
  readonly select: (files: readonly RemoteFile[]) => readonly RemoteFile[]
  readonly onProgress?: (progress: SnapshotProgress) => void
}

export interface Snapshot {
  readonly repo: string
  /** The revision that was asked for. */
  readonly revision: string
  readonly commit: string
  /** The folder in the cache that holds the files. */
  readonly dir: string
  /** Empty when offline and another client filled the cache: nobody was asked what belongs to the commit. */
  readonly files: readonly RemoteFile[]
  /** Bytes that came over the network. */
  readonly downloadedBytes: number
}

async function eachInParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker))
}

/** Makes the blob be there; true if it had to be downloaded. */
async function fetchBlob(
  options: SnapshotOptions,
  cache: RepoCache,
  repo: RepoRef,
  commit: string,
  file: RemoteFile,
  onBytes: (count: number) => void,
): Promise<boolean> {
  if (await hasBlob(cache, file, options.check)) return false
  // Loaded only for this: most pulls find all in the cache.
  const [{ inTurn }, { download }] = await Promise.all([import('../disk/lock.ts'), import('./download.ts')])
  return inTurn(`${cache.locks}/${file.digest.hex}.js.lock`, options.clock ?? systemClock, options.signal, async () => {
    if (await hasBlob(cache, file, options.check)) return false
    await download(options, repo, commit, file, blobPath(cache, file.digest), onBytes)
    return true
  })
}

/** Fetches what is missing and links all of it into the snapshot; the bytes that came over the network. */
async function fetchFiles(
  options: SnapshotOptions,
  cache: RepoCache,
  repo: RepoRef,
  commit: string,
  files: readonly RemoteFile[],
): Promise<number> {
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0)
  // The first failure stops the others: nothing runs on after this function has thrown.
  const stop = new AbortController()
  const following = follow([options.signal, stop.signal])
  const { signal } = following
  let doneBytes = 0
  let downloadedBytes = 0
  let failure: unknown
  await eachInParallel(files, async (file) => {
    if (signal.aborted) return
    try {
      let fileDoneBytes = 0
      const onBytes = (count: number): void => {
        doneBytes += count
        fileDoneBytes = Math.min(fileDoneBytes + count, file.size)
        const { path, size: fileBytes } = file
        options.onProgress?.({ repo: repo.name, doneBytes: Math.min(doneBytes, totalBytes), totalBytes, path, fileDoneBytes, fileBytes })
      }
      const fetched = await fetchBlob({ ...options, signal }, cache, repo, commit, file, onBytes)
      if (fetched) downloadedBytes += file.size
      else onBytes(file.size)
      await linkSnapshot(cache, commit, file)
    } catch (error) {
      failure ??= error
      stop.abort(error)
    }
  })
  following.stop()
  if (options.signal?.aborted) throw new HubError('hub-aborted', `The pull of ${repo.name} was stopped.`, { cause: options.signal.reason })
  if (failure !== undefined) throw failure
  return downloadedBytes
}

/**
 * What the cache holds of a revision, each file hashed, with nobody asked.
 * @throws {HubError} `hub-offline` where it is not there; `hub-cache-corrupt` where it is not what it should be
 */
async function openCached(options: SnapshotOptions, cache: RepoCache, repo: RepoRef, revision: string): Promise<Snapshot> {
  const found = await findSnapshot(cache, repo, revision)
  const { commit } = found
  const listed = await readListing(cache, commit)
  const files = listed ? options.select(listed) : await chosenOfLinks(options, cache, commit)
  if (listed) checkNames(listed, files, repo.name)
  const standings = await Promise.all(files.map((file) => standingOf(cache, commit, file, options.check)))
  for (const [index, { path }] of files.entries()) {
    if (standings[index] === 'missing') throw offline(repo, revision, path)
    if (standings[index] === 'damaged') throw damaged(repo.name, filePath(cache, commit, path), path)
  }
  if (listed) await checkStrangers(cache, commit, listed, options.select)
  return { repo: repo.name, revision, files: listed ? files : [], downloadedBytes: 0, ...found }
}

/** Of a snapshot of another client, what is wanted; all where that is not enough: whoever reads it says what is missing. */
async function chosenOfLinks({ select }: SnapshotOptions, cache: RepoCache, commit: string): Promise<readonly RemoteFile[]> {
  const links = await knownFiles(cache, commit)
  try {
    return select(links)
  } catch {
    return links
  }
}

/**
 * Resolves the revision once, fetches what is missing or damaged, verifies every byte, and writes the ref last. A full commit needs no network where its files
 * are in the cache: what it holds is remembered.
 * @throws {HubError}
 */
export async function fetchSnapshot(given: SnapshotOptions): Promise<Snapshot> {
  const options: SnapshotOptions = { ...given, patience: given.patience ?? newPatience() }
  const { select } = options
  const revision = checkRevision(options.revision ?? 'main')
  const repo: RepoRef = { type: options.type ?? 'model', name: checkRepoId(options.repo) }
  const cache = repoCache(options.cacheDir, repo)
  await checkCache(cache)
  if (options.offline) return openCached(options, cache, repo, revision)
  await clearCache(cache)
  const commit = isCommit(revision) ? revision : await resolveCommit(options, repo, revision)
  const known = options.check ? undefined : await readListing(cache, commit)
  const use = async (listed: readonly RemoteFile[]): Promise<Snapshot> => {
    const files = select(listed)
    checkNames(listed, files, repo.name)
    // Before the files: by this a snapshot that was never finished can be told.
    if (listed !== known) await writeListing(cache, commit, listed)
    const downloadedBytes = await fetchFiles(options, cache, repo, commit, files)
    await checkStrangers(cache, commit, listed, select)
    return { repo: repo.name, revision, commit, dir: snapshotPath(cache, commit), files, downloadedBytes }
  }
  let snapshot = known && (await use(known).catch((error: unknown) => asIfUnknown(error)))
  if (snapshot === undefined) {
    const listed = await listRemote(options, repo, commit)
    snapshot = await use(listed)
  }
  await writeRef(cache, revision, commit)
  return snapshot
}

/** A remembered listing that the Hub's bytes contradict came through wrong once: the Hub is asked again. */
function asIfUnknown(error: unknown): undefined {
  if (error instanceof HubError && MISLISTED.has(error.code)) return undefined
  throw error
}
