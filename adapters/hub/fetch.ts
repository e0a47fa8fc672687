/**
 * A `fetch` for @huggingface/hub that is what it lacks: it tries again with back-off, honours Retry-After, times out, limits and completes each
 * body before handing it on, turns every refusal into a coded error, and never sends the token to another host.
 */
import { ConfigError, HubError } from '../../src/errors.ts'
import { reasonOf, refusedError, shownUrl, systemCode } from './errors.ts'
import { ATTEMPTS, parseRetryAfter, Passing, systemClock, withRetries, type Clock } from './retry.ts'

/** What every call to a hub needs. */
export interface HubAccess {
  /** `https://huggingface.co`, or another hub. */
  readonly hubUrl: string
  readonly token?: string | undefined
  readonly fetch?: typeof fetch | undefined
  readonly clock?: Clock | undefined
  /** Tries of one request in all. */
  readonly attempts?: number | undefined
  /** Milliseconds without an answer, or without a byte, before a try is given up. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The Authorization header. A token that cannot stand in one is refused here: fetch would repeat it in its error.
 * @throws {ConfigError} `hub-token`
 */
export function bearer(token: string): string {
  if (/^[\u0021-\u007e]+$/.test(token)) return `Bearer ${token}`
  throw new ConfigError('hub-token', 'The access token holds blanks, line breaks or letters that no token has; set HF_TOKEN again.')
}

export const TIMEOUT_MS = 30_000
/** Slowest upload that is waited for, bytes a second. */
const SLOWEST_BYTES_PER_SECOND = 20_000
/** Largest JSON answer; the largest real one, a page of 1000 expanded files, has 600 KB. */
const ANSWER_BYTES: number = 32 << 20

/** Failures that happen before a request is sent, so that any request may be sent again. */
const UNSENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** Commits are not repeated blindly: push looks whether the first try arrived. */
const isRepeatable = (method: string, url: string): boolean => !(method === 'POST' && /\/commit\/[^/]+$/.test(new URL(url).pathname))

const sizeOfBody = (body: unknown): number => (typeof body === 'string' ? body.length : body instanceof Blob ? body.size : 0)

/** Turns what fetch throws into a coded error; the caller's own abort passes as it is. */
export function transportError(error: unknown, url: string, signal: AbortSignal | undefined, timeoutMs: number): unknown {
  if (error instanceof HubError || signal?.aborted) return error
  const timedOut = error instanceof Error && error.name === 'TimeoutError'
  if (timedOut)
    return new Passing(
      'hub-timeout',
      `${shownUrl(url)} gave no answer for ${timeoutMs / 1000} s; check the network, HF_ENDPOINT and proxies.`,
      { cause: error },
    )
  return new Passing('hub-unreachable', `Cannot reach ${shownUrl(url)} (${reasonOf(error)}); check the network, HF_ENDPOINT and proxies.`, {
    cause: error,
  })
}

/** The coded error for a refusal, a passing one where it may pass. */
export async function readRefusal(response: Response, method: string, url: string, access: HubAccess): Promise<HubError> {
  const text = await response.text().catch(() => '')
  let message = response.headers.get('x-error-message') ?? ''
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'error' in value && typeof value.error === 'string') message = value.error
  } catch {
    // an error page: its header says enough
  }
  const { status } = response
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), (access.clock ?? systemClock).now())
  const error = refusedError({
    method,
    url,
    status,
    errorCode: response.headers.get('x-error-code') ?? undefined,
    message,
    retryAfterMs,
    signedIn: access.token !== undefined,
  })
  const passes = status === 429 || status === 408 || status >= 500
  return passes ? new Passing(error.code, error.message, { retryAfterMs, facts: error.facts }) : error
}

async function readAll(response: Response, url: string): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(response.headers.get('content-length') ?? 0)
  const bytes = declared > ANSWER_BYTES ? undefined : await response.arrayBuffer()
  if (bytes !== undefined && bytes.byteLength <= ANSWER_BYTES) return new Uint8Array(bytes)
  throw new HubError(
    'hub-answer-size',
    `${shownUrl(url)} sent more than ${ANSWER_BYTES} bytes where a short answer was expected; check HF_ENDPOINT.`,
  )
}

/** An answer that calls itself JSON and is none was spoilt on the way. */
function checkJson(response: Response, body: Uint8Array, url: string): void {
  if (!(response.headers.get('content-type') ?? '').includes('json') || body.length === 0) return
  try {
    JSON.parse(new TextDecoder().decode(body))
  } catch (cause) {
    throw new Passing('hub-answer', `${shownUrl(url)} answered with broken JSON; check proxies, then try again.`, { cause })
  }
}

/**
 * The hardened fetch. Its responses are complete and 2xx.
 * @throws {HubError} for all else
 */
export function hubFetch(access: HubAccess): typeof fetch {
  const { clock = systemClock, attempts = ATTEMPTS, timeoutMs = TIMEOUT_MS } = access
  const send = access.fetch ?? fetch
  const home = new URL(access.hubUrl).origin
  return (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input)
    const method = init.method ?? 'GET'
    const headers = new Headers(init.headers)
    if (new URL(url).origin !== home) headers.delete('authorization')
    const limitMs = timeoutMs + Math.ceil((1000 * sizeOfBody(init.body)) / SLOWEST_BYTES_PER_SECOND)
    const signals = [init.signal, access.signal].filter((signal) => signal instanceof AbortSignal)
    const once = async (): Promise<Response> => {
      const signal = AbortSignal.any([...signals, AbortSignal.timeout(limitMs)])
      try {
        const response = await send(url, { ...init, headers, signal })
        if (!response.ok) throw await readRefusal(response, method, url, access)
        const body = await readAll(response, url)
        checkJson(response, body, url)
        return new Response(body.length === 0 ? null : body, { status: response.status, headers: response.headers })
      } catch (error) {
        const coded = transportError(
          error,
          url,
          signals.find(({ aborted }) => aborted),
          limitMs,
        )
        if (
          coded instanceof Passing &&
          !isRepeatable(method, url) &&
          coded.code !== 'hub-rate-limited' &&
          !UNSENT.has(systemCode(error) ?? '')
        ) {
          throw new HubError(coded.code, coded.message, { cause: coded, facts: { ...coded.facts, uncertain: true } })
        }
        throw coded
      }
    }
    return withRetries(once, { clock, attempts, signal: access.signal })
  }
}
