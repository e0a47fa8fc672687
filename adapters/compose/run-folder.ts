/** What a run keeps on disk, in `checkpoint/` of its folder: what it was started with, the state (of all prompts, where several train together), replaced in one rename, and the log, appended. An artifact beside it stays whole meanwhile. */
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, DiskError } from '../../src/errors.ts'
import { parseCheckpoint, formatCheckpoint } from '../../src/train/checkpoint.ts'
import type { LogLine } from '../../src/train/events.ts'
import type { TrainState } from '../../src/train/state.ts'
import { LOG_FILE } from '../artifact/artifact.ts'
import { diskError, reasonOf } from '../disk/errors.ts'
import { holderOf, tryLock, type Lock } from '../disk/lock.ts'
import { makeFolder } from '../disk/make-folder.ts'
import { exists, readIfThere, readText } from '../disk/read.ts'
import { sha256 } from '../hub/digest.ts'
import { replaceFile } from '../disk/replace.ts'
import { formatKeptRun, parseKeptRun, type KeptRun } from './kept-run.ts'
import { newRunLog, openRunLog, type RunLog } from './run-log.ts'

/** What writes throws `lock-lost` where another run has taken the folder since. */
export interface RunFolder {
  /** The state to go on from; undefined for a new run. */
  readonly saved: readonly TrainState[] | undefined
  /** What the run that goes on was started with; undefined for a new run, and where it is not there. */
  readonly kept: KeptRun | undefined
  /** Logs of the run that goes on which are not there: they begin again where it stands. */
  readonly lostLogs: readonly string[]
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

/** The log of one of so many prompts that train together. */
const logPath = (folder: string, lane: number, lanes: number): string =>
  join(folder, lanes === 1 ? LOG_FILE : LOG_FILE.replace('.', `-${lane}.`))

/** A run as it lies in its folder. */
interface StoredRun extends Pick<RunFolder, 'saved' | 'kept'> {
  /** One for each state. */
  readonly logs: readonly RunLog[]
}

/** Reads the run in a folder and changes nothing there. */
async function readRun(folder: string): Promise<StoredRun> {
  const [statePath, keptPath] = [join(folder, STATE), join(folder, RUN)]
  const [state, kept] = [await readIfThere(statePath), await readText(keptPath)]
  const stored = state && parseCheckpoint(state, sha256, statePath)
  const logs = stored?.logs.map((sealed, lane, { length }) => openRunLog(logPath(folder, lane, length), sealed)) ?? []
  return {
    saved: stored?.states,
    kept: kept === undefined ? undefined : parseKeptRun(kept, keptPath),
    logs: await Promise.all(logs),
  }
}

/**
 * The work on a folder that is held. Written are first the logs, each line as it comes, then the state that says how long they were; a run that goes on cuts them to that.
 * So at any moment the state in place is of logs that are at least as long: a kill leaves lines behind their sealed part, which the run writes again, and never lacks any.
 */
async function openHeld(
  dir: string,
  folder: string,
  { resume, overwrite }: RunFolderOptions,
  lock: Lock,
): Promise<Omit<RunFolder, 'close'>> {
  const path = join(folder, STATE)
  if (!resume && !overwrite && (await exists(path))) {
    throw new ConfigError(
      'out-not-empty',
      `${dir} holds a run already. Go on with it (--resume), replace it (--overwrite), or choose another folder.`,
      {
        facts: { dir },
      },
    )
  }
  const { saved, kept, logs: stored }: StoredRun = resume ? await readRun(folder) : { saved: undefined, kept: undefined, logs: [] }
  let logs: readonly RunLog[] = []
  const logOf = (lane: number): RunLog => logs[lane] as RunLog
  const writeState = (states: readonly TrainState[]): Promise<void> =>
    write(path, formatCheckpoint({ states, logs: logs.map((log) => log.sealed()) }, sha256))
  // A run that stood still may have lost the folder to another machine's.
  return {
    saved,
    kept,
    lostLogs: stored.filter(({ isLost }) => isLost).map((log) => log.path),
    begin: async (lanes, run) => {
      await lock.check()
      // A start without a state is a run that has not stored any; the reverse would be another's state. Without a state, no log is held to any.
      if (!saved) await resumable(remove(path))
      await write(join(folder, RUN), new TextEncoder().encode(formatKeptRun(run)))
      logs = saved ? stored : Array.from({ length: lanes }, (_, lane) => newRunLog(logPath(folder, lane, lanes)))
      // The state has to know that a log begins again before the log does.
      if (saved && logs.some(({ isLost }) => isLost)) await writeState(saved)
      for (const log of logs) await resumable(log.begin())
    },
    save: async (states) => {
      await lock.check()
      // After its last line no prompt takes another step before this is done, so the logs end where the states stand.
      for (const log of logs) await resumable(log.flush())
      await writeState(states)
    },
    publishLog: async (lane, to) => {
      await lock.check()
      await write(to, await logOf(lane).read())
    },
    log: async (lane, line) => {
      await lock.check()
      await resumable(logOf(lane).append(line))
    },
  }
}
