/** Files written so that a kill, a crash or a full disk at any moment leaves the old file or the new one. */
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { clearAbandoned, unfinishedName } from './unfinished.ts'

interface WriteOptions {
  readonly mode?: number
  /** Where it is written before it gets its name; on the same disk. */
  readonly beside?: string
}

/** Writes beside, flushes to the disk, renames over. */
export async function writeAtomic(path: string, content: Uint8Array | string, options: WriteOptions = {}): Promise<void> {
  const { mode = 0o644, beside = unfinishedName(path) } = options
  await mkdir(dirname(path), { recursive: true })
  await mkdir(dirname(beside), { recursive: true })
  try {
    const file = await open(beside, 'wx', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}

/** Like `writeAtomic`, and clears away what killed processes left beside this file. */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  await clearAbandoned(dirname(path), basename(path))
  await writeAtomic(path, content)
}
