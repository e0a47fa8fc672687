/** Plain texts, one a line. */
import { readText } from './read-rows.ts'

/** Lines that hold anything; `-` is standard input. @throws {DataError} `data-missing` | `data-utf8` */
export async function readLines(path: string): Promise<string[]> {
  return (await readText(path)).split(/\r?\n/).filter((line) => line.trim() !== '')
}
