/**
 * One file from the Hub to the disk: streamed, resumed where the connection broke (and where an earlier, killed process stopped), verified before it
 * gets its name. @huggingface/hub's own download neither resumes nor verifies, so this asks `/resolve/` itself.
 */
import { constants, type Stats } from 'node:fs'
import { lstat, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { follow } from './follow.ts'
import { startDigest } from './digest.ts'
import { progressBytes, startMeter, type Meter } from './bounds.ts'
import { bearer, shownUrl } from './errors.ts'
import { readRefusal, TIMEOUT_MS, transportError, type HubAccess } from './fetch.ts'
import type { RemoteFile, RepoRef } from './remote.ts'
import { ATTEMPTS, Passing, systemClock, withRetries } from './retry.ts'
import { makeFolder } from '../disk/make-folder.ts'
import { syncFolders } from '../disk/replace.ts'
import { unfinishedName, writerOf } from '../disk/unfinished.ts'

/** As in Python. */
const INCOMPLETE = '.incomplete'

/** Paths that are being written from here. */
const writing = new Set<string>()

/** Names of unfinished files may be guessed: where another user put a link, nothing is written to where it points. Windows has no such flag. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0

/** A file that only we can have written: no link, ours, and of no other name. */
function isOurs(found: Stats): boolean {
  const uid = process.getuid?.()
  return found.isFile() && found.nlink === 1 && (uid === undefined || found.uid === uid)
}

/** Takes over what a dead process of this machine, or a download that gave up, had of the same file; the rename decides who gets it. */
async function adopt(path: string, mine: string): Promise<FileHandle | undefined> {
  const names = await readdir(dirname(path)).catch(() => [])
  for (const name of names) {
    const left = join(dirname(path), name)
    const writer = writerOf(name, basename(path), INCOMPLETE)
    if (writer !== 'gone' && (writer !== 'us' || writing.has(left))) continue
    const found = await lstat(left).catch(() => undefined)
    if (!found || !isOurs(found)) continue
    const isTaken = await rename(left, mine).then(
      () => true,
      () => false,
    )
    if (!isTaken) continue
    const file = await open(mine, constants.O_RDWR | constants.O_APPEND | NO_FOLLOW).catch(() => undefined)
    // Another may have stood there when it was renamed.
    if (file && isOurs(await file.stat())) return file
    await file?.close()
    await rm(mine, { force: true })
  }
  return undefined
}

interface Sink {
  readonly path: string
  readonly meter: Meter
  readonly file: FileHandle
  got: number
  digest: ReturnType<typeof startDigest>
}

async function restart(sink: Sink, wanted: RemoteFile): Promise<void> {
  await sink.file.truncate(0)
  sink.got = 0
  sink.digest = startDigest(wanted.digest, wanted.size)
}

/** What is there already counts as received, if it is not too much. */
async function openSink(path: string, beside: string, wanted: RemoteFile, meter: Meter): Promise<Sink> {
  await makeFolder(dirname(path))
  const { O_RDWR, O_APPEND, O_CREAT, O_EXCL } = constants
  const file = (await adopt(path, beside)) ?? (await open(beside, O_RDWR | O_APPEND | O_CREAT | O_EXCL | NO_FOLLOW))
  const sink: Sink = { path: beside, file, meter, got: 0, digest: startDigest(wanted.digest, wanted.size) }
  for await (const part of file.createReadStream({ start: 0, autoClose: false })) {
    sink.digest.update(part as Buffer)
    sink.got += (part as Buffer).length
  }
  if (sink.got > wanted.size) await restart(sink, wanted)
  return sink
}

/** An abort signal that fires after `ms` without a call to `touch`. */
function idleTimer(ms: number): { signal: AbortSignal; touch(): void; stop(): void } {
  const controller = new AbortController()
  const fire = (): void => controller.abort(new DOMException('timed out', 'TimeoutError'))
  let timer = setTimeout(fire, ms)
  return {
    signal: controller.signal,
    touch: () => {
      clearTimeout(timer)
      timer = setTimeout(fire, ms)
    },
    stop: () => clearTimeout(timer),
  }
}

const unwritten = ({ path }: Pick<Sink, 'path'>, cause: unknown): HubError =>
  new HubError('hub-disk', `Cannot write ${path}: ${cause instanceof Error ? cause.message : String(cause)}. Make room, or set HF_HOME.`, {
    cause,
  })

/** A part that is not there any more is asked for from its start. */
const refusedPart = (status: number, error: HubError): HubError =>
  status === 416 ? new Passing(error.code, error.message, { facts: error.facts }) : error

async function receive(access: HubAccess, url: string, wanted: RemoteFile, sink: Sink, onBytes: (count: number) => void): Promise<void> {
  const timeoutMs = access.timeoutMs ?? TIMEOUT_MS
  const idle = idleTimer(timeoutMs)
  const following = follow([access.signal, idle.signal])
  try {
    const headers = new Headers({ 'accept-encoding': 'identity' })
    // fetch itself drops this header when it is redirected to another host.
    if (access.token !== undefined) headers.set('authorization', bearer(access.token))
    if (sink.got > 0) headers.set('range', `bytes=${sink.got}-`)
    const response = await (access.fetch ?? fetch)(url, { headers, signal: following.signal })
    following.hold(response)
    if (response.status === 416) await restart(sink, wanted)
    if (!response.ok) throw refusedPart(response.status, await readRefusal(response, 'GET', url, access))
    const resumed = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${sink.got}-`) === true
    if (sink.got > 0 && !resumed) await restart(sink, wanted)
    sink.meter.begin()
    for await (const part of response.body ?? []) {
      idle.touch()
      sink.meter.came(part.length)
      if (sink.meter.isSlow())
        throw new Passing(
          'hub-slow',
          `${shownUrl(url)} sends so slowly that ${wanted.path} would not come in any sensible time; try again later.`,
        )
      if (sink.got + part.length > wanted.size) {
        await restart(sink, wanted)
        throw new Passing('hub-corrupt', `${shownUrl(url)} sent more than the ${wanted.size} bytes that the repository lists.`)
      }
      // Unlike write, this never stops half-way without a word.
      await sink.file.appendFile(part).catch((cause: unknown) => {
        throw unwritten(sink, cause)
      })
      sink.digest.update(part)
      sink.got += part.length
      onBytes(part.length)
    }
  } catch (error) {
    throw transportError(error, url, access.signal, timeoutMs)
  } finally {
    following.stop()
    idle.stop()
  }
}

/**
 * Downloads a file of a commit to `path`; when it returns, every byte was verified.
 * @param onBytes told of each part that arrives
 * @throws {HubError} `hub-truncated` | `hub-corrupt` | `hub-unreachable` | …
 */
export async function download(
  access: HubAccess,
  repo: RepoRef,
  commit: string,
  wanted: RemoteFile,
  path: string,
  onBytes: (count: number) => void,
): Promise<void> {
  const folder = repo.type === 'model' ? '' : 'datasets/'
  const url = `${access.hubUrl}/${folder}${repo.name}/resolve/${commit}/${wanted.path.split('/').map(encodeURIComponent).join('/')}`
  const { clock = systemClock } = access
  const beside = unfinishedName(path, INCOMPLETE)
  writing.add(beside)
  const sink = await openSink(path, beside, wanted, startMeter(clock, url, wanted.size)).catch((cause: unknown) => {
    writing.delete(beside)
    throw unwritten({ path }, cause)
  })
  let most = sink.got
  const moved = (): boolean => sink.got >= most + progressBytes(wanted.size) && (most = sink.got) > 0
  const attempt = async (): Promise<void> => {
    if (sink.got < wanted.size) await receive(access, url, wanted, sink, onBytes)
    if (sink.got < wanted.size)
      throw new Passing('hub-truncated', `${shownUrl(url)} ended after ${sink.got} of ${wanted.size} bytes; try again.`)
    const hex = sink.digest.hex()
    if (hex === wanted.digest.hex) return
    await restart(sink, wanted)
    throw new Passing(
      'hub-corrupt',
      `${shownUrl(url)} sent other bytes than the repository lists (${wanted.digest.algorithm} ${hex}, expected ${wanted.digest.hex}); they were thrown away. Check proxies, then try again.`,
    )
  }
  try {
    const { attempts = ATTEMPTS, signal, patience } = access
    await withRetries(attempt, { clock, attempts, signal, moved, patience })
    await sink.file.sync()
    await sink.file.close()
    await rename(beside, path)
    await syncFolders([dirname(path)])
  } catch (error) {
    await sink.file.close().catch(() => {})
    // What came is kept for the next pull, which verifies it with the rest; a full disk is not kept full.
    const coded = error instanceof HubError || access.signal?.aborted ? error : unwritten({ path }, error)
    if (sink.got === 0 || (coded instanceof HubError && coded.code === 'hub-disk')) await rm(beside, { force: true })
    throw coded
  } finally {
    writing.delete(beside)
  }
}
