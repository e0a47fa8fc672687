/** CSV and TSV to rows, by csv-parse: the first line names the fields. */
import { parse } from 'csv-parse/sync'
import { DataError } from '../../src/errors.ts'
import type { Row } from '../../src/data/rows.ts'

interface Parsed {
  readonly record: Record<string, string>
  readonly info: { readonly lines: number }
}

/**
 * TSV is read without quotes, as GLUE's files are written.
 * @throws {DataError} `row-csv`, naming file and line.
 */
export function parseDelimited(text: string, name: string, delimiter: ',' | '\t'): Row[] {
  try {
    const parsed = parse(text, {
      columns: true,
      delimiter,
      bom: true,
      info: true,
      skip_empty_lines: true,
      ...(delimiter === '\t' ? { quote: null } : {}),
    }) as unknown as Parsed[]
    return parsed.map(({ record, info }) => ({ fields: { ...record }, where: `${name}:${info.lines}` }))
  } catch (cause) {
    const lines = (cause as { lines?: number }).lines
    const where = lines === undefined ? name : `${name}:${lines}`
    throw new DataError('row-csv', `${where}: ${(cause as Error).message}. Expected a header line and as many fields in every line.`, {
      facts: { where },
      cause,
    })
  }
}
