/** What `run` is asked, as it is typed: a text, fields, or a file. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AnswerOptions } from '../../adapters/compose/answer.ts'
import { comingInputs, readInputs } from '../../adapters/rows/inputs.ts'
import { ConfigError } from '../../src/errors.ts'

/** Whether an argument is where a prompt lies, and no text. */
export const isPrompt = (path: string): boolean =>
  existsSync(join(path, 'adapter_config.json')) || (/\.(tar\.gz|tgz|npy)(#\S+)?$/.test(path) && existsSync(path.replace(/#\S+$/, '')))

/** Fields given as `name=value`. @throws {ConfigError} `run-field` */
export function fieldsOf(given: readonly string[]): Record<string, string> {
  const fields = new Map<string, string>()
  for (const each of given) {
    const at = each.indexOf('=')
    const name = each.slice(0, Math.max(at, 0)).trim()
    if (name === '') {
      throw new ConfigError('run-field', `--field ${each} names no field. Write --field NAME=VALUE, as --field premise="A man sleeps ."`)
    }
    if (fields.has(name)) throw new ConfigError('run-field', `--field ${name} was given twice; a template has each field once.`)
    fields.set(name, each.slice(at + 1))
  }
  return Object.fromEntries(fields)
}

type Asked = Pick<AnswerOptions, 'texts' | 'where'>

/** The texts of the command line, or of a file; standard input is answered as it comes, where lines are what comes out. */
export async function inputsOf(file: string | undefined, texts: readonly string[], json: boolean): Promise<Asked> {
  if (file === undefined) return { texts, where: () => 'the text' }
  return file === '-' && !json ? comingInputs() : readInputs(file)
}

/** The command line that gives a template its fields. */
export function howToAsk(prompts: readonly string[], fields: unknown): string {
  if (!Array.isArray(fields) || fields.length === 0) return ''
  const flags = (fields as readonly string[]).map((name) => ` --field ${/^[\w.-]+$/.test(name) ? `${name}="…"` : `"${name}=…"`}`)
  return ` On the command line: soft-prompts run ${prompts.join(' ')}${flags.join('')}, or --file with rows that have these fields (.jsonl, .csv, .tsv, .parquet).`
}
