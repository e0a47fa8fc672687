/** Plain texts, one a line. */
import { parseExactJson } from '../../src/data/exact-json.ts'
import type { TemplateInput } from '../../src/data/template.ts'
import { DataError } from '../../src/errors.ts'
import { readText } from './read-rows.ts'

/** Lines that hold anything; `-` is standard input. @throws {DataError} `data-missing` | `data-utf8` */
export async function readLines(path: string): Promise<string[]> {
  return (await readText(path)).split(/\r\n|\n|\r/).filter((line) => line.trim() !== '')
}

/** A line of standard input: the fields of a JSON object, as in JSON Lines, else a text. */
export function inputOf(line: string): TemplateInput {
  if (!line.trimStart().startsWith('{')) return line
  try {
    // What starts like an object and parses is one.
    return parseExactJson(line) as Readonly<Record<string, unknown>>
  } catch {
    return line
  }
}

/** Lines of standard input as they come. @throws {DataError} `data-utf8` */
export async function* standardInputLines(): AsyncGenerator<string, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined })
    } catch (cause) {
      throw new DataError('data-utf8', 'Standard input is not UTF-8 text. Convert it first.', { cause })
    }
  }
  let rest = ''
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    // A return at the end may be half of a line end.
    const lines = (rest + decode(chunk)).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line.trim() !== '')
  }
  rest = (rest + decode()).replace(/\r$/, '')
  if (rest.trim() !== '') yield rest
}
