/** Progress of what comes over the network; none for what is there before anybody would look. */
import type { Output, Progress } from './output.ts'

export interface Transfer {
  onProgress(progress: { readonly doneBytes: number; readonly totalBytes: number }): void
  stop(): Promise<void>
}

const LARGE_BYTES = 5e6

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

export function transferView(out: Output, label: string): Transfer {
  let pending: Promise<Progress> | undefined
  let bar: Progress | undefined
  return {
    onProgress: ({ doneBytes, totalBytes }) => {
      if (totalBytes < LARGE_BYTES) return
      pending ??= out.progress(`${label}, MB`, megabytes(totalBytes)).then((made) => (bar = made))
      bar?.update(megabytes(doneBytes))
    },
    // At once where the bar stands, so that what is said next has a line of its own.
    stop: async () => (bar ?? (await pending))?.stop(),
  }
}
