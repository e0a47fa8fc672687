/** Puts a pulled prompt into a folder of the user's. */
import { constants, copyFile, lstat, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { DiskError, HubError } from '../../src/errors.ts'
import { reasonOf } from '../disk/errors.ts'
import { withLock, type Lock } from '../disk/lock.ts'
import { makeFolder } from '../disk/make-folder.ts'
import { exists, filesBelow } from '../disk/read.ts'
import { syncFolders } from '../disk/replace.ts'
import { sha256 } from './digest.ts'
import { promptFileLimit } from './files.ts'
import { describePrompt, type LockedFile } from './lockfile.ts'
import { systemClock } from './retry.ts'
import type { SnapshotOptions } from './snapshot.ts'

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
  return JSON.stringify(await describePrompt(out)) === JSON.stringify(files) ? 'same' : 'differs'
}

/** Copies the files, and reads what was written. */
async function copyFiles(from: string, to: string, files: readonly LockedFile[]): Promise<void> {
  for (const { path, sha256: expected } of files) {
    await makeFolder(dirname(join(to, path)))
    await copyFile(join(from, path), join(to, path), constants.COPYFILE_EXCL)
    if (sha256(await readFile(join(to, path))) !== expected)
      throw new HubError('hub-disk', `The copy of ${path} is not what the cache holds; pull again.`)
  }
}

const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true })

interface PlaceOptions extends Pick<SnapshotOptions, 'clock' | 'signal'> {
  readonly force?: boolean
}

/**
 * Copies to a folder beside, then swaps whole folders: at each moment `out` is the old prompt, the new one, or absent with the old one beside.
 * @throws {HubError} `hub-out` where it holds something else; `hub-disk`
 */
export async function place(snapshot: string, files: readonly LockedFile[], out: string, options: PlaceOptions): Promise<void> {
  const target = resolve(out)
  const prefix = join(dirname(target), `.${basename(target)}`)
  const [fresh, old, lock] = [`${prefix}+new`, `${prefix}+old`, `${prefix}+lock`]
  const isPlaced = async (): Promise<boolean> => {
    const state = await stateOf(target, files)
    if (state === 'differs' && !options.force)
      throw new HubError('hub-out', `${out} holds another prompt or other changes; --force replaces it.`)
    return state === 'same'
  }
  const left = await Promise.all([fresh, old, lock].map(exists))
  // Nothing to do, and maybe nothing may be written there.
  if (!left.includes(true) && (await isPlaced())) return
  const replace = async (held: Lock): Promise<void> => {
    await remove(fresh)
    // A pull was killed after its two renames, or between them.
    if (await exists(target)) await remove(old)
    else if (await exists(old)) await rename(old, target)
    if (await isPlaced()) return
    try {
      await copyFiles(snapshot, fresh, files)
      await held.check()
      if (await exists(target)) await rename(target, old)
      await rename(fresh, target).catch(async (error: unknown) => {
        if (await exists(old)) await rename(old, target)
        throw error
      })
      await syncFolders([dirname(target)])
      await remove(old)
    } finally {
      await remove(fresh)
    }
  }
  await withLock(lock, options.clock ?? systemClock, options.signal, replace).catch((cause: unknown) => {
    if (cause instanceof HubError || (cause instanceof DiskError && cause.code !== 'disk-write')) throw cause
    if (options.signal?.aborted) throw new HubError('hub-aborted', `Placing the prompt in ${out} was stopped.`, { cause })
    throw new HubError('hub-disk', `Cannot write ${out}: ${reasonOf(cause)}. Make room, or choose another --out.`, { cause })
  })
}
