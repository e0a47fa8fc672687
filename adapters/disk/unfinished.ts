/** Names of files that are being written: each says which process of which machine writes it, so that what a killed one left can be told. */
import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

const UNFINISHED = '.unfinished'

const machine = (): string => hostname().replace(/[^\w]/g, '_')

/** `PATH+MACHINE-PID-RANDOM.unfinished`, or another ending. No repository's and no branch's file has a `+` in its name. */
export function unfinishedName(path: string, ending: string = UNFINISHED): string {
  return `${path}+${machine()}-${process.pid}-${randomBytes(6).toString('hex')}${ending}`
}

export const isUnfinished = (name: string): boolean => /\+[\w-]*\.unfinished$/.test(name)

/** The process of this machine that writes `NAME+…ENDING`; undefined for other files and machines. */
export function writerOf(file: string, name: string, ending: string): number | undefined {
  const prefix = `${name}+${machine()}-`
  if (!file.startsWith(prefix) || !file.endsWith(ending)) return undefined
  const [pid = '', ...rest] = file.slice(prefix.length, -ending.length).split('-')
  return rest.length === 1 && /^[1-9]\d{0,9}$/.test(pid) ? Number(pid) : undefined
}

/** Whether a process of this machine lives. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Removes what killed processes of this machine left of `NAME`. */
export async function clearAbandoned(dir: string, name: string, ending: string = UNFINISHED): Promise<void> {
  for (const file of await readdir(dir).catch(() => [])) {
    const pid = writerOf(file, name, ending)
    if (pid !== undefined && !isAlive(pid)) await rm(join(dir, file), { recursive: true, force: true })
  }
}

/** Removes all that is unfinished in and below a folder; for one who is alone there. */
export async function sweep(dir: string): Promise<void> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  for (const name of names) if (isUnfinished(name)) await rm(join(dir, name), { recursive: true, force: true })
}
