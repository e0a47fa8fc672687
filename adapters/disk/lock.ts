/**
 * One process at a time downloads a blob, serves a hub's folder, trains into a folder. A lock is a file made with O_EXCL that names its process. For downloads
 * it saves bandwidth only: that no half or mixed file is ever seen rests on unique names, digests and rename.
 */
import { hostname } from 'node:os'
import { mkdir, open, rm, stat, utimes } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing, readText } from './read.ts'
import { isAlive } from './unfinished.ts'

/** A lock of another machine that was not touched for so long is taken to be dead. */
const STALE_MS = 30_000
/** One that names nobody after so long was made by a process that died before it had written its name. */
const NAMELESS_MS = 1_000
const BEAT_MS = 5_000
const POLL_MS = 50

const nameOf = (pid: number, host: string): string => `${pid} ${host}\n`

/** Who holds a lock; nobody does while it is being taken. */
export async function holderOf(path: string): Promise<{ pid: number; host: string } | undefined> {
  const [, pid, host] = /^(\d+) (.+)\n$/.exec((await readText(path)) ?? '') ?? []
  return pid === undefined || host === undefined ? undefined : { pid: Number(pid), host }
}

interface Clock {
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Locks of this process. */
const held = new Set<string>()

async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    held.add(resolve(path))
    try {
      await file.writeFile(nameOf(process.pid, hostname()))
    } catch (error) {
      // A lock that names nobody would hold up everybody for a while.
      await giveBack(path)
      throw error
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function isDead(path: string): Promise<boolean> {
  try {
    const holder = await holderOf(path)
    const isOurMachine = holder?.host === hostname()
    // After a restart (in a container above all) our own number may be that of the dead.
    if (isOurMachine && !(holder.pid === process.pid ? held.has(resolve(path)) : isAlive(holder.pid))) return true
    return Date.now() - (await stat(path)).mtimeMs > (holder ? STALE_MS : NAMELESS_MS)
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

async function giveBack(path: string): Promise<void> {
  await rm(path, { force: true })
  held.delete(resolve(path))
}

/** One process at a time clears a dead lock away: another would take the lock that was made since with it. */
async function takeFromDead(path: string): Promise<boolean> {
  if (!(await isDead(path))) return false
  const clearing = `${path}.clearing`
  if (!(await take(clearing))) {
    if (await isDead(clearing)) await rm(clearing, { force: true })
    return false
  }
  try {
    if (await isDead(path)) await rm(path, { force: true })
    return await take(path)
  } finally {
    await giveBack(clearing)
  }
}

/** Takes the lock, a dead process's too; undefined where a living one holds it. @returns what gives it back */
export async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  await mkdir(dirname(path), { recursive: true })
  while (!(await take(path)) && !(await takeFromDead(path))) {
    if (await holderOf(path)) return undefined
    await sleep(POLL_MS)
  }
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), BEAT_MS)
  beat.unref()
  let isHeld = true
  return async () => {
    clearInterval(beat)
    // Given back twice, it may be another's by then.
    if (!isHeld) return
    isHeld = false
    await giveBack(path)
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
