/** What a run keeps on disk, in `checkpoint/` of its folder: the state (of all prompts, where several train together), replaced in one rename, and the log, appended. An artifact beside it stays whole meanwhile. */
import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, DiskError, MismatchError } from '../../src/errors.ts'
import { parseCheckpoint, formatCheckpoint } from '../../src/train/checkpoint.ts'
import type { LogLine } from '../../src/train/events.ts'
import type { TrainState } from '../../src/train/state.ts'
import { reasonOf } from '../disk/errors.ts'
import { holderOf, tryLock, type Lock } from '../disk/lock.ts'
import { readIfThere } from '../disk/read.ts'
import { sha256 } from '../hub/digest.ts'
import { replaceFile } from '../disk/replace.ts'

/** What writes throws `lock-lost` where another run has taken the folder since. */
export interface RunFolder {
  /** The state to go on from; undefined for a new run. */
  readonly saved: readonly TrainState[] | undefined
  save(states: readonly TrainState[]): Promise<void>
  log(lane: number, line: LogLine): Promise<void>
  /** Copies the log of a prompt to this path, beside its artifact. */
  publishLog(lane: number, path: string): Promise<void>
  /** Leaves the folder to other runs. */
  close(): Promise<void>
}

const unwritten = (path: string, cause: unknown): ConfigError =>
  new ConfigError(
    'run-write',
    `${path} cannot be written (${reasonOf(cause)}). The last checkpoint is whole: make room, then go on with --resume.`,
    { cause },
  )

/**
 * What writes files of a run; where the disk refuses, the message says how to go on.
 * @throws {ConfigError} `run-write`, and what `work` throws
 */
export function resumable<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    throw cause instanceof DiskError && cause.code === 'disk-write' ? unwritten(String(cause.facts['path']), cause) : cause
  })
}

const write = (path: string, bytes: Uint8Array): Promise<void> => resumable(replaceFile(path, bytes))

interface RunFolderOptions {
  readonly resume?: boolean
  readonly overwrite?: boolean
}

/**
 * Opens the folder of a run: with `resume` where it stopped, else empty. One run at a time writes there.
 * @throws {ConfigError} `out-busy` where another run writes there; `out-write`; `out-not-empty` where one has ended and neither `resume` nor `overwrite` is set; `run-write` for a full disk, here and in what it returns.
 */
export async function openRunFolder(dir: string, lanes: number, options: RunFolderOptions): Promise<RunFolder> {
  const path = join(dir, 'checkpoint', 'run.lock')
  const lock = await tryLock(path).catch((cause: unknown) => {
    throw new ConfigError('out-write', `${dir} cannot be written (${reasonOf(cause)}). Choose another folder.`, { cause })
  })
  if (!lock) {
    const holder = await holderOf(path)
    const who = holder ? `process ${holder.pid} on ${holder.host}` : 'it ends just now'
    throw new ConfigError(
      'out-busy',
      `Another run (${who}) trains into ${dir}. Wait for it, stop it, or choose another folder. One that was killed on another machine, or in another container, holds it for half a minute.`,
      { facts: { dir } },
    )
  }
  try {
    return { ...(await openHeld(dir, lanes, options, lock)), close: () => lock.release() }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function openHeld(dir: string, lanes: number, options: RunFolderOptions, lock: Lock): Promise<Omit<RunFolder, 'close'>> {
  const folder = join(dir, 'checkpoint')
  const path = join(folder, 'state.safetensors')
  const logPath = (lane: number): string => join(folder, lanes === 1 ? 'training_log.jsonl' : `training_log-${lane}.jsonl`)
  const bytes = await readIfThere(path)
  if (bytes && !options.resume && !options.overwrite) {
    throw new ConfigError(
      'out-not-empty',
      `${dir} holds a run already. Go on with it (--resume), replace it (--overwrite), or choose another folder.`,
      {
        facts: { dir },
      },
    )
  }
  const saved = bytes && options.resume ? parseCheckpoint(bytes, sha256, path) : undefined
  if (!saved) await rm(path, { force: true })
  if (saved && saved.length !== lanes) {
    throw new MismatchError(
      'resume-mismatch',
      `The checkpoint in ${dir} is of ${saved.length} prompts trained together, this run is of ${lanes}. Resume with as many seeds, or train anew into another folder.`,
      { facts: { saved: saved.length, lanes } },
    )
  }
  for (let lane = 0; lane < lanes; lane++) {
    const lines = saved ? linesUpTo(await readIfThere(logPath(lane)), saved[lane]?.step ?? 0) : ''
    await write(logPath(lane), new TextEncoder().encode(lines))
  }
  // A run that stood still may have lost the folder to another machine's.
  return {
    saved,
    save: async (states) => {
      await lock.check()
      await write(path, formatCheckpoint(states, sha256))
    },
    publishLog: async (lane, to) => {
      await lock.check()
      await write(to, await readFile(logPath(lane)))
    },
    log: async (lane, line) => {
      await lock.check()
      await appendFile(logPath(lane), `${JSON.stringify(line)}\n`).catch((cause: unknown) => {
        throw unwritten(logPath(lane), cause)
      })
    },
  }
}

/** Lines past the checkpoint will be written again; one cut by a crash goes with them. */
function linesUpTo(bytes: Uint8Array | undefined, step: number): string {
  const lines = new TextDecoder().decode(bytes ?? new Uint8Array()).split('\n')
  return lines
    .filter((line) => {
      try {
        return (JSON.parse(line) as LogLine).step <= step
      } catch {
        return false
      }
    })
    .map((line) => `${line}\n`)
    .join('')
}
