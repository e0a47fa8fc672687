/** A data file to examples, with the digest that names their content. */
import { basename } from 'node:path'
import { digestRows } from '../../src/data/digest.ts'
import { toExamples, type Example } from '../../src/data/examples.ts'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { readRows } from '../rows/read-rows.ts'
import { sha256 } from '../hub/digest.ts'
import { fetchDataset, namedDataset, type DatasetOptions } from './open-dataset.ts'

export interface DataOptions {
  /** Input text with `{field}` names; default `{input}`. */
  readonly template?: string
  /** The field with the answer; default `target`. */
  readonly target?: string
  readonly labelMap?: Readonly<Record<string, string>>
}

export interface ReadDataOptions extends DataOptions {
  /** Answers that the map does not name are taken as they stand. Default: they are refused. */
  readonly keepUnmapped?: boolean
}

export interface Data {
  readonly name: string
  readonly examples: readonly Example[]
  /** sha256 (hex) of these examples (digestRows). */
  readonly sha256: string
}

/** A file, `-` for standard input, or a split of a Hub dataset. */
export type DataSource = string | DatasetOptions

/**
 * Reads, fills the template and digests.
 * @throws {DataError} for a bad file, row or label, naming file and line
 * @throws {ConfigError} `dataset-split` | `dataset-config` | `hub-url`; {HubError} where the Hub says no
 */
export async function openData(given: DataSource, options: ReadDataOptions = {}): Promise<Data> {
  const source = typeof given === 'string' ? given : namedDataset(given)
  const { labelMap, keepUnmapped } = options
  const files = typeof source === 'string' ? [source] : await fetchDataset(source)
  const rows = (await Promise.all(files.map(readRows))).flat()
  const examples = toExamples(rows, {
    template: parseTemplate(options.template ?? DEFAULT_TEMPLATE),
    target: options.target ?? 'target',
    ...(labelMap ? { labelMap } : {}),
    ...(keepUnmapped ? { keepUnmapped } : {}),
  })
  const name = typeof source !== 'string' ? source.repo : source === '-' ? 'standard input' : basename(source)
  return dataOf(name, examples)
}

/** Rows with the digest that names them. */
export const dataOf = (name: string, examples: readonly Example[]): Data => ({ name, examples, sha256: digestRows(examples, sha256) })
