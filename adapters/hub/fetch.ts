/**
 * A request as the hub's client lacks it: it tries again with back-off, honours Retry-After, times out, limits and completes each body before handing
 * it on, turns every refusal into a coded error, and never sends the token to another host.
 */
import { HubError } from '../../src/errors.ts'
import { follow } from './follow.ts'
import { newPatience, type Patience } from './bounds.ts'
import { bearer, reasonOf, refusedError, shownUrl, systemCode } from './errors.ts'
import { get, isFetchUntouched, type Incoming } from './get.ts'
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
  /** What may be waited for all requests of one pull, where the hub asks for it. */
  readonly patience?: Patience | undefined
  readonly signal?: AbortSignal | undefined
}

export const TIMEOUT_MS = 30_000
/** Slowest upload that is waited for, bytes a second. */
const SLOWEST_BYTES_PER_SECOND = 20_000
/** Largest JSON answer; the largest real one, a page of 1000 expanded files, has 600 KB. */
const ANSWER_BYTES: number = 32 << 20

/** Failures that happen before a request is sent, so that any request may be sent again. */
const UNSENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** Codes of TLS: another try ends the same. */
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/

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
  if (UNTRUSTED.test(systemCode(error) ?? ''))
    return new HubError(
      'hub-certificate',
      `The certificate of ${shownUrl(url)} is not trusted (${reasonOf(error)}). Where that is your own hub or proxy, set NODE_EXTRA_CA_CERTS to a file with its authority.`,
      { cause: error },
    )
  return new Passing('hub-unreachable', `Cannot reach ${shownUrl(url)} (${reasonOf(error)}); check the network, HF_ENDPOINT and proxies.`, {
    cause: error,
  })
}

/** Whether an answer came from another host than the hub: a store that it sent us to, by an address that is signed and runs out. */
export const isElsewhere = ({ url = '' }: Pick<Incoming, 'url'>, asked: string, { hubUrl }: HubAccess): boolean =>
  new URL(url === '' ? asked : url).origin !== new URL(hubUrl).origin

/** The coded error for a refusal, a passing one where it may pass. */
export async function readRefusal(response: Incoming, method: string, url: string, access: HubAccess): Promise<HubError> {
  const elsewhere = isElsewhere(response, url, access)
  const bytes = await readAll(response, url).catch(() => new Uint8Array())
  let message = response.headers.get('x-error-message') ?? ''
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (typeof value === 'object' && value !== null && 'error' in value && typeof value.error === 'string') message = value.error
  } catch {
    // an error page: its header says enough
  }
  const { status } = response
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), (access.clock ?? systemClock).now())
  const error = refusedError({
    method,
    url: elsewhere && response.url ? response.url : url,
    status,
    elsewhere,
    errorCode: response.headers.get('x-error-code') ?? undefined,
    message,
    retryAfterMs,
    signedIn: access.token !== undefined,
  })
  // Asked again, the hub gives a new address.
  const isRunOut = elsewhere && method === 'GET' && !isElsewhere({}, url, access)
  const passes = status === 429 || status === 408 || status >= 500 || isRunOut
  return passes ? new Passing(error.code, error.message, { retryAfterMs, facts: error.facts }) : error
}

async function readAll({ headers, body }: Incoming, url: string): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = Number(headers.get('content-length') ?? 0) > ANSWER_BYTES ? Infinity : 0
  if (size === 0) {
    for await (const part of body ?? []) {
      parts.push(part)
      size += part.length
      if (size > ANSWER_BYTES) break
    }
  }
  if (size <= ANSWER_BYTES) return new Uint8Array(Buffer.concat(parts))
  throw new HubError(
    'hub-answer-size',
    `${shownUrl(url)} sent more than ${ANSWER_BYTES} bytes where a short answer was expected; check HF_ENDPOINT.`,
  )
}

/** An answer that calls itself JSON and is none was spoilt on the way. */
function checkJson({ headers }: Incoming, body: Uint8Array, url: string): void {
  if (!(headers.get('content-type') ?? '').includes('json') || body.length === 0) return
  try {
    JSON.parse(new TextDecoder().decode(body))
  } catch (cause) {
    throw new Passing('hub-answer', `${shownUrl(url)} answered with broken JSON; check proxies, then try again.`, { cause })
  }
}

/** What is asked of a hub; nothing but the address for a GET. */
export interface Request {
  readonly method?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: RequestInit['body']
  readonly signal?: AbortSignal | null | undefined
}

/** A whole answer, 2xx. */
export interface Answer {
  readonly status: number
  readonly headers: Incoming['headers']
  readonly bytes: Uint8Array<ArrayBuffer>
}

async function send(
  access: HubAccess,
  url: string,
  init: RequestInit & { readonly headers: Record<string, string> },
  signal: AbortSignal,
): Promise<Incoming> {
  const isSmallGet = access.fetch === undefined && init.method === 'GET' && init.body === null && isFetchUntouched()
  return (isSmallGet ? await get(url, init.headers, signal) : undefined) ?? (access.fetch ?? fetch)(url, { ...init, signal })
}

/**
 * One request with all that is promised above. The token goes to the hub only, and not to upload addresses: they carry their own signature.
 * @throws {HubError} for all that is not a complete answer of 2xx
 */
export async function ask(
  access: HubAccess,
  url: string,
  { method = 'GET', headers = {}, body = null, signal }: Request = {},
): Promise<Answer> {
  const { clock = systemClock, attempts = ATTEMPTS, timeoutMs = TIMEOUT_MS } = access
  const isHome = new URL(url).origin === new URL(access.hubUrl).origin
  const { authorization: _, ...others } = headers
  const signedIn = access.token !== undefined && isHome && method !== 'PUT'
  const init = {
    method,
    body,
    headers: { 'user-agent': 'soft-prompts', ...others, ...(signedIn ? { authorization: bearer(access.token as string) } : {}) },
  }
  const limitMs = timeoutMs + Math.ceil((1000 * sizeOfBody(body)) / SLOWEST_BYTES_PER_SECOND)
  const signals = [signal, access.signal].filter((each) => each instanceof AbortSignal)
  const once = async (): Promise<Answer> => {
    const following = follow([...signals, AbortSignal.timeout(limitMs)])
    try {
      const response = await send(access, url, init, following.signal)
      following.hold(response)
      if (!response.ok) throw await readRefusal(response, method, url, access)
      const bytes = await readAll(response, url)
      checkJson(response, bytes, url)
      return { status: response.status, headers: response.headers, bytes }
    } catch (error) {
      const aborted = signals.find((each) => each.aborted)
      const coded = transportError(error, url, aborted, limitMs)
      const isUncertain = !isRepeatable(method, url) && !UNSENT.has(systemCode(error) ?? '')
      if (coded instanceof Passing && isUncertain && coded.code !== 'hub-rate-limited')
        throw new HubError(coded.code, coded.message, { cause: coded, facts: { ...coded.facts, uncertain: true } })
      throw coded
    } finally {
      following.stop()
    }
  }
  return withRetries(once, { clock, attempts, signal: access.signal, patience: access.patience })
}

/**
 * An answer's JSON.
 * @throws {HubError} as `ask`; `hub-answer` where it is none
 */
export async function askJson(access: HubAccess, url: string): Promise<unknown> {
  const { bytes } = await ask(access, url)
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown
  } catch (cause) {
    throw new HubError(
      'hub-answer',
      `${shownUrl(url)} gave an answer that is not a hub's; check HF_ENDPOINT and proxies, then try again.`,
      { cause },
    )
  }
}

/** The same as a `fetch`, for one call of @huggingface/hub, which may make many requests. */
export function hubFetch(given: HubAccess): typeof fetch {
  const access: HubAccess = { ...given, patience: given.patience ?? newPatience() }
  return async (input, { method, body, signal, headers } = {}) => {
    const asked = Object.fromEntries(new Headers(headers))
    const answer = await ask(access, input instanceof Request ? input.url : String(input), {
      method,
      body: body ?? null,
      signal,
      headers: asked,
    })
    const copied = new Headers()
    answer.headers.forEach((value, name) => copied.append(name, value))
    return new Response(answer.bytes.length === 0 ? null : answer.bytes, { status: answer.status, headers: copied })
  }
}
