/** What a hub keeps is its owner's alone: tokens, and the files of private repositories beside them. */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { namesIn } from '../../disk/read.ts'
import { writeAtomic } from '../../disk/replace.ts'

export const FILE_MODE = 0o600
export const FOLDER_MODE = 0o700

/** A file written whole, for its owner alone. */
export const writePrivate = (path: string, content: Uint8Array | string): Promise<void> =>
  writeAtomic(path, content, { mode: FILE_MODE, folderMode: FOLDER_MODE })

/** All that a hub puts into its folder. */
const OURS: ReadonlySet<string> = new Set(['models', 'datasets', 'token', 'tokens.json', 'hub.lock'])

/** Closes the folder of a hub that others could look into; one that holds other things too is closed at what is the hub's. */
export async function closeFolder(dir: string): Promise<void> {
  const names = await namesIn(dir)
  if (names.every((name) => OURS.has(name))) await chmod(dir, FOLDER_MODE)
  for (const name of names) {
    if (OURS.has(name)) await chmod(join(dir, name), name === 'models' || name === 'datasets' ? FOLDER_MODE : FILE_MODE)
  }
}
