/** Files written so that a kill, a crash or a full disk at any moment leaves the old file or the new one. */
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { diskError } from './errors.ts'
import { makeFolder } from './make-folder.ts'
import { clearAbandoned, unfinishedName } from './unfinished.ts'

/**
 * Lets a file be made beside, then gives it its name.
 * @param beside where it is made, on the same disk; nothing is left there where it fails
 * @param folderMode of folders that are missing
 * @throws {DiskError} `disk-write`, and what `make` throws
 */
export async function putFile<T>(
  path: string,
  make: (beside: string) => Promise<T>,
  beside: string = unfinishedName(path),
  folderMode?: number,
): Promise<T> {
  try {
    const folders = [...(await makeFolder(dirname(path), folderMode)), ...(await makeFolder(dirname(beside), folderMode))]
    const made = await make(beside)
    await rename(beside, path)
    await syncFolders([...folders.map((each) => dirname(each)), dirname(path)])
    return made
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw diskError(path, error)
  }
}

/** Like `putFile`, and clears away what killed processes left beside this file. */
export async function replaceWith<T>(path: string, make: (beside: string) => Promise<T>): Promise<T> {
  await clearAbandoned(dirname(path), basename(path))
  return putFile(path, make)
}

/** Writes beside, flushes to the disk, renames over. */
export function writeAtomic(
  path: string,
  content: Uint8Array | string,
  { mode, folderMode, beside }: { readonly mode?: number; readonly folderMode?: number; readonly beside?: string } = {},
): Promise<void> {
  return putFile(path, (to) => writeSynced(to, content, mode), beside, folderMode)
}

/** Like `writeAtomic`, and clears away what killed processes left beside this file. */
export function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  return replaceWith(path, (to) => writeSynced(to, content))
}

/** What systems say that sync no folders: Windows, some network disks. */
const UNSYNCED: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EISDIR', 'EINVAL', 'ENOTSUP', 'EBADF', 'ENOSYS'])

/** Makes names last through a power cut: the file's own bytes do not hold them, its folder does. For whoever renames. */
export async function syncFolders(paths: readonly string[]): Promise<void> {
  for (const path of new Set(paths)) {
    try {
      const folder = await open(path, 'r')
      await folder.sync().finally(() => folder.close())
    } catch (error) {
      if (!UNSYNCED.has((error as NodeJS.ErrnoException).code)) throw error
    }
  }
}

async function writeSynced(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}
