/** What a run keeps on disk, in `checkpoint/` of its folder: what it was started with, the state (of all prompts, where several train together), replaced in one rename, and the log, appended. An artifact beside it stays whole meanwhile. */
import { appendFile, readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, DiskError } from '../../src/errors.ts'
import { parseCheckpoint, formatCheckpoint } from '../../src/train/checkpoint.ts'
import type { LogLine } from '../../src/train/events.ts'
import type { TrainState } from '../../src/train/state.ts'
import { diskError, reasonOf } from '../disk/errors.ts'
import { holderOf, tryLock, type Lock } from '../disk/lock.ts'
import { makeFolder } from '../disk/make-folder.ts'
import { exists, readIfThere, readText } from '../disk/read.ts'
import { sha256 } from '../hub/digest.ts'
import { formatKeptRun, parseKeptRun, type KeptRun } from './kept-run.ts'
import { replaceFile } from '../disk/replace.ts'

/** What writes throws `lock-lost` where another run has taken the folder since. */
export interface RunFolder {
  /** The state to go on from; undefined for a new run. */
  readonly saved: readonly TrainState[] | undefined
  /** What the run that goes on was started with; undefined for a new run, and where it is not there. */
  readonly kept: KeptRun | undefined
  /** From here on what another run left is gone, and this one's start is kept. */
  begin(lanes: number, run: KeptRun): Promise<void>
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

const remove = (path: string): Promise<void> =>
  rm(path, { force: true }).catch((cause: unknown) => {
    throw diskError(path, cause)
  })

/** Files in `checkpoint/`. */
const STATE = 'state.safetensors'
const RUN = 'run.json'

interface RunFolderOptions {
  readonly resume?: boolean
  readonly overwrite?: boolean
}

/** Removes folders made for a run that did not begin; what holds anything stays. @param made from the top */
async function removeEmpty(made: readonly string[]): Promise<void> {
  for (const dir of made.toReversed()) {
    const isGone = await rmdir(dir).then(
      () => true,
      () => false,
    )
    if (!isGone) return
  }
}

/**
 * Opens the folder of a run: with `resume` where it stopped, else empty. One run at a time writes there; nothing there is changed before it begins.
 * @throws {ConfigError} `out-busy` where another run writes there; `out-write`; `out-not-empty` where one has ended and neither `resume` nor `overwrite` is set; `run-write` for a full disk, in what it returns.
 * @throws {FormatError} `checkpoint-damaged` | `checkpoint-old` | `checkpoint-format`
 */
export async function openRunFolder(dir: string, options: RunFolderOptions): Promise<RunFolder> {
  const folder = join(dir, 'checkpoint')
  const path = join(folder, 'run.lock')
  const unusable = (cause: unknown): never => {
    throw new ConfigError('out-write', `${dir} cannot be written (${reasonOf(cause)}). Choose another folder.`, { cause })
  }
  const made = await makeFolder(folder).catch(unusable)
  const lock = await tryLock(path).catch(unusable)
  if (!lock) {
    const holder = await holderOf(path)
    const who = holder ? `process ${holder.pid} on ${holder.host}` : 'it ends just now'
    throw new ConfigError(
      'out-busy',
      `Another run (${who}) trains into ${dir}. Wait for it, stop it, or choose another folder. One that was killed on another machine, or in another container, holds it for half a minute.`,
      { facts: { dir } },
    )
  }
  const close = async (): Promise<void> => {
    await lock.release()
    await removeEmpty(made)
  }
  try {
    return { ...(await openHeld(dir, folder, options, lock)), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** What the run in a folder was started with, where that is there and undamaged. */
export async function readKeptRun(dir: string): Promise<KeptRun | undefined> {
  const path = join(dir, 'checkpoint', RUN)
  const text = await readText(path)
  return text === undefined ? undefined : parseKeptRun(text, path)
}

/** The state and the start of the run that lies in a folder. */
async function readRun(folder: string): Promise<Pick<RunFolder, 'saved' | 'kept'>> {
  const [statePath, keptPath] = [join(folder, STATE), join(folder, RUN)]
  const [state, kept] = [await readIfThere(statePath), await readText(keptPath)]
  return {
    saved: state && parseCheckpoint(state, sha256, statePath),
    kept: kept === undefined ? undefined : parseKeptRun(kept, keptPath),
  }
}

async function openHeld(
  dir: string,
  folder: string,
  { resume, overwrite }: RunFolderOptions,
  lock: Lock,
): Promise<Omit<RunFolder, 'close'>> {
  const path = join(folder, STATE)
  let logs = 1
  const logPath = (lane: number): string => join(folder, logs === 1 ? 'training_log.jsonl' : `training_log-${lane}.jsonl`)
  if (!resume && !overwrite && (await exists(path))) {
    throw new ConfigError(
      'out-not-empty',
      `${dir} holds a run already. Go on with it (--resume), replace it (--overwrite), or choose another folder.`,
      {
        facts: { dir },
      },
    )
  }
  const { saved, kept } = resume ? await readRun(folder) : {}
  // A run that stood still may have lost the folder to another machine's.
  return {
    saved,
    kept,
    begin: async (lanes, run) => {
      await lock.check()
      logs = lanes
      // A start without a state is a run that has not stored any; the reverse would be another's state.
      if (!saved) await resumable(remove(path))
      await write(join(folder, RUN), new TextEncoder().encode(formatKeptRun(run)))
      for (let lane = 0; lane < lanes; lane++) {
        const lines = saved ? linesUpTo(await readIfThere(logPath(lane)), saved[lane]?.step ?? 0) : ''
        await write(logPath(lane), new TextEncoder().encode(lines))
      }
    },
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
