/** JSON Lines to rows: one JSON object a line; blank lines are skipped, and a line ends in `\n`, `\r\n` or `\r`. */
import { parseExactJson } from '../../src/data/exact-json.ts'
import type { Row } from '../../src/data/rows.ts'
import { DataError } from '../../src/errors.ts'

/** @throws {DataError} `row-json`, naming file and line. */
export function parseJsonLines(text: string, name: string): Row[] {
  const rows: Row[] = []
  for (const [index, line] of text.split(/\r\n|\n|\r/).entries()) {
    if (line.trim() === '') continue
    const where = `${name}:${index + 1}`
    let value: unknown
    try {
      value = parseExactJson(line)
    } catch (cause) {
      throw new DataError(
        'row-json',
        `${where}: not JSON (${(cause as Error).message}). Each line holds one object: {"input": "…", "target": "…"}.`,
        {
          facts: { where },
          cause,
        },
      )
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new DataError('row-json', `${where}: expected one object a line, got ${line.trim().slice(0, 60)}.`, { facts: { where } })
    }
    rows.push({ fields: value as Record<string, unknown>, where })
  }
  return rows
}
