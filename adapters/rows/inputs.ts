/** What a prompt is asked: rows of a data file, or the lines of a text file. */
import type { TemplateInput } from '../../src/data/template.ts'
import { DataError } from '../../src/errors.ts'
import { inputOf, readLines, standardInputLines } from './lines.ts'
import { holdsRows, readRows } from './read-rows.ts'

export interface Inputs {
  readonly texts: readonly TemplateInput[]
  /** What messages call one, by its index. */
  readonly where: (index: number) => string
}

/** Endings of files that hold data, but no lines of text and no rows that are read here. */
const NO_TEXT = /\.(json|gz|zip|xlsx?|arrow|feather|db|sqlite)$/i

const ofStandardInput = (index: number): string => `standard input, line ${index + 1}`

/**
 * Reads `.jsonl`, `.ndjson`, `.csv`, `.tsv` and `.parquet` row by row, other files line by line; `-` is standard input, a text or a JSON object a line.
 * @throws {DataError} `data-missing` | `data-utf8` | `data-kind`, and what the rows' format throws
 */
export async function readInputs(path: string): Promise<Inputs> {
  if (holdsRows(path)) {
    const rows = await readRows(path)
    return { texts: rows.map(({ fields }) => fields), where: (index) => rows[index]?.where ?? path }
  }
  if (NO_TEXT.test(path)) {
    throw new DataError(
      'data-kind',
      `${path}: neither a text file nor rows that can be read. Give .jsonl, .csv, .tsv or .parquet, or a text file with one text a line.`,
    )
  }
  const lines = await readLines(path)
  return path === '-'
    ? { texts: lines.map(inputOf), where: ofStandardInput }
    : { texts: lines, where: (index) => `${path}, text ${index + 1}` }
}

async function* coming(): AsyncGenerator<TemplateInput, void> {
  for await (const line of standardInputLines()) yield inputOf(line)
}

/** Standard input, line by line as it comes. @throws {DataError} `data-utf8` */
export const comingInputs = (): { readonly texts: AsyncIterable<TemplateInput>; readonly where: Inputs['where'] } => ({
  texts: coming(),
  where: ofStandardInput,
})
