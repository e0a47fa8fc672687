/** Parts of weight files, read where they lie: all that was asked for, or an error; a file may have become shorter since its header was read. */
import type * as FileSystem from 'node:fs'
import { FormatError, UnsupportedError } from '../../src/errors.ts'

/** `length` bytes from `offset`. */
export interface Range {
  readonly offset: number
  readonly length: number
}

/** Without an import, so that bundlers for browsers find nothing of Node. @throws {UnsupportedError} `path-no-node` */
function fileSystem(): typeof FileSystem {
  const get = (globalThis as { process?: Partial<NodeJS.Process> }).process?.getBuiltinModule
  if (get) return get('node:fs')
  throw new UnsupportedError('path-no-node', 'Weights can be read from files in Node only; here give their bytes.')
}

const truncated = (path: string, { offset, length }: Range, got: number): FormatError =>
  new FormatError(
    'weights-truncated',
    `${path} ends within a weight: of ${length} bytes from ${offset} on it has ${got}. It was cut or replaced; fetch it again.`,
    { facts: { path, offset, length, got } },
  )

/**
 * Bytes of a file.
 * @throws {FormatError} `weights-truncated` where it has fewer; {UnsupportedError} `path-no-node`
 */
export async function readRange(path: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const file = await fileSystem().promises.open(path)
  try {
    const bytes = new Uint8Array(length)
    let got = 0
    while (got < length) {
      const { bytesRead } = await file.read(bytes, got, length - got, offset + got)
      if (bytesRead === 0) throw truncated(path, { offset, length }, got)
      got += bytesRead
    }
    return bytes
  } finally {
    await file.close()
  }
}

/**
 * Several ranges of a file, opened once; behind one another in one array.
 * @throws {FormatError} `weights-truncated` where it has fewer bytes; {UnsupportedError} `path-no-node`
 */
export function readRangesSync(path: string, ranges: readonly Range[]): Uint8Array<ArrayBuffer> {
  const { openSync, closeSync } = fileSystem()
  const bytes = new Uint8Array(ranges.reduce((sum, { length }) => sum + length, 0))
  const file = openSync(path, 'r')
  try {
    let at = 0
    for (const range of ranges) {
      fill(file, path, range, bytes.subarray(at, at + range.length))
      at += range.length
    }
    return bytes
  } finally {
    closeSync(file)
  }
}

function fill(file: number, path: string, range: Range, into: Uint8Array): void {
  const { readSync } = fileSystem()
  for (let got = 0; got < range.length;) {
    const read = readSync(file, into, got, range.length - got, range.offset + got)
    if (read === 0) throw truncated(path, range, got)
    got += read
  }
}
