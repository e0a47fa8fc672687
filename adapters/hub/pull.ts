/** Pulls a soft prompt: into the cache, and from there into a folder if one is named. */
import { join, resolve } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { checkRemotePath, filesIn, selectPromptFiles } from './files.ts'
import { checkLocked, describePrompt, readLock, withLocked, writeLock, type LockedFile } from './lockfile.ts'
import { fetchSnapshot, type Snapshot, type SnapshotOptions } from './snapshot.ts'

export interface PullOptions extends Omit<SnapshotOptions, 'select' | 'type'> {
  /** Folder of the repository that the prompt lies in; default: its top. */
  readonly folder?: string
  /** Folder to write the prompt to, besides the cache. */
  readonly out?: string
  /** Replace what `out` holds, if it is another prompt. */
  readonly force?: boolean
  /** `prompts.lock.json` to record the pull in. */
  readonly lockFile?: string
  /** Pull exactly what the lock file says, or fail. */
  readonly frozen?: boolean
  /** Reads the folder as a prompt and throws where it is none. */
  readonly validate?: (dir: string) => Promise<unknown>
}

export interface Pulled {
  readonly repo: string
  readonly revision: string
  readonly commit: string
  /** Where the prompt lies: `out`, or the snapshot in the cache. */
  readonly dir: string
  readonly files: readonly LockedFile[]
  readonly downloadedBytes: number
}

async function fetchFrozen(options: PullOptions, fetch: (revision: string, offline: boolean) => Promise<Snapshot>): Promise<Snapshot> {
  const lockFile = options.lockFile ?? 'prompts.lock.json'
  const locked = checkLocked(await readLock(lockFile), options.repo, options.revision, lockFile)
  // Whole in the cache: nobody need be asked.
  const cached = await fetch(locked.commit, true).catch(() => undefined)
  if (cached !== undefined && JSON.stringify(await describePrompt(cached.dir)) === JSON.stringify(locked.files))
    return { ...cached, revision: locked.revision }
  const fetched = await fetch(locked.commit, options.offline ?? false)
  const files = await describePrompt(fetched.dir)
  const drifted = locked.files.find((file) => !files.some((other) => other.path === file.path && other.sha256 === file.sha256))
  if (drifted === undefined && files.length === locked.files.length) return { ...fetched, revision: locked.revision }
  throw new HubError(
    'hub-lock-drift',
    `${options.repo} at ${locked.commit} is not what ${lockFile} pins (${drifted?.path ?? 'more files'}); nothing was used. Pull without --frozen to pin what is there now.`,
  )
}

/** A lock file pins repositories, whole. */
function checkFolder(folder: string, { lockFile, frozen, repo }: PullOptions): void {
  checkRemotePath(folder)
  if (lockFile === undefined && frozen !== true) return
  throw new HubError(
    'hub-lock-folder',
    `${repo}#${folder} is a folder of a repository, and a lock file pins whole repositories. Pull it without the lock file, at a commit.`,
  )
}

/**
 * Pulls a prompt. What comes back was verified byte by byte and, with `validate`, read.
 * @throws {HubError} and what `validate` throws
 * @example const { dir } = await pullPrompt({ repo: 'me/t5-small-sst2', ...readHubEnvironment() })
 */
export async function pullPrompt(options: PullOptions): Promise<Pulled> {
  const { folder } = options
  if (folder !== undefined) checkFolder(folder, options)
  const name = folder === undefined ? options.repo : `${options.repo}#${folder}`
  const select: SnapshotOptions['select'] = (all) => selectPromptFiles(filesIn(all, folder, options.repo), name).map(({ file }) => file)
  const fetch = (revision: string, offline: boolean): Promise<Snapshot> => fetchSnapshot({ ...options, revision, offline, select })
  const snapshot = options.frozen ? await fetchFrozen(options, fetch) : await fetch(options.revision ?? 'main', options.offline ?? false)
  const dir = folder === undefined ? snapshot.dir : join(snapshot.dir, folder)
  const files = await describePrompt(dir)
  selectPromptFiles(files, `${name} in the cache`)
  await options.validate?.(dir)
  if (options.out !== undefined) {
    const { place } = await import('./place.ts')
    await place(dir, files, options.out, options)
  }
  const { repo, revision, commit, downloadedBytes } = snapshot
  if (options.lockFile !== undefined && !options.frozen) {
    await writeLock(options.lockFile, (lock) => withLocked(lock, 'prompts', repo, { revision, commit, files }))
  }
  return { repo, revision, commit, dir: options.out === undefined ? dir : resolve(options.out), files, downloadedBytes }
}
