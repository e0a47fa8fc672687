/** The log of one prompt while its run lasts: lines appended, and what they come to, so that a byte that changed on the disk is neither gone on with nor published. */
import { createHash } from 'node:crypto'
import { appendFile, open } from 'node:fs/promises'
import { FormatError } from '../../src/errors.ts'
import type { SealedLog } from '../../src/train/checkpoint.ts'
import type { LogLine } from '../../src/train/events.ts'
import { diskError } from '../disk/errors.ts'
import { readIfThere } from '../disk/read.ts'
import { replaceFile } from '../disk/replace.ts'
import { sha256 } from '../hub/digest.ts'

/** Writing throws {DiskError} `disk-write`. */
export interface RunLog {
  readonly path: string
  /** The run that goes on had lines, and its file is not there. */
  readonly isLost: boolean
  /** Writes what it begins with; what stood behind that is gone. */
  begin(): Promise<void>
  append(line: LogLine): Promise<void>
  /** Waits until its lines are on the disk itself: a state that is stored next outlives a power cut, so they have to. */
  flush(): Promise<void>
  /** What its lines come to. */
  sealed(): SealedLog
  /** All that was written. @throws {FormatError} `checkpoint-damaged` where the file is another */
  read(): Promise<Uint8Array>
}

const changed = (path: string, { sizeBytes }: SealedLog): FormatError =>
  new FormatError(
    'checkpoint-damaged',
    `${path} is damaged: its first ${sizeBytes} bytes are not those that the run wrote, so none of them is used or published. Put a copy in its place and go on (--resume). Without a copy, delete it and go on: the prompt will be the same, its log and its curve begin where the run stands.`,
    { facts: { path, sizeBytes } },
  )

/** The part of a log that was sealed. @throws {FormatError} `checkpoint-damaged` */
function sealedPart(bytes: Uint8Array, sealed: SealedLog, path: string): Uint8Array {
  const part = bytes.subarray(0, sealed.sizeBytes)
  if (part.length !== sealed.sizeBytes || sha256(part) !== sealed.sha256) throw changed(path, sealed)
  return part
}

/** A log that begins with these bytes. */
function runLog(path: string, first: Uint8Array, isLost: boolean): RunLog {
  const hash = createHash('sha256').update(first)
  let sizeBytes = first.length
  // Counted from what was meant to be written, not from what the file holds.
  const sealed = (): SealedLog => ({ sizeBytes, sha256: hash.copy().digest('hex') })
  const changing = <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: unknown) => {
      throw diskError(path, cause)
    })
  return {
    path,
    isLost,
    begin: () => replaceFile(path, first),
    append: async (line) => {
      const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`)
      await changing(appendFile(path, bytes))
      hash.update(bytes)
      sizeBytes += bytes.length
    },
    flush: () => changing(flush(path)),
    sealed,
    read: async () => sealedPart((await readIfThere(path)) ?? new Uint8Array(), sealed(), path),
  }
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'a')
  await file.sync().finally(() => file.close())
}

export const newRunLog = (path: string): RunLog => runLog(path, new Uint8Array(), false)

/**
 * The log of a run that goes on, as it was when the state was stored.
 * @throws {FormatError} `checkpoint-damaged`
 */
export async function openRunLog(path: string, sealed: SealedLog): Promise<RunLog> {
  const bytes = await readIfThere(path)
  if (bytes === undefined) return runLog(path, new Uint8Array(), sealed.sizeBytes > 0)
  return runLog(path, sealedPart(bytes, sealed, path), false)
}
