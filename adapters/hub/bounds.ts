/**
 * What a hub may cost at most: time, bytes, entries. Each stands beside the largest that is real; a hub that wants more is broken or means ill. Bodies of
 * single answers are bounded where they are read (`fetch.ts`), files by the sizes that the repository lists.
 */
import { HubError } from '../../src/errors.ts'
import { shownUrl } from './errors.ts'
import type { Clock } from './retry.ts'

/** Files of one repository; the largest list of a model has a few thousand. */
export const MOST_FILES = 20_000
/** Files and folders of a listing; folders are fewer than files wherever files are looked for. */
export const MOST_ENTRIES: number = 2 * MOST_FILES
/** Pages of a listing; huggingface.co puts 1000 entries on one, and 50 where each is described at length. */
export const MOST_PAGES = 500
/** Bytes of all pages of a listing; 20,000 files at length have 12 MB. */
export const LISTING_BYTES: number = 64 << 20
/** Time for all pages of a listing; 20 pages of huggingface.co take some ten seconds. */
export const LISTING_MS = 600_000

/** Slowest download that is waited for, bytes a second, over a window; four at once are 4 kB a second, what GPRS gave. */
const SLOWEST_BYTES_PER_SECOND = 1_000
/** A whole file takes no longer than this at its slowest: larger files need faster lines. */
const LONGEST_FILE_MS = 7 * 24 * 3_600_000
/** Over what a rate is measured: longer than a line hangs that recovers. */
export const RATE_WINDOW_MS = 60_000
/** A try that brought less has not come further: else one byte a connection would do. Half a window at the slowest rate. */
const PROGRESS_BYTES: number = 32 << 10
/** Nor has one that brought a smaller part than this of a large file, which would make for more tries than anyone waits for. */
const PROGRESS_PARTS = 8192
/** How often a file's bytes may come in all, where connections break and ranges are not honoured. */
const TIMES = 8

/** Waits that a hub asks for, of one request together; huggingface.co's windows are 300 s. */
export const LONGEST_WAIT_MS = 300_000
/** And of all requests of one pull: a window for each of the downloads that run at once. */
export const LONGEST_WAITS_MS: number = 4 * LONGEST_WAIT_MS

/** Counts down what may be waited for all requests of one pull. */
export interface Patience {
  leftMs: number
}

export const newPatience = (): Patience => ({ leftMs: LONGEST_WAITS_MS })

/** Bytes a second, at least, for a file of this size. */
const slowest = (sizeBytes: number): number => Math.max(SLOWEST_BYTES_PER_SECOND, sizeBytes / (LONGEST_FILE_MS / 1000))

/** What a try must bring of a file of this size to count as one that came further. */
export const progressBytes = (sizeBytes: number): number => Math.max(PROGRESS_BYTES, Math.ceil(sizeBytes / PROGRESS_PARTS))

/** Watches what comes of one file, over all of its connections. */
export interface Meter {
  /** Bytes came. @throws {HubError} `hub-endless` */
  came(bytes: number): void
  /** A connection begins: what went before it was no transfer. */
  begin(): void
  /** Whether a window has just ended that was slower than is waited for. */
  isSlow(): boolean
}

export function startMeter({ now }: Pick<Clock, 'now'>, url: string, sizeBytes: number): Meter {
  let total = 0
  let since = now()
  let window = 0
  return {
    came: (bytes) => {
      total += bytes
      window += bytes
      if (total > TIMES * sizeBytes + PROGRESS_BYTES)
        throw new HubError(
          'hub-endless',
          `${shownUrl(url)} sent ${total} bytes of a file of ${sizeBytes}, and it is still not whole: the hub is broken.`,
        )
    },
    begin: () => {
      since = now()
      window = 0
    },
    isSlow: () => {
      const ms = now() - since
      if (ms < RATE_WINDOW_MS) return false
      const slow = window < (slowest(sizeBytes) * ms) / 1000
      since += ms
      window = 0
      return slow
    },
  }
}

/** A fetch for one listing: pages, bytes and time are counted. @throws {HubError} `hub-endless` */
export function boundedFetch(send: typeof fetch, { now }: Pick<Clock, 'now'>, what: string): typeof fetch {
  const until = now() + LISTING_MS
  let pages = 0
  let bytes = 0
  const refuse = (why: string): never => {
    throw new HubError('hub-endless', `The list of ${what} does not end (${why}): the hub is broken.`)
  }
  return async (input, init) => {
    pages += 1
    if (pages > MOST_PAGES) refuse(`${MOST_PAGES} pages`)
    if (now() > until) refuse(`${LISTING_MS / 1000} s`)
    const response = await send(input, init)
    const body = await response.arrayBuffer()
    bytes += body.byteLength
    if (bytes > LISTING_BYTES) refuse(`${LISTING_BYTES} bytes`)
    return new Response(body.byteLength === 0 ? null : body, response)
  }
}
