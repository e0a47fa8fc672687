/**
 * One process at a time downloads a blob, serves a hub's folder, trains into a folder. A lock is a file made with O_EXCL that names its process. For downloads
 * it saves bandwidth only: that no half or mixed file is ever seen rests on unique names, digests and rename.
 */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { diskError } from './errors.ts'
import { makeFolder } from './make-folder.ts'
import { formatProcess, isGone, parseProcess, thisProcess, type Process } from './processes.ts'
import { isMissing, readText } from './read.ts'

/** A lock of another machine that was not touched for so long is taken to be dead. */
const STALE_MS = 30_000
/** One that names nobody after so long was made by a process that died before it had written its name. */
const NAMELESS_MS = 2_000
const BEAT_MS = 5_000
const POLL_MS = 50

/** Who holds a lock; nobody does while it is being taken. */
export async function holderOf(path: string): Promise<Process | undefined> {
  const text = (await readText(path)) ?? ''
  return text.endsWith('\n') ? parseProcess(text.trimEnd()) : undefined
}

interface Clock {
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Without a pause between making and naming it: another would take it for one that a dead process left. */
function take(path: string): boolean {
  let file: number
  try {
    file = openSync(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  try {
    writeFileSync(file, `${formatProcess(thisProcess())}\n`)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
  return true
}

async function isDead(path: string): Promise<boolean> {
  try {
    const holder = await holderOf(path)
    if (holder && isGone(holder)) return true
    return Date.now() - (await stat(path)).mtimeMs > (holder ? STALE_MS : NAMELESS_MS)
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

const remove = (path: string): Promise<void> => rm(path, { force: true })

/** One process at a time clears a dead lock away: another would take the lock that was made since with it. */
async function takeFromDead(path: string): Promise<boolean> {
  if (!(await isDead(path))) return false
  const clearing = `${path}.clearing`
  if (!take(clearing)) {
    if (await isDead(clearing)) await remove(clearing)
    return false
  }
  try {
    if (await isDead(path)) await remove(path)
    return take(path)
  } finally {
    await remove(clearing)
  }
}

/** Whether the lock is ours now: free, or a dead process's. */
async function takeOrTakeOver(path: string): Promise<boolean> {
  await makeFolder(dirname(path))
  while (!take(path) && !(await takeFromDead(path))) {
    if (await holderOf(path)) return false
    await sleep(POLL_MS)
  }
  return true
}

/**
 * Takes the lock, a dead process's too; undefined where a living one holds it.
 * @returns what gives it back
 * @throws {DiskError} `disk-write`
 */
export async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  const isTaken = await takeOrTakeOver(path).catch((cause: unknown) => {
    throw diskError(path, cause)
  })
  if (!isTaken) return undefined
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), BEAT_MS)
  beat.unref()
  let isHeld = true
  return async () => {
    clearInterval(beat)
    // Given back twice, it may be another's by then.
    if (!isHeld) return
    isHeld = false
    await remove(path)
  }
}

/** The lock as soon as it is free. */
async function waitForLock(path: string, clock: Clock, signal: AbortSignal | undefined): Promise<() => Promise<void>> {
  for (;;) {
    const release = await tryLock(path)
    if (release) return release
    await clock.sleep(POLL_MS, signal)
  }
}

/** Runs `work` while holding the lock file. */
export async function withLock<T>(path: string, clock: Clock, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const release = await waitForLock(path, clock, signal)
  try {
    return await work()
  } finally {
    await release()
  }
}
