/** CSV and TSV to rows, by csv-parse: the first line names the fields. Read as pandas reads them, but for what pandas would lose in silence. */
import { parse } from 'csv-parse/sync'
import { DataError } from '../../src/errors.ts'
import type { Row } from '../../src/data/rows.ts'

type Delimiter = ',' | ';' | '\t'

interface Parsed {
  readonly record: string[]
  readonly info: { readonly lines: number }
}

/** Each ends a record, mixed in one file too: a file of two systems, or a header written by another program. */
const LINE_ENDS = ['\r\n', '\n', '\r']
/** A whole field in quotes, its own quotes doubled. */
const isQuoted = (field: string): boolean =>
  field.length > 1 && field.startsWith('"') && field.endsWith('"') && !field.slice(1, -1).replaceAll('""', '').includes('"')

/**
 * `.csv` whose header has no comma may be parted by `;` (a spreadsheet's habit where the comma is decimal) or by tabs.
 * @throws {DataError} `row-csv`, naming file and line; `row-columns` for a column named twice
 */
export function parseDelimited(text: string, name: string, kind: ',' | '\t'): Row[] {
  const records = kind === '\t' ? tabbed(text, name) : recordsOf(text, name, delimiterOf(text))
  const [header, ...rows] = records
  if (!header) return []
  const columns = header.record
  const twice = columns.find((column, index) => column !== '' && columns.indexOf(column) !== index)
  if (twice !== undefined) {
    throw new DataError('row-columns', `${name}:${header.info.lines}: two columns are called "${twice}". Rename one, or drop it.`, {
      facts: { column: twice },
    })
  }
  return rows.map(({ record, info }) => ({
    fields: Object.fromEntries(columns.map((column, index) => [column, record[index] ?? ''])),
    where: `${name}:${info.lines}`,
  }))
}

/** What parts the fields of a `.csv`, by its header. */
function delimiterOf(text: string): Delimiter {
  const header = /^[^\r\n]*/.exec(text.trimStart())?.[0].replaceAll(/"[^"]*"/g, '') ?? ''
  if (header.includes(',')) return ','
  return ([';', '\t'] as const).find((delimiter) => header.includes(delimiter)) ?? ','
}

/**
 * Some TSVs are written with quotes (pandas), some without (GLUE's). A file is one with quotes where every field that begins with one is wholly quoted,
 * or where only quotes explain its line ends and tabs.
 */
function tabbed(text: string, name: string): Parsed[] {
  const plain = attempt(() => unquotedRecords(text, name))
  if (plain instanceof DataError) {
    const quoted = attempt(() => recordsOf(text, name, '\t'))
    if (quoted instanceof DataError) throw plain
    return quoted
  }
  const begun = plain.flatMap(({ record }) => record.filter((field) => field.startsWith('"')))
  if (begun.length === 0) return plain
  if (begun.every(isQuoted)) return plain.map(({ record, info }) => ({ record: record.map(unquoted), info }))
  const quoted = plain[0]?.record.length === 1 ? attempt(() => recordsOf(text, name, '\t')) : plain
  return quoted instanceof DataError ? plain : quoted
}

const unquoted = (field: string): string => (field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field)

/** Every tab parts, every line end ends, and quotes are characters like others. */
function unquotedRecords(text: string, name: string): Parsed[] {
  const records: Parsed[] = []
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    if (line === '') continue
    const record = line.split('\t')
    const [expected, lines] = [records[0]?.record.length ?? record.length, index + 1]
    if (record.length !== expected) {
      throw new DataError(
        'row-csv',
        `${name}:${lines}: ${record.length} fields, the header has ${expected}. Expected as many in every line, parted by tabs.`,
        {
          facts: { where: `${name}:${lines}` },
        },
      )
    }
    records.push({ record, info: { lines } })
  }
  return records
}

function attempt<T>(act: () => T): T | DataError {
  try {
    return act()
  } catch (error) {
    if (error instanceof DataError) return error
    throw error
  }
}

function recordsOf(text: string, name: string, delimiter: Delimiter): Parsed[] {
  try {
    const parsed: unknown = parse(text, {
      delimiter,
      bom: true,
      info: true,
      skip_empty_lines: true,
      record_delimiter: LINE_ENDS,
    })
    return parsed as Parsed[]
  } catch (cause) {
    throw unsound(cause as Error & { code?: string; lines?: number }, name)
  }
}

/** What to do about a fault that csv-parse found, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  INVALID_OPENING_QUOTE: 'A field that holds a quote is quoted as a whole and the quote doubled: "a 5"" disk"',
  CSV_INVALID_CLOSING_QUOTE:
    'After a quoted field comes a comma (the delimiter of the header) or the end of the line; a quote within it is doubled: "a 5"" disk"',
  CSV_QUOTE_NOT_CLOSED: 'A quote is opened and never closed; a quote within a field is doubled: "a 5"" disk"',
}

function unsound(cause: Error & { code?: string; lines?: number }, name: string): DataError {
  const where = cause.lines === undefined ? name : `${name}:${cause.lines}`
  const advice = ADVICE[cause.code ?? ''] ?? 'Expected a header line and as many fields in every line'
  return new DataError('row-csv', `${where}: ${cause.message}. ${advice}.`, { facts: { where }, cause })
}
