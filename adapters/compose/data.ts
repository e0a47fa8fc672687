/** A data file to examples, with the digest that names their content. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { toExamples, type Example } from '../../src/data/examples.ts'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { readRows } from '../rows/read-rows.ts'
import { fetchDataset, type DatasetOptions } from './open-dataset.ts'

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

/** A file, `-` for standard input, or a split of a Hub dataset. */
export type DataSource = string | DatasetOptions

/**
 * Reads, fills the template and digests.
 * @throws {DataError} for a bad file, row or label, naming file and line
 * @throws {ConfigError} `dataset-split` | `dataset-config`; {HubError} where the Hub says no
 */
export async function openData(source: DataSource, options: DataOptions = {}): Promise<Data> {
  const { labelMap } = options
  const files = typeof source === 'string' ? [source] : await fetchDataset(source)
  const rows = (await Promise.all(files.map(readRows))).flat()
  const examples = toExamples(rows, {
    template: parseTemplate(options.template ?? DEFAULT_TEMPLATE),
    target: options.target ?? 'target',
    ...(labelMap ? { labelMap } : {}),
  })
  const hash = createHash('sha256')
  for (const { input, target } of examples) hash.update(`${JSON.stringify([input, target])}\n`)
  const name = typeof source !== 'string' ? source.repo : source === '-' ? 'standard input' : basename(source)
  return { name, examples, sha256: hash.digest('hex') }
}
