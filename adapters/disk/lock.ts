/**
 * One process at a time downloads a blob, serves a hub's folder, trains into a folder. A lock is a file made with O_EXCL that names its process and this
 * holding of it. A living process of this machine keeps its lock however long it stands still (Ctrl+Z, a laptop asleep, one long native step). Of another
 * machine, and of another container (even one of the same host name), nothing is known but when it last touched the file: after `STALE_MS` it is taken to be
 * dead. It may have slept, so a holder asks `check` before each write that must be its own. For downloads a lock saves bandwidth only: that no half or mixed
 * file is ever seen rests on unique names, digests and rename.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { lstat, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DiskError } from '../../src/errors.ts'
import { diskError } from './errors.ts'
import { makeFolder } from './make-folder.ts'
import { formatProcess, isGone, isHere, parseProcess, thisProcess, type Process } from './processes.ts'
import { isMissing, readRegular } from './read.ts'

/** A lock of another machine that was not touched for so long is taken to be dead. */
const STALE_MS = 30_000
/** One that names nobody after so long was made by a process that died before it had written its name. */
const NAMELESS_MS = 2_000
const BEAT_MS = 5_000
const POLL_MS = 50

/** A lock that is ours. */
export interface Lock {
  /**
   * Before a write that only the holder may do. Nothing can stop a process between this and the write: what is written must be whole by itself.
   * @throws {DiskError} `lock-lost` where another took it, or it was removed
   */
  check(): Promise<void>
  /** Gives it back; what another has taken meanwhile stays that one's. */
  release(): Promise<void>
}

/** Who holds a lock; nobody does while it is being taken. */
export async function holderOf(path: string): Promise<Process | undefined> {
  const text = (await readRegular(path)) ?? ''
  return text.endsWith('\n') ? parseProcess(text.trimEnd().split(' ')[0] ?? '') : undefined
}

interface Clock {
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Without a pause between making and naming it: another would take it for one that a dead process left. */
function take(path: string, text: string): boolean {
  let file: number
  try {
    file = openSync(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  try {
    writeFileSync(file, text)
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
    // A link is no lock of ours, and may lead nowhere.
    const { mtimeMs } = await lstat(path)
    // Of the future where a clock was set back: nobody waits for that.
    if (holder === undefined) return Math.abs(Date.now() - mtimeMs) > NAMELESS_MS
    return isHere(holder) ? isGone(holder, mtimeMs) : Date.now() - mtimeMs > STALE_MS
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

const remove = (path: string): Promise<void> => rm(path, { force: true })

/** Who clears a dead lock away holds this one. */
const clearingOf = (path: string): string => `${path}.clearing`

/** One process at a time clears a dead lock away: another would take the lock that was made since with it. */
async function takeFromDead(path: string, text: string): Promise<boolean> {
  if (!(await isDead(path))) return false
  const clearing = clearingOf(path)
  if (!take(clearing, text)) {
    if (await isDead(clearing)) await remove(clearing)
    return false
  }
  try {
    if (await isDead(path)) await remove(path)
    return take(path, text)
  } finally {
    await remove(clearing)
  }
}

/** Whether a process that lives has it, or takes it from a dead one; a dead one's that another died clearing away is nobody's. */
async function isHeld(path: string): Promise<boolean> {
  if (!(await holderOf(path))) return false
  return !(await isDead(path)) || (await holderOf(clearingOf(path))) !== undefined
}

/** Whether the lock is ours now: free, or a dead process's. */
async function takeOrTakeOver(path: string, text: string): Promise<boolean> {
  await makeFolder(dirname(path))
  while (!take(path, text) && !(await takeFromDead(path, text))) {
    if (await isHeld(path)) return false
    await sleep(POLL_MS)
  }
  return true
}

/**
 * Takes the lock, a dead process's too; undefined where a living one holds it.
 * @throws {DiskError} `disk-write`
 */
export async function tryLock(path: string): Promise<Lock | undefined> {
  // One process may hold it twice, one after the other, or in two threads.
  const text = `${formatProcess(thisProcess())} ${randomBytes(6).toString('hex')}\n`
  const isTaken = await takeOrTakeOver(path, text).catch((cause: unknown) => {
    throw diskError(path, cause)
  })
  return isTaken ? held(path, text) : undefined
}

function held(path: string, text: string): Lock {
  const isOurs = async (): Promise<boolean> => (await readRegular(path)) === text
  const touch = async (): Promise<void> => {
    if (await isOurs()) await utimes(path, new Date(), new Date())
  }
  const beat = setInterval(() => void touch().catch(() => {}), BEAT_MS)
  beat.unref()
  return {
    check: async () => {
      if (await isOurs()) return
      const holder = await holderOf(path)
      const who = holder ? `process ${holder.pid} on ${holder.host} took it` : 'it was removed'
      throw new DiskError(
        'lock-lost',
        `The lock ${path} is no longer ours (${who} while this process stood still): nothing more is written. End the other one, or leave the folder to it.`,
        { facts: { path } },
      )
    },
    release: async () => {
      clearInterval(beat)
      if (await isOurs()) await remove(path)
    },
  }
}

/** The lock as soon as it is free; undefined where its holder lives and stands still. */
async function waitForLock(path: string, clock: Clock, signal: AbortSignal | undefined): Promise<Lock | undefined> {
  for (;;) {
    const lock = await tryLock(path)
    if (lock) return lock
    const beaten = await stat(path).catch(() => undefined)
    if (beaten && Date.now() - beaten.mtimeMs > STALE_MS) return undefined
    await clock.sleep(POLL_MS, signal)
  }
}

/**
 * Runs `work` while holding the lock file.
 * @throws {DiskError} `lock-busy` where its holder stands still; `disk-write`, and what `work` throws
 */
export async function withLock<T>(
  path: string,
  clock: Clock,
  signal: AbortSignal | undefined,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lock = await waitForLock(path, clock, signal)
  if (!lock) {
    const holder = await holderOf(path)
    throw new DiskError(
      'lock-busy',
      `The lock ${path} is held by a process that stands still (${holder?.pid ?? 'unknown'} on ${holder?.host ?? 'this machine'}): let it go on, or end it, then try again.`,
      { facts: { path } },
    )
  }
  try {
    return await work(lock)
  } finally {
    await lock.release()
  }
}

/** Runs `work` when others have done theirs, where that only spares the same work twice: nobody waits for one that stands still. */
export async function inTurn<T>(path: string, clock: Clock, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const lock = await waitForLock(path, clock, signal)
  try {
    return await work()
  } finally {
    await lock?.release()
  }
}
