/** `prompts.lock.json`: the prompts and base models an app uses, by commit and sha256 of each file. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { filesBelow, readText } from '../disk/read.ts'
import { sha256 } from './digest.ts'
import { promptFileLimit } from './files.ts'
import { systemClock } from './retry.ts'

export interface LockedFile {
  readonly path: string
  readonly size: number
  readonly sha256: string
}

export interface Locked {
  /** What was asked for: branch, tag or commit. */
  readonly revision: string
  readonly commit: string
  readonly files: readonly LockedFile[] // by path
}

export interface Lock {
  readonly version: 1
  readonly prompts: Readonly<Record<string, Locked>>
  readonly models: Readonly<Record<string, Locked>>
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isFile = (file: unknown): boolean =>
  isObject(file) && typeof file['path'] === 'string' && Number.isSafeInteger(file['size']) && /^[0-9a-f]{64}$/.test(String(file['sha256']))

const isLocked = (value: unknown): boolean =>
  isObject(value) &&
  typeof value['revision'] === 'string' &&
  /^[0-9a-f]{40}$/.test(String(value['commit'])) &&
  Array.isArray(value['files']) &&
  value['files'].every(isFile)

/** @throws {HubError} `hub-lock-format` */
export function parseLock(text: string, where: string): Lock {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  const groups = isObject(value) && value['version'] === 1 ? [value['prompts'], value['models']] : []
  if (groups.length === 2 && groups.every((group) => isObject(group) && Object.values(group).every(isLocked))) return value as Lock
  throw new HubError('hub-lock-format', `${where} is not a lock file of version 1; pull without --frozen writes one.`)
}

const EMPTY: Lock = { version: 1, prompts: {}, models: {} }

/** The files of a prompt in a folder, with their digests. */
export async function describePrompt(dir: string): Promise<LockedFile[]> {
  const names = (await filesBelow(dir)).filter((path) => promptFileLimit(path) !== undefined)
  const described = names.map(async (path) => {
    const bytes = await readFile(join(dir, path))
    return { path, size: bytes.length, sha256: sha256(bytes) }
  })
  return Promise.all(described)
}

/** The lock; an empty one where there is no file. */
export async function readLock(path: string): Promise<Lock> {
  const text = await readText(path)
  return text === undefined ? EMPTY : parseLock(text, path)
}

/** The lock with one entry more or another one; keys sorted, so that diffs stay small. */
export function withLocked(lock: Lock, group: 'prompts' | 'models', repo: string, entry: Locked): Lock {
  const entries = Object.entries({ ...lock[group], [repo]: entry }).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { ...lock, [group]: Object.fromEntries(entries) }
}

/** Changes the file; one writer at a time, so that pulls side by side lose no entry. */
export async function writeLock(path: string, change: (lock: Lock) => Lock): Promise<void> {
  const [{ withLock }, { replaceFile }] = await Promise.all([import('../disk/lock.ts'), import('../disk/replace.ts')])
  await withLock(`${resolve(path)}.lock`, systemClock, undefined, async (held) => {
    const old = await readLock(path)
    const text = `${JSON.stringify(change(old), undefined, 2)}\n`
    if (text === `${JSON.stringify(old, undefined, 2)}\n`) return
    await held.check()
    await replaceFile(path, text)
  })
}

/**
 * The pinned entry of a prompt or model.
 * @throws {HubError} `hub-lock-missing` | `hub-lock-drift` where another revision is asked for
 */
export function checkLocked(
  lock: Lock,
  repo: string,
  revision: string | undefined,
  where: string,
  group: 'prompts' | 'models' = 'prompts',
): Locked {
  const locked = lock[group][repo]
  if (locked === undefined) {
    const how = group === 'prompts' ? 'pull it once with --save' : 'pull its prompt once with --save --base'
    throw new HubError('hub-lock-missing', `${where} does not pin ${repo}; ${how}.`)
  }
  if (revision === undefined || revision === locked.revision || revision === locked.commit) return locked
  throw new HubError(
    'hub-lock-drift',
    `${where} pins ${repo} at "${locked.revision}", not at "${revision}"; pull without --frozen to change that.`,
  )
}
