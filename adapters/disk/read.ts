/** Reading files that may not be there, and folders. */
import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isUnfinished } from './unfinished.ts'

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')

/** The file's bytes, or undefined where there is none. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** The file's text, or undefined where there is none. */
export const readText = async (path: string): Promise<string | undefined> => (await readIfThere(path))?.toString('utf8')

/** The same of a file that lies there itself: a link, or a pipe that nobody may ever write to, as others can leave in a shared folder, counts as none. */
export async function readRegular(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch(() => undefined)
  return found?.isFile() ? readText(path) : undefined
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Whether a folder is there, and can be looked at. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
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

/** Names of all files below a folder, with `/` between the parts. */
export async function filesBelow(dir: string): Promise<string[]> {
  const items = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = items.filter((item) => !item.isDirectory())
  return files.map((item) => relative(dir, join(item.parentPath, item.name)).replaceAll('\\', '/')).toSorted()
}
