/**
 * Which process wrote something, and whether it still lives. A number alone does not tell: after a restart, in a container above all, ours may be that of
 * the dead. Where Linux's /proc is there, a process is its number, when it began, and where that number means it: this boot, this space of numbers (each
 * container has its own). Source of the fields: proc(5).
 */
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, uptime } from 'node:os'

/** Of a longer name the end, where names of pods and containers differ: file names have room for 255 letters. */
const HOST_LETTERS = 24
/** Letters of a digest, enough to tell the boots and containers of one host apart. */
const SPACE_LETTERS = 8

export interface Process {
  readonly pid: number
  readonly host: string
  /** When it began, the same in all of its threads. */
  readonly start: string
  /** Where its number means it; absent where the system does not say. */
  readonly space?: string
}

/** What `/proc` says; undefined where there is none, or another user may not look. */
function proc<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

interface Life {
  /** Ticks since the boot. */
  readonly start: string
  /** Its number is kept until somebody asks how it ended, which in a container without an init nobody may ever do. */
  readonly isEnded: boolean
}

/** A process of this space; the name that stands before its fields may hold blanks and brackets. */
const lifeOf = (pid: number | 'self'): Life | undefined =>
  proc(() => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
    return { start: Number(fields[19]).toString(36), isEnded: /^[ZX]$/.test(fields[0] ?? '') }
  })

const spaceOf = (): string | undefined =>
  proc(() => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return createHash('sha256')
      .update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
      .digest('hex')
      .slice(0, SPACE_LETTERS)
  })

let known: Process | undefined

/** The host's name may change while we run: to the others we stay who we were. */
export function thisProcess(): Process {
  if (known) return known
  const space = spaceOf()
  const start = space === undefined ? undefined : lifeOf('self')?.start
  known = {
    pid: process.pid,
    host: hostname().replace(/\W/g, '_').slice(-HOST_LETTERS),
    start: start ?? Math.round(performance.timeOrigin).toString(36),
    ...(space === undefined || start === undefined ? {} : { space }),
  }
  return known
}

/** Whether a process's number means the same here as where it was written: of others nothing can be known. */
export function isHere({ host, space }: Process, us: Process = thisProcess()): boolean {
  return host === us.host && space === us.space
}

/**
 * Whether a process of this machine is known to be gone. Of other machines, and of other containers, nothing is known.
 * @param seenMs when it was last seen, milliseconds since 1970: before the machine was started tells where the system does not say when a process began
 */
export function isGone(other: Process, seenMs: number = Infinity, us: Process = thisProcess()): boolean {
  if (!isHere(other, us)) return false
  const { pid, start, space } = other
  if (pid === us.pid) return start !== us.start
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return true
  }
  // Its number may have been given to another since.
  if (space === undefined) return seenMs < Date.now() - 1000 * uptime()
  const now = lifeOf(pid)
  return now !== undefined && (now.start !== start || now.isEnded)
}

/** `MACHINE-PID-START-SPACE`, in letters that any file may have in its name. */
export const formatProcess = ({ pid, host, start, space }: Process): string =>
  `${host}-${pid}-${start}${space === undefined ? '' : `-${space}`}`

/** The process of such a text, if it is one. */
export function parseProcess(text: string): Process | undefined {
  const [, host, pid, start, space] = /^(\w+)-([1-9]\d{0,9})-([0-9a-z]+)(?:-([0-9a-z]+))?$/.exec(text) ?? []
  if (host === undefined || pid === undefined || start === undefined) return undefined
  return { pid: Number(pid), host, start, ...(space === undefined ? {} : { space }) }
}
