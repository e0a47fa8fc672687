/** Pulls a soft prompt: into the cache, and from there into a folder if one is named. */
import { copyFile, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { withLock } from '../disk/lock.ts'
import { exists } from '../disk/read.ts'
import { sha256 } from './digest.ts'
import { promptFileLimit, selectPromptFiles } from './files.ts'
import { checkLocked, readLock, withLocked, writeLock, type LockedFile } from './lockfile.ts'
import { systemClock } from './retry.ts'
import { fetchSnapshot, type Snapshot, type SnapshotOptions } from './snapshot.ts'

export interface PullOptions extends Omit<SnapshotOptions, 'select' | 'type'> {
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

/** Names of all files below a folder, with `/` between the parts. */
export async function filesBelow(dir: string): Promise<string[]> {
  const items = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = items.filter((item) => !item.isDirectory())
  return files.map((item) => relative(dir, join(item.parentPath, item.name)).replaceAll('\\', '/')).toSorted()
}

async function describe(dir: string): Promise<LockedFile[]> {
  const names = (await filesBelow(dir)).filter((path) => promptFileLimit(path) !== undefined)
  const described = names.map(async (path) => {
    const bytes = await readFile(join(dir, path))
    return { path, size: bytes.length, sha256: sha256(bytes) }
  })
  return Promise.all(described)
}

/** What a folder named by --out holds now. */
async function stateOf(out: string, files: readonly LockedFile[]): Promise<'absent' | 'same' | 'differs'> {
  const found = await lstat(out).catch(() => undefined)
  if (found === undefined) return 'absent'
  if (!found.isDirectory()) throw new HubError('hub-out', `${out} is not a folder; choose another --out.`)
  const names = await filesBelow(out)
  if (names.length === 0) return 'absent'
  const foreign = names.find((name) => promptFileLimit(name) === undefined)
  if (foreign !== undefined)
    throw new HubError('hub-out', `${out} holds ${foreign}, which is no part of a prompt; choose an empty folder for --out.`)
  return JSON.stringify(await describe(out)) === JSON.stringify(files) ? 'same' : 'differs'
}

/** Copies the files, and reads what was written. */
async function copyFiles(from: string, to: string, files: readonly LockedFile[]): Promise<void> {
  for (const { path, sha256: expected } of files) {
    await mkdir(dirname(join(to, path)), { recursive: true })
    await copyFile(join(from, path), join(to, path))
    if (sha256(await readFile(join(to, path))) !== expected)
      throw new HubError('hub-disk', `The copy of ${path} is not what the cache holds; pull again.`)
  }
}

const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true })

/** Copies to a folder beside, then swaps whole folders: at each moment `out` is the old prompt, the new one, or absent with the old one beside. */
async function place(snapshot: string, files: readonly LockedFile[], out: string, options: PullOptions): Promise<void> {
  const target = resolve(out)
  const prefix = join(dirname(target), `.${basename(target)}`)
  const [fresh, old, lock] = [`${prefix}.new`, `${prefix}.old`, `${prefix}.lock`]
  const left = await Promise.all([fresh, old, lock].map(exists))
  // Nothing to do, and maybe nothing may be written there.
  if (!left.includes(true) && (await stateOf(target, files)) === 'same') return
  await withLock(lock, options.clock ?? systemClock, options.signal, async () => {
    await remove(fresh)
    // A pull was killed after its two renames, or between them.
    if (await exists(target)) await remove(old)
    else if (await exists(old)) await rename(old, target)
    const state = await stateOf(target, files)
    if (state === 'same') return
    if (state === 'differs' && !options.force)
      throw new HubError('hub-out', `${out} holds another prompt or other changes; --force replaces it.`)
    try {
      await copyFiles(snapshot, fresh, files)
      if (await exists(target)) await rename(target, old)
      await rename(fresh, target).catch(async (error: unknown) => {
        if (await exists(old)) await rename(old, target)
        throw error
      })
      await remove(old)
    } finally {
      await remove(fresh)
    }
  })
}

async function fetchFrozen(options: PullOptions, fetch: (revision: string, offline: boolean) => Promise<Snapshot>): Promise<Snapshot> {
  const lockFile = options.lockFile ?? 'prompts.lock.json'
  const locked = checkLocked(await readLock(lockFile), options.repo, options.revision, lockFile)
  // Whole in the cache: nobody need be asked.
  const cached = await fetch(locked.commit, true).catch(() => undefined)
  if (cached !== undefined && JSON.stringify(await describe(cached.dir)) === JSON.stringify(locked.files))
    return { ...cached, revision: locked.revision }
  const fetched = await fetch(locked.commit, options.offline ?? false)
  const files = await describe(fetched.dir)
  const drifted = locked.files.find((file) => !files.some((other) => other.path === file.path && other.sha256 === file.sha256))
  if (drifted === undefined && files.length === locked.files.length) return { ...fetched, revision: locked.revision }
  throw new HubError(
    'hub-lock-drift',
    `${options.repo} at ${locked.commit} is not what ${lockFile} pins (${drifted?.path ?? 'more files'}); nothing was used. Pull without --frozen to pin what is there now.`,
  )
}

/**
 * Pulls a prompt. What comes back was verified byte by byte and, with `validate`, read.
 * @throws {HubError} and what `validate` throws
 * @example const { dir } = await pullPrompt({ repo: 'me/t5-small-sst2', ...readHubEnvironment() })
 */
export async function pullPrompt(options: PullOptions): Promise<Pulled> {
  const select: SnapshotOptions['select'] = (files) => selectPromptFiles(files, options.repo)
  const fetch = (revision: string, offline: boolean): Promise<Snapshot> => fetchSnapshot({ ...options, revision, offline, select })
  const snapshot = options.frozen ? await fetchFrozen(options, fetch) : await fetch(options.revision ?? 'main', options.offline ?? false)
  const files = await describe(snapshot.dir)
  selectPromptFiles(files, `${options.repo} in the cache`)
  await options.validate?.(snapshot.dir)
  if (options.out !== undefined) await place(snapshot.dir, files, options.out, options)
  const { repo, revision, commit, downloadedBytes } = snapshot
  if (options.lockFile !== undefined && !options.frozen) {
    await writeLock(options.lockFile, (lock) => withLocked(lock, 'prompts', repo, { revision, commit, files }))
  }
  return { repo, revision, commit, dir: options.out === undefined ? snapshot.dir : resolve(options.out), files, downloadedBytes }
}
