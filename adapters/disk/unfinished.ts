/** Names of files that are being written: each says who writes it, so that what a killed process left can be told. */
import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatProcess, isGone, parseProcess, thisProcess } from './processes.ts'

const UNFINISHED = '.unfinished'

/** This module, in this thread: a process may have several threads, and several copies of this package. */
const ME = randomBytes(6).toString('hex')
let count = 0

/** `PATH+PROCESS.WRITER.COUNT.unfinished`, or another ending. No repository's and no branch's file has a `+` in its name. */
export function unfinishedName(path: string, ending: string = UNFINISHED): string {
  count += 1
  return `${path}+${formatProcess(thisProcess())}.${ME}.${count}${ending}`
}

export const isUnfinished = (name: string): boolean => /\+[\w.-]*\.unfinished$/.test(name)

/** Who writes `NAME+…ENDING`; undefined for other files. */
export function writerOf(file: string, name: string, ending: string): 'us' | 'another' | 'gone' | undefined {
  if (!file.startsWith(`${name}+`) || !file.endsWith(ending)) return undefined
  const [text = '', writer] = file.slice(name.length + 1, -ending.length).split('.')
  const found = parseProcess(text)
  if (found === undefined || writer === undefined) return undefined
  if (isGone(found)) return 'gone'
  return writer === ME ? 'us' : 'another'
}

/** Removes what killed processes of this machine left of `NAME`. */
export async function clearAbandoned(dir: string, name: string): Promise<void> {
  for (const file of await readdir(dir).catch(() => [])) {
    if (writerOf(file, name, UNFINISHED) === 'gone') await rm(join(dir, file), { recursive: true, force: true })
  }
}

/** Removes all that is unfinished in and below a folder; for one who is alone there. */
export async function sweep(dir: string): Promise<void> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  for (const name of names) if (isUnfinished(name)) await rm(join(dir, name), { recursive: true, force: true })
}
