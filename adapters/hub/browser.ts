/**
 * `soft-prompts/hub` under the condition "browser": a prompt from the Hub as bytes, without a file system. Nothing of Node's: what is listed with sizes and
 * digests is fetched with limits, and every byte is checked by WebCrypto before it is handed on.
 */
import { HubError } from '../../src/errors.ts'
import { bearer, refusedError, shownUrl } from './errors.ts'
import { checkListedPath, checkRemotePath, checkRepoId, filesIn, promptFileLimit, selectPromptFiles } from './files.ts'

export interface PullFilesOptions {
  readonly repo: string
  /** Branch, tag or commit; default main. */
  readonly revision?: string
  /** Default: https://huggingface.co */
  readonly hubUrl?: string
  /** For private repositories. A page shows it to all who see the page's code. */
  readonly token?: string
  readonly fetch?: typeof fetch
  readonly signal?: AbortSignal
  /** Milliseconds without a byte before a request is given up; default 30,000. */
  readonly timeoutMs?: number
  /** Files to leave behind, such as the training log; default: none. */
  readonly skip?: (path: string) => boolean
}

export interface PulledFiles {
  readonly commit: string
  /** Bytes by name, in the order of the names; as `openPrompt` of the browser takes them. */
  readonly files: Map<string, Uint8Array<ArrayBuffer>>
}

interface Listed {
  readonly path: string
  readonly size: number
  readonly oid: string
  /** sha256, of files that are stored as LFS. */
  readonly sha256?: string
}

/** A page of a listing has at most 1000 entries of some 300 bytes. */
const MOST_PAGES = 20
/** Largest answer that is not a file; the largest real one, a page of 1000 expanded files, has 600 KB. */
const ANSWER_BYTES: number = 4 << 20

const hexOf = (digest: ArrayBuffer): string => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Whether the bytes are those that the listing names: by sha256, else by git's blob id. */
async function isListed(bytes: Uint8Array<ArrayBuffer>, { sha256, oid }: Listed): Promise<boolean> {
  if (sha256 !== undefined) return hexOf(await crypto.subtle.digest('SHA-256', bytes)) === sha256
  const head = new TextEncoder().encode(`blob ${bytes.length}\0`)
  const blob = new Uint8Array(head.length + bytes.length)
  blob.set(head)
  blob.set(bytes, head.length)
  return hexOf(await crypto.subtle.digest('SHA-1', blob)) === oid
}

const TIMEOUT_MS = 30_000
/** Slowest answer that is waited for, bytes a second; prompts have some hundred kilobytes. */
const SLOWEST_BYTES_PER_SECOND = 1_000

/** How long an answer may take: stops the request where no byte came for some time, and where all of them would take too long. */
function watch(timeoutMs: number, given: AbortSignal | undefined): { signal: AbortSignal; came(bytes: number): void; stop(): void } {
  const controller = new AbortController()
  const expire = (): void => controller.abort(new DOMException('timed out', 'TimeoutError'))
  const abort = (): void => controller.abort(given?.reason)
  if (given?.aborted) abort()
  given?.addEventListener('abort', abort)
  const began = performance.now()
  let idle = setTimeout(expire, timeoutMs)
  let got = 0
  return {
    signal: controller.signal,
    came: (bytes) => {
      clearTimeout(idle)
      got += bytes
      idle = setTimeout(expire, timeoutMs)
      if (performance.now() - began > timeoutMs + (1000 * got) / SLOWEST_BYTES_PER_SECOND) expire()
    },
    stop: () => {
      clearTimeout(idle)
      given?.removeEventListener('abort', abort)
    },
  }
}

/** A body of at most `most` bytes; more is not read. */
async function readBody(response: Response, most: number, url: string, came: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.length
    came(part.value.length)
    if (size > most) {
      await reader?.cancel()
      throw new HubError('hub-file-too-large', `${shownUrl(url)} sent more than the ${most} bytes that were expected.`)
    }
    parts.push(part.value)
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

interface Client {
  bytes(url: string, most: number): Promise<Uint8Array<ArrayBuffer>>
  json(url: string): Promise<{ readonly value: unknown; readonly link: string }>
}

function client({
  fetch: send = fetch,
  token,
  signal,
  hubUrl,
  timeoutMs = TIMEOUT_MS,
}: PullFilesOptions & { readonly hubUrl: string }): Client {
  const get = async (url: string, most: number): Promise<{ bytes: Uint8Array<ArrayBuffer>; link: string }> => {
    const isHome = new URL(url).origin === new URL(hubUrl).origin
    const headers: Record<string, string> = token !== undefined && isHome ? { authorization: bearer(token) } : {}
    const time = watch(timeoutMs, signal)
    try {
      const response = await send(url, { headers, signal: time.signal })
      if (!response.ok) {
        const errorCode = response.headers.get('x-error-code') ?? undefined
        const elsewhere = response.url !== '' && new URL(response.url).origin !== new URL(hubUrl).origin
        throw refusedError({ method: 'GET', url, status: response.status, errorCode, signedIn: token !== undefined, elsewhere })
      }
      return { bytes: await readBody(response, most, url, time.came), link: response.headers.get('link') ?? '' }
    } catch (cause) {
      if (cause instanceof HubError || signal?.aborted) throw cause
      if (time.signal.aborted)
        throw new HubError('hub-timeout', `${shownUrl(url)} is silent or too slow; check the network, then try again.`, { cause })
      throw new HubError('hub-unreachable', `Cannot read ${shownUrl(url)}; check the network, and that this page may read from there.`, {
        cause,
      })
    } finally {
      time.stop()
    }
  }
  return {
    bytes: async (url, most) => (await get(url, most)).bytes,
    json: async (url) => {
      const { bytes, link } = await get(url, ANSWER_BYTES)
      try {
        return { value: JSON.parse(new TextDecoder().decode(bytes)) as unknown, link }
      } catch (cause) {
        throw new HubError('hub-answer', `${shownUrl(url)} answered with broken JSON; check the address of the hub.`, { cause })
      }
    },
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const hexIn = (value: unknown): string => (typeof value === 'string' ? value : '')

/** @throws {HubError} `hub-answer` */
function parseEntry(entry: unknown, where: string): Listed | undefined {
  if (isObject(entry) && entry['type'] === 'directory') return undefined
  const { path, size, oid, lfs } = isObject(entry) ? entry : {}
  const sha256 = isObject(lfs) ? hexIn(lfs['oid']).replace(/^sha256:/, '') : undefined
  const isSound =
    typeof path === 'string' &&
    Number.isSafeInteger(size) &&
    (sha256 === undefined ? /^[0-9a-f]{40}$/.test(hexIn(oid)) : /^[0-9a-f]{64}$/.test(sha256))
  if (isSound) return { path: checkListedPath(path), size: size as number, oid: hexIn(oid), ...(sha256 === undefined ? {} : { sha256 }) }
  throw new HubError('hub-answer', `${where} lists a file without a usable name, size or digest.`)
}

/** All files at the commit, page by page. */
async function list(hub: Client, hubUrl: string, repo: string, commit: string): Promise<Listed[]> {
  const files: Listed[] = []
  let url: string | undefined = `${hubUrl}/api/models/${repo}/tree/${commit}?recursive=true`
  for (let page = 0; url !== undefined; page++) {
    if (page === MOST_PAGES) throw new HubError('hub-too-many-files', `${repo} holds more files than any prompt.`)
    const { value, link } = await hub.json(url)
    if (!Array.isArray(value)) throw new HubError('hub-answer', `${shownUrl(url)} is no listing; check the address of the hub.`)
    files.push(...value.map((entry) => parseEntry(entry, repo)).filter((file) => file !== undefined))
    url = /<([^>]+)>;\s*rel="next"/.exec(link)?.[1]
  }
  return files
}

/**
 * Pulls a prompt's files: the revision resolved once, each byte verified; of `owner/name#folder` those of a folder.
 * @throws {HubError} `hub-corrupt` | `hub-not-a-prompt` | `hub-file-too-large` | `hub-repo-not-found` | …
 * @example
 * const { files } = await pullPromptFiles({ repo: 'me/t5-small-sst2' })
 * const prompt = await openPrompt(files) // of soft-prompts/transformers
 */
export async function pullPromptFiles(options: PullFilesOptions): Promise<PulledFiles> {
  const { revision = 'main', skip = () => false } = options
  const hubUrl = (options.hubUrl ?? 'https://huggingface.co').replace(/\/+$/, '')
  const [id = '', folder] = options.repo.split('#')
  const repo = checkRepoId(id)
  const hub = client({ ...options, hubUrl })
  const { value } = await hub.json(`${hubUrl}/api/models/${repo}/revision/${encodeURIComponent(revision)}?expand=sha`)
  const commit = isObject(value) ? hexIn(value['sha']) : ''
  if (!/^[0-9a-f]{40}$/.test(commit)) throw new HubError('hub-answer', `${shownUrl(hubUrl)} names no commit for ${repo} at "${revision}".`)
  const listed = filesIn(await list(hub, hubUrl, repo, commit), folder, repo)
  const chosen = selectPromptFiles(listed, options.repo).filter(({ path }) => !skip(path))
  for (const { file } of chosen) checkRemotePath(file.path)
  const read = chosen.map(async (file) => {
    const url = `${hubUrl}/${repo}/resolve/${commit}/${file.file.path.split('/').map(encodeURIComponent).join('/')}`
    const bytes = await hub.bytes(url, Math.min(file.size, promptFileLimit(file.path) ?? 0))
    if (bytes.length === file.size && (await isListed(bytes, file))) return [file.path, bytes] as const
    throw new HubError('hub-corrupt', `${shownUrl(url)} sent other bytes than the repository lists; they were thrown away. Try again.`, {
      facts: { path: file.path, expected: file.size, got: bytes.length },
    })
  })
  return { commit, files: new Map((await Promise.all(read)).toSorted(([a], [b]) => (a < b ? -1 : 1))) }
}
