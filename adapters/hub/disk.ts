/** Files on disk, written so that a kill at any moment leaves the old file or the new one. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Suffix of files that are being written; swept at start. */
const UNFINISHED = '.unfinished'

export const unfinishedName = (path: string): string => `${path}.${process.pid}-${randomBytes(6).toString('hex')}${UNFINISHED}`

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

/** Writes beside, flushes to the disk, renames over. */
export async function writeAtomic(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const beside = unfinishedName(path)
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
    return (await readdir(path)).filter((name) => !name.endsWith(UNFINISHED)).toSorted()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Removes what a killed server left half-written. */
export async function sweep(dir: string): Promise<void> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  for (const name of names) if (name.endsWith(UNFINISHED)) await rm(join(dir, name), { recursive: true, force: true })
}
