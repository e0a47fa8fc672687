/** Files on disk, written so that a kill at any moment leaves the old file or the new one. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isUnfinished, unfinishedName } from './unfinished.ts'

export const sha1 = (bytes: Uint8Array | string): string => createHash('sha1').update(bytes).digest('hex')
export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** The id git gives a file of these bytes. */
export const gitBlobId = (bytes: Uint8Array): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** The git blob id of a file, read as a stream. */
export async function gitBlobIdOf(path: string): Promise<string> {
  const hash = createHash('sha1').update(`blob ${(await stat(path)).size}\0`)
  for await (const part of createReadStream(path)) hash.update(part as Buffer)
  return hash.digest('hex')
}

/** The sha256 of a file, read as a stream. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path)) hash.update(part as Buffer)
  return hash.digest('hex')
}

/** Writes beside, or where `beside` says on the same disk, flushes to the disk, renames over. */
export async function writeAtomic(
  path: string,
  content: Uint8Array | string,
  { mode = 0o644, beside = unfinishedName(path) }: { readonly mode?: number; readonly beside?: string } = {},
): Promise<void> {
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

/** The file's text, or undefined where there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Names in a folder; none where it does not exist. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).filter((name) => !isUnfinished(name)).toSorted()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}
