/** The local hub: a server of the Hugging Face Hub's API over a folder, for tests and for places without the public one. */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { HubError } from '../../../src/errors.ts'
import { openAccounts, type Account, type Accounts } from './accounts.ts'
import type { Call, HubState } from './call.ts'
import { diskError } from '../../disk/errors.ts'
import { holderOf, tryLock, type Lock } from '../../disk/lock.ts'
import { makeFolder } from '../../disk/make-folder.ts'
import { sweep } from '../../disk/unfinished.ts'
import { sha256 } from '../digest.ts'
import { systemClock } from '../retry.ts'
import { badRequest, Refusal, sendRefusal } from './http.ts'
import { UPLOAD_SECONDS } from './limits.ts'
import { refusalPage, wantsPage } from './pages/pages.ts'
import { closeFolder, FOLDER_MODE } from './private.ts'
import { Repositories } from './repositories.ts'
import { route } from './routes.ts'

export interface HubOptions {
  readonly dir: string
  /** 0 takes any free port. */
  readonly port?: number
  /** Loopback unless told otherwise; anything else is reachable by others. */
  readonly host?: string
  /** More accounts, by token; kept in memory. Without it the first start makes one token, in `DIR/token`. */
  readonly tokens?: Readonly<Record<string, Account>>
  /** At most so many requests in a window, for each token or address; then 429 with Retry-After. */
  readonly rateLimit?: { readonly requests: number; readonly windowSeconds: number }
  readonly now?: () => Date
  /** Told of each failure that is the server's own. */
  readonly onError?: (error: unknown) => void
}

export interface Hub {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** A counter of requests by caller, in fixed windows. */
function limiter(options: HubOptions, now: () => Date): (key: string) => void {
  const { rateLimit } = options
  const counts = new Map<string, number>()
  let window = 0
  return (key) => {
    if (rateLimit === undefined) return
    const seconds = now().getTime() / 1000
    const current = Math.floor(seconds / rateLimit.windowSeconds)
    if (current !== window) counts.clear()
    window = current
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    if (count <= rateLimit.requests) return
    const wait = Math.max(1, Math.ceil((current + 1) * rateLimit.windowSeconds - seconds))
    throw new Refusal(429, undefined, `Too many requests; try again in ${wait} s.`, { 'retry-after': String(wait) })
  }
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$/i

/**
 * `Host` as the client called it, so that addresses in answers lead back the same way. A hub on loopback answers to loopback names only: a web page
 * whose name was pointed at this machine is refused.
 */
function originOf(request: IncomingMessage, bound: string): string {
  const host = request.headers.host ?? ''
  const sound = LOOPBACK.test(`${bound.includes(':') ? `[${bound}]` : bound}`)
    ? LOOPBACK.test(host)
    : /^[\w.-]+(:\d+)?$|^\[[0-9a-f:]+\](:\d+)?$/i.test(host)
  if (!sound) throw new Refusal(400, undefined, 'The Host header does not name this hub.')
  // Said by a server in front of this one that speaks TLS.
  const origin = `${request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'}://${host}`
  if (!URL.canParse(origin)) throw badRequest('The Host header does not name this hub.')
  return origin
}

/** The address of a request: a path, `//x` too, or all of it as proxies are asked. */
function addressOf(target: string, origin: string): URL {
  const whole = target.startsWith('/') ? `${origin}${target}` : target
  if (!/^https?:\/\/[^/]/i.test(whole) || !URL.canParse(whole)) throw badRequest('The address is not well formed.')
  const { pathname, search } = new URL(whole)
  return new URL(`${origin}${pathname}${search}`)
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  state: HubState,
  accounts: Accounts,
  limit: (key: string) => void,
  bound: string,
): Promise<void> {
  const origin = originOf(request, bound)
  const { authorization } = request.headers
  limit(authorization === undefined ? (request.socket.remoteAddress ?? '') : sha256(authorization))
  const url = addressOf(request.url ?? '/', origin)
  const account = accounts.identify(authorization)
  const call: Call = { request, response, state, account, origin, rest: [], url, query: url.searchParams }
  await route(call, url.pathname).catch((error: unknown) => {
    if (!(error instanceof Refusal) || response.headersSent || !wantsPage(call)) throw error
    refusalPage(call, error)
  })
}

function fail(response: ServerResponse, error: unknown, onError: ((error: unknown) => void) | undefined): void {
  // A caller that left is no failure of the hub.
  if (!(error instanceof Refusal) && !response.destroyed) onError?.(error)
  // Half an answer must not look like a whole one.
  if (response.headersSent || response.destroyed) response.destroy()
  else sendRefusal(response, error instanceof Refusal ? error : new Refusal(500, undefined, 'Internal error of the hub.'))
}

const listen = (server: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })

/** Tries to have the folder, and milliseconds between them: a hub that was stopped a moment ago may not be gone yet. */
const TRIES = 20
const TRY_MS = 100

/** One hub serves a folder: two would not see each other's changes to a branch. */
async function holdFolder(dir: string): Promise<Lock> {
  const path = join(dir, 'hub.lock')
  for (let tries = 1; ; tries += 1) {
    const lock = await tryLock(path)
    if (lock) return lock
    if (tries === TRIES) break
    await systemClock.sleep(TRY_MS)
  }
  const holder = await holderOf(path)
  throw new HubError(
    'hub-server-busy',
    `Another hub (process ${holder?.pid ?? 'unknown'}) serves ${dir}: use that one, stop it, or choose another --dir.`,
  )
}

/**
 * Starts a hub over a folder.
 * @throws {HubError} `hub-server-listen` where the port or host cannot be had; `hub-server-busy` where another hub serves the folder
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  await makeFolder(options.dir, FOLDER_MODE).catch((cause: unknown) => {
    throw diskError(options.dir, cause)
  })
  const lock = await holdFolder(options.dir)
  try {
    const { close, ...hub } = await serve(options, lock)
    return { ...hub, close: () => close().then(() => lock.release()) }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function serve(options: HubOptions, lock: Lock): Promise<Hub> {
  const { dir, port = 0, host = '127.0.0.1', now = () => new Date() } = options
  await sweep(dir)
  await closeFolder(dir)
  const accounts = await openAccounts(dir, options.tokens)
  const report = (error: unknown): void => options.onError?.(error)
  const check = (): Promise<void> =>
    lock.check().catch((error: unknown) => {
      report(error)
      throw new Refusal(503, undefined, 'Another hub has taken the folder of this one: nothing was changed.')
    })
  const state: HubState = { repositories: new Repositories(dir, check), secret: randomBytes(32), now, report }
  const limit = limiter(options, now)
  // An upload may take as long as its address lives; Node would cut it off after five minutes.
  const server = createServer({ requestTimeout: UPLOAD_SECONDS * 1000 }, (request, response) => {
    answer(request, response, state, accounts, limit, host).catch((error: unknown) => fail(response, error, options.onError))
  })
  try {
    await listen(server, port, host)
  } catch (cause) {
    throw new HubError(
      'hub-server-listen',
      `The hub cannot listen on ${host}:${port} (${String((cause as Error).message)}); choose another --port.`,
      { cause },
    )
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
