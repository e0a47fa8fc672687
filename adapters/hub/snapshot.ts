/** Fetches chosen files of a repository at one commit into the shared cache. */
import { HubError } from '../../src/errors.ts'
import {
  blobPath,
  clearCache,
  findSnapshot,
  hasBlob,
  holdsAll,
  linkSnapshot,
  offline,
  readListing,
  repoCache,
  snapshotPath,
  writeListing,
  writeRef,
  type RepoCache,
} from './cache.ts'
import type { HubAccess } from './fetch.ts'
import { checkRepoId } from './files.ts'
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
  if (await hasBlob(cache, file)) return false
  // Loaded only for this: most pulls find all in the cache.
  const [{ withLock }, { download }] = await Promise.all([import('../disk/lock.ts'), import('./download.ts')])
  return withLock(`${cache.locks}/${file.digest.hex}.js.lock`, options.clock ?? systemClock, options.signal, async () => {
    if (await hasBlob(cache, file)) return false
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
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal
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
  if (options.signal?.aborted) throw new HubError('hub-aborted', `The pull of ${repo.name} was stopped.`, { cause: options.signal.reason })
  if (failure !== undefined) throw failure
  return downloadedBytes
}

/**
 * Resolves the revision once, fetches what is missing, verifies every byte, and writes the ref last. A full commit needs no network where its files
 * are in the cache: what it holds is remembered.
 * @throws {HubError}
 */
export async function fetchSnapshot(options: SnapshotOptions): Promise<Snapshot> {
  const { revision = 'main', select } = options
  const repo: RepoRef = { type: options.type ?? 'model', name: checkRepoId(options.repo) }
  const cache = repoCache(options.cacheDir, repo)
  if (options.offline) {
    const found = await findSnapshot(cache, repo, revision)
    const listed = await readListing(cache, found.commit)
    const files = listed ? select(listed) : []
    if (!(await holdsAll(found.dir, files))) throw offline(repo, revision)
    return { repo: repo.name, revision, files, downloadedBytes: 0, ...found }
  }
  await clearCache(cache)
  const commit = isCommit(revision) ? revision : await resolveCommit(options, repo, revision)
  const known = await readListing(cache, commit)
  const use = async (listed: readonly RemoteFile[]): Promise<Snapshot> => {
    const files = select(listed)
    // Before the files: by this a snapshot that was never finished can be told.
    if (listed !== known) await writeListing(cache, commit, listed)
    const downloadedBytes = await fetchFiles(options, cache, repo, commit, files)
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
