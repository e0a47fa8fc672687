/** A data file of any kind we read, by its ending; `-` is JSON Lines on standard input. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Row } from '../../src/data/rows.ts'
import { DataError } from '../../src/errors.ts'
import { parseJsonLines } from './jsonl.ts'

type Reader = (path: string) => Promise<Row[]>

const delimited =
  (delimiter: ',' | '\t'): Reader =>
  async (path) =>
    (await import('./delimited.ts')).parseDelimited(await readText(path), path, delimiter)

const jsonLines: Reader = async (path) => parseJsonLines(await readText(path), path === '-' ? 'standard input' : path)

const READERS: Readonly<Record<string, Reader>> = {
  '-': jsonLines,
  jsonl: jsonLines,
  ndjson: jsonLines,
  csv: delimited(','),
  tsv: delimited('\t'),
  parquet: async (path) => (await import('./parquet.ts')).readParquet(path),
}

const kindOf = (path: string): string => (path === '-' ? '-' : (/\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ''))

/** Whether a file's ending says that it holds rows. */
export const holdsRows = (path: string): boolean => path !== '-' && Object.hasOwn(READERS, kindOf(path))

/**
 * Reads every row of a file: `.jsonl`, `.ndjson`, `.csv`, `.tsv`, `.parquet`, or `-` for JSON Lines on standard input.
 * @throws {DataError} `data-kind` | `data-missing` | `data-utf8` | `row-json` | `row-csv` | `row-parquet`
 */
export async function readRows(path: string): Promise<Row[]> {
  const kind = kindOf(path)
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined
  if (kind !== '-' && !existsSync(path))
    throw missing(
      path,
      /^https?:\/\//i.test(path)
        ? 'an address, where a file is needed: download it; a data set of the Hub is named by --dataset'
        : 'no such file',
    )
  if (!reader) {
    const known = Object.keys(READERS)
      .filter((ending) => ending !== '-')
      .map((ending) => `.${ending}`)
    throw new DataError(
      'data-kind',
      `${path}: cannot tell its format by its ending. Known: ${known.join(', ')}, or - for JSON Lines on standard input.`,
    )
  }
  return reader(path)
}

const missing = (path: string, why: string, cause?: unknown): DataError =>
  new DataError('data-missing', `${path}: cannot be read (${why}).`, { cause })

/** Standard input can be read once, and what it held asked for again: each prompt may read the rows by a template of its own. */
const held = new WeakMap<object, Promise<Uint8Array>>()

async function readAll(stream: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

async function readBytes(path: string): Promise<Uint8Array> {
  if (path !== '-') return readFile(path)
  const { stdin } = process
  const reading = held.get(stdin) ?? readAll(stdin)
  held.set(stdin, reading)
  return reading
}

export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException
    throw missing(path, code === 'ENOENT' ? 'no such file' : message, cause)
  })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new DataError('data-utf8', `${path}: not valid UTF-8. Save it as UTF-8.`, { cause })
  }
}
