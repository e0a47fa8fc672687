/** How the Hub says no, as coded errors that say what to do next. No message ever holds a token. */
import { ConfigError, HubError } from '../../src/errors.ts'

/** Hides whatever looks like a token, in text that came from outside. */
export const withoutTokens = (text: string): string =>
  text.replace(/\b(hf|api_org)_[A-Za-z0-9]{6,}/g, '$1_…').replace(/(bearer\s+)\S+/gi, '$1…')

/** Text of strangers for a message: on one line, nothing that a terminal obeys, no token. */
export const plain = (text: string, most = 300): string =>
  withoutTokens(text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ').trim()).slice(0, most)

/** A name of strangers' for a message. */
export const quoted = (text: string, most: number): string => JSON.stringify(plain(text, most))

/**
 * The Authorization header. A token that cannot stand in one is refused here: fetch would repeat it in its error.
 * @throws {ConfigError} `hub-token`
 */
export function bearer(token: string): string {
  if (/^[\u0021-\u007e]+$/.test(token)) return `Bearer ${token}`
  throw new ConfigError('hub-token', 'The access token holds blanks, line breaks or letters that no token has; set HF_TOKEN again.')
}

/** An address for people: no query (it may be signed), no user name. */
export function shownUrl(address: string): string {
  if (!URL.canParse(address)) return 'the hub'
  const { origin, pathname } = new URL(address)
  return withoutTokens(`${origin}${pathname}`)
}

export interface Refused {
  readonly method: string
  readonly url: string
  readonly status: number
  /** `X-Error-Code` */
  readonly errorCode?: string | undefined
  /** What the server said. */
  readonly message?: string | undefined
  readonly retryAfterMs?: number | undefined
  /** Whether a token was sent. */
  readonly signedIn: boolean
  /** Whether it was not the hub that answered, but a store that it sent us to; no token goes there. */
  readonly elsewhere?: boolean
}

const LOG_IN = 'set HF_TOKEN, or log in with "hf auth login"'

function explain({ status, errorCode, signedIn, retryAfterMs, elsewhere }: Refused): readonly [code: string, message: string] {
  if (elsewhere && status < 500 && status !== 429) {
    return ['hub-store', 'The hub keeps the file there, and the address it gave may have run out: try again.']
  }
  if (errorCode === 'GatedRepo') {
    return ['hub-gated', `The repository is gated: ask for access on its page${signedIn ? '' : `, then ${LOG_IN}`}.`]
  }
  if (errorCode === 'RevisionNotFound') return ['hub-revision-not-found', 'There is no such branch, tag or commit: check --revision.']
  if (errorCode === 'EntryNotFound') return ['hub-file-not-found', 'The repository has no such file.']
  if (errorCode === 'RepoNotFound') {
    const who = signedIn ? 'your token may not see it' : `if it is private, ${LOG_IN}`
    return ['hub-repo-not-found', `There is no such repository, or it is private: check the name; ${who}.`]
  }
  switch (status) {
    case 401:
      return [
        'hub-unauthorized',
        signedIn
          ? 'The token is not valid (expired or revoked): make a new one in the settings of your account.'
          : `Not logged in: ${LOG_IN}.`,
      ]
    case 403:
      return [
        'hub-forbidden',
        signedIn ? 'The token has no right to do this: use one with write access to that owner.' : `This is not for everybody: ${LOG_IN}.`,
      ]
    case 404:
      return ['hub-not-found', 'Nothing is there: check the name and HF_ENDPOINT.']
    case 409:
      return ['hub-conflict', 'It exists already, or another change is in progress: try again.']
    case 412:
      return ['hub-changed', 'Somebody changed the repository meanwhile: nothing was overwritten. Look at the change, then push again.']
    case 413:
      return ['hub-too-large', 'The hub takes no file or commit of that size.']
    case 429:
      return [
        'hub-rate-limited',
        `Too many requests${retryAfterMs === undefined ? '' : `; try again in ${Math.ceil(retryAfterMs / 1000)} s`}.`,
      ]
    default:
      return status >= 500 ? ['hub-unavailable', 'The hub failed: try again later.'] : ['hub-refused', 'The hub refused the request.']
  }
}

/** The error for an answer that is not 2xx. */
export function refusedError(refused: Refused): HubError {
  const [code, advice] = explain(refused)
  const words = plain(refused.message ?? '')
  const said = words === '' ? '' : ` It said: "${words}".`
  const message = `${refused.method} ${shownUrl(refused.url)} answered ${refused.status}. ${advice}${said}`
  return new HubError(code, message, { facts: { status: refused.status, url: shownUrl(refused.url) } })
}

/** The reasons below fetch's "fetch failed", as one line. */
export function reasonOf(error: unknown): string {
  const reasons: string[] = []
  for (let at: unknown = error; at instanceof Error && reasons.length < 4; at = at.cause) {
    if (at.message !== '' && at.message !== 'fetch failed') reasons.push(at.message)
  }
  // WebBlob and some streams reject with strings.
  return plain(reasons.join(': ') || (typeof error === 'string' ? error : '')) || 'no reason given'
}

/** The code of the system error at the bottom, such as ECONNREFUSED. */
export function systemCode(error: unknown): string | undefined {
  let code: string | undefined
  for (let at: unknown = error; at instanceof Error; at = at.cause) if ('code' in at && typeof at.code === 'string') code = at.code
  return code
}
