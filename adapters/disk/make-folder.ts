/** Folders made one by one from the nearest that exists. `mkdir` with `recursive` never returns where a file system shows a folder and refuses to hold another (`/proc/x`), as it asks again for ever. */
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isMissing } from './read.ts'

/** How often the way is walked anew where another process removes a folder meanwhile. */
const WALKS = 3

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code

const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Makes one folder. @returns whether it was made here, and not there already */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    // Systems that cannot be written say so of folders that are there, too.
    if (await isFolder(path)) return false
    throw error
  }
}

/** Folders that are missing on the way to this one, from the top. */
async function missingOn(path: string): Promise<string[]> {
  const missing: string[] = []
  for (let at = resolve(path); !(await isFolder(at)); at = dirname(at)) {
    missing.unshift(at)
    if (at === dirname(at)) break
  }
  return missing
}

/**
 * Makes a folder and those above it that are missing.
 * @param mode who may do what in those that are made, less what the process never gives
 * @returns those that were made, from the top
 * @throws the system's error: `ENOENT` where no folder can be made, `EACCES`, `EEXIST` and `ENOTDIR` where a file stands in the way, …
 */
export async function makeFolder(path: string, mode: number = 0o777): Promise<string[]> {
  for (let walk = 1; ; walk++) {
    const made: string[] = []
    try {
      for (const each of await missingOn(path)) if (await makeOne(each, mode)) made.push(each)
      return made
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || walk === WALKS) throw error
    }
  }
}
