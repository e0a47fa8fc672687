/** External data must lie in or below one folder; this finds the deepest. */
import type { PlatformPath } from 'node:path'
import { UnsupportedError } from '../../src/errors.ts'

/** The deepest folder that holds all of these real folders. @throws {UnsupportedError} `onnx-scattered` for folders on several drives */
export function commonFolder(folders: readonly string[], path: PlatformPath): string {
  let common = folders[0] as string
  const inside = (folder: string): boolean => {
    const way = path.relative(common, folder)
    return way === '' || (way.split(path.sep)[0] !== '..' && !path.isAbsolute(way))
  }
  while (!folders.every(inside)) {
    const parent = path.dirname(common)
    if (parent === common) {
      throw new UnsupportedError(
        'onnx-scattered',
        `The model's files share no folder (${folders.join(', ')}). Put them on one drive, or give bytes.`,
      )
    }
    common = parent
  }
  return common
}
