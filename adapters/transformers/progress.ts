/** What comes over the network, told in transformers.js' own events, so that an app's one progress bar serves both. */
import type { ProgressCallback } from '@huggingface/transformers'

/** How far a file of a repository is. */
export interface FileProgress {
  readonly repo: string
  readonly path: string
  readonly fileDoneBytes: number
  readonly fileBytes: number
}

/** Hands on each file's beginning, its bytes and its end. */
export function tellFiles(tell: ProgressCallback): (progress: FileProgress) => void {
  const begun = new Set<string>()
  return ({ repo: name, path: file, fileDoneBytes: loaded, fileBytes: total }) => {
    const key = `${name}/${file}`
    if (!begun.has(key)) {
      begun.add(key)
      tell({ status: 'initiate', name, file })
      tell({ status: 'download', name, file })
    }
    tell({ status: 'progress', name, file, loaded, total, progress: total === 0 ? 100 : (100 * loaded) / total })
    if (loaded >= total) tell({ status: 'done', name, file })
  }
}
