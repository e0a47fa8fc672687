/** Trying again: how often, how long to wait, and what for. Clock and chance are injected. */
import { HubError } from '../../src/errors.ts'
import { LONGEST_WAIT_MS, type Patience } from './bounds.ts'

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }, ms)
      signal?.addEventListener('abort', stop, { once: true })
    }),
}

/** Tries of one request in all: waits of at most 0.5, 1, 2 and 4 s between them. */
export const ATTEMPTS = 5
const FIRST_WAIT_MS = 500

/** A failure that may pass. */
export class Passing extends HubError {
  readonly retryAfterMs: number | undefined

  constructor(
    code: string,
    message: string,
    options: {
      readonly cause?: unknown
      readonly retryAfterMs?: number | undefined
      readonly facts?: Readonly<Record<string, unknown>>
    } = {},
  ) {
    super(code, message, { cause: options.cause, facts: options.facts ?? {} })
    this.name = 'HubError'
    this.retryAfterMs = options.retryAfterMs
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === '') return undefined
  const seconds = Number(header)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000)
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Runs `work` until it succeeds, fails for good, or has had its tries; with `moved`, those since it last came further. */
export async function withRetries<T>(
  work: (attempt: number) => Promise<T>,
  options: {
    readonly clock: Clock
    readonly attempts?: number
    readonly random?: () => number
    readonly signal?: AbortSignal | undefined
    readonly moved?: () => boolean
    /** Shared by all requests of one pull. */
    readonly patience?: Patience | undefined
  },
): Promise<T> {
  const { clock, attempts = ATTEMPTS, random = Math.random, signal, patience = { leftMs: Infinity } } = options
  // A hub that asks for more patience than we have gets an error that says so.
  const mine: Patience = { leftMs: LONGEST_WAIT_MS }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt)
    } catch (error) {
      if (options.moved?.()) attempt = 1
      if (!(error instanceof Passing) || attempt >= attempts) throw error
      for (const each of [mine, patience]) each.leftMs -= error.retryAfterMs ?? 0
      if (mine.leftMs < 0 || patience.leftMs < 0) throw error
      const backOff = FIRST_WAIT_MS * 2 ** (attempt - 1) * (0.5 + random() / 2)
      await clock.sleep(Math.max(error.retryAfterMs ?? 0, backOff), signal)
    }
  }
}
