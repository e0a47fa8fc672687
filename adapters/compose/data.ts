/** A data file to examples, with the digest that names their content. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { toExamples, type Example } from '../../src/data/examples.ts'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { readRows } from '../rows/read-rows.ts'

export interface DataOptions {
  /** Input text with `{field}` names; default `{input}`. */
  readonly template?: string
  /** The field with the answer; default `target`. */
  readonly target?: string
  readonly labelMap?: Readonly<Record<string, string>>
}

export interface Data {
  readonly name: string
  readonly examples: readonly Example[]
  /** sha256 (hex) of the examples as JSON lines: of what is trained on, whatever file it came in. */
  readonly sha256: string
}

/** Reads, fills the template and digests. @throws {DataError} for a bad file, row or label, naming file and line. */
export async function openData(path: string, options: DataOptions = {}): Promise<Data> {
  const { labelMap } = options
  const examples = toExamples(await readRows(path), {
    template: parseTemplate(options.template ?? DEFAULT_TEMPLATE),
    target: options.target ?? 'target',
    ...(labelMap ? { labelMap } : {}),
  })
  const hash = createHash('sha256')
  for (const { input, target } of examples) hash.update(`${JSON.stringify([input, target])}\n`)
  return { name: path === '-' ? 'standard input' : basename(path), examples, sha256: hash.digest('hex') }
}
