/** Which process wrote something, and whether it still lives. A number alone does not tell: after a restart, in a container above all, ours may be that of the dead. */
import { hostname } from 'node:os'

/** Of a longer name the end, where names of pods and containers differ: file names have room for 255 letters. */
const HOST_LETTERS = 24

export interface Process {
  readonly pid: number
  readonly host: string
  /** When it began, the same in all of its threads. */
  readonly start: string
}

export const thisProcess = (): Process => ({
  pid: process.pid,
  host: hostname().replace(/\W/g, '_').slice(-HOST_LETTERS),
  start: Math.round(performance.timeOrigin).toString(36),
})

/** Whether a process of this machine is known to be gone. Of other machines nothing is known. */
export function isGone({ pid, host, start }: Process): boolean {
  const us = thisProcess()
  if (host !== us.host) return false
  if (pid === us.pid) return start !== us.start
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EPERM'
  }
}

/** `MACHINE-PID-START`, in letters that any file may have in its name. */
export const formatProcess = ({ pid, host, start }: Process): string => `${host}-${pid}-${start}`

/** The process of such a text, if it is one. */
export function parseProcess(text: string): Process | undefined {
  const [, host, pid, start] = /^(\w+)-([1-9]\d{0,9})-([0-9a-z]+)$/.exec(text) ?? []
  return host === undefined || pid === undefined || start === undefined ? undefined : { pid: Number(pid), host, start }
}
