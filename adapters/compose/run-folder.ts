/** What a run keeps on disk, in `checkpoint/` of its folder: the state, replaced in one rename, and the log, appended. An artifact beside it stays whole meanwhile. */
import { appendFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import { parseCheckpoint, formatCheckpoint } from '../../src/train/checkpoint.ts'
import type { LogLine } from '../../src/train/events.ts'
import type { TrainState } from '../../src/train/state.ts'

export interface RunFolder {
  /** The state to go on from; undefined for a new run. */
  readonly saved: TrainState | undefined
  save(state: TrainState): Promise<void>
  log(line: LogLine): Promise<void>
  /** Copies the log to its place beside the artifact, by this name. */
  publishLog(name: string): Promise<void>
}

const missing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return readFile(path).catch((error: unknown) => {
    if (missing(error)) return undefined
    throw error
  })
}

/** Writes beside, flushes to the disk, renames: a crash or a full disk at any point leaves the file before. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.tmp`
  try {
    const file = await open(beside, 'w')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (cause) {
    await rm(beside, { force: true })
    throw unwritten(path, cause)
  }
}

const unwritten = (path: string, cause: unknown): ConfigError =>
  new ConfigError(
    'run-write',
    `${path} cannot be written (${(cause as Error).message}). The last checkpoint is whole: make room, then go on with --resume.`,
    { cause },
  )

/**
 * Opens the folder of a run: with `resume` where it stopped, else empty.
 * @throws {ConfigError} `out-not-empty` where another run lies there and neither `resume` nor `overwrite` is set; `run-write` for a full disk, here and in what it returns.
 */
export async function openRunFolder(dir: string, options: { readonly resume?: boolean; readonly overwrite?: boolean }): Promise<RunFolder> {
  const folder = join(dir, 'checkpoint')
  const path = join(folder, 'state.safetensors')
  const logPath = join(folder, 'training_log.jsonl')
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
  const saved = bytes && options.resume ? parseCheckpoint(bytes, path) : undefined
  await mkdir(folder, { recursive: true })
  if (!saved) await rm(path, { force: true })
  await replaceFile(logPath, new TextEncoder().encode(saved ? linesUpTo(await readIfThere(logPath), saved.step) : ''))
  return {
    saved,
    save: (state) => replaceFile(path, formatCheckpoint(state)),
    publishLog: async (name) => replaceFile(join(dir, name), await readFile(logPath)),
    log: (line) =>
      appendFile(logPath, `${JSON.stringify(line)}\n`).catch((cause: unknown) => {
        throw unwritten(logPath, cause)
      }),
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
