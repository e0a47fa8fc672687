/** A split of a Hub dataset as files in the shared cache: Parquet, JSON Lines, CSV or TSV, as datasets are laid out there. */
import { join } from 'node:path'
import { ConfigError, HubError } from '../../src/errors.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { placeOfAddress } from '../hub/named-place.ts'
import { filesBelow } from '../disk/read.ts'
import type { RemoteFile } from '../hub/remote.ts'
import { fetchSnapshot, type SnapshotOptions } from '../hub/snapshot.ts'

export interface DatasetOptions extends Partial<
  Pick<SnapshotOptions, 'hubUrl' | 'token' | 'cacheDir' | 'offline' | 'revision' | 'fetch' | 'signal' | 'onProgress'>
> {
  /** `owner/name`, or the address of its page. */
  readonly repo: string
  readonly split: string
  /** Configuration of a dataset that has several: `sst2` of `nyu-mll/glue`. */
  readonly config?: string
}

/** Folders that stand for the one configuration of a dataset. */
const PLAIN = new Set(['', 'data', 'default'])
const DATA_FILE = /^(?:(?<folder>.+)\/)?(?<stem>[^/]+)\.(?<format>parquet|jsonl|ndjson|csv|tsv)$/
/** How the Hub's libraries name the parts of a split: `validation_matched-00000-of-00001`, older ones with a digest. */
const PART = /-\d{5}-of-\d{5}(?:-[0-9a-f]+)?$/
/** How others do; of `train_2019` only its neighbours tell whether it is a part. */
const COUNTED = /[-_.](\d{3,})$/
/** The Hub's own Parquet copies: `sst2/train/0000.parquet`. */
const NUMBERED = /^(?:(?<folder>.+)\/)?(?<split>[A-Za-z][\w.-]*)\/\d{4,}\.(?<format>parquet)$/
/** Where a split lies in several forms, the first of these is read. */
const FORMATS: readonly string[] = ['parquet', 'jsonl', 'ndjson', 'csv', 'tsv']
/** The branch where the Hub keeps every data set as Parquet. */
const CONVERTED = 'refs/convert/parquet'

const listed = (values: readonly string[]): string => [...new Set(values)].toSorted().slice(0, 40).join(', ') || 'none'

interface DataFile<T> {
  readonly file: T
  readonly folder: string
  /** The split that its name tells: all of it but the number of a part. */
  readonly split: string
  readonly format: string
}

function dataFiles<T extends { readonly path: string }>(files: readonly T[]): DataFile<T>[] {
  const data = files.flatMap((file) => {
    const found = (NUMBERED.exec(file.path) ?? DATA_FILE.exec(file.path))?.groups
    if (!found) return []
    const split = found['split'] ?? (found['stem'] as string).replace(PART, '')
    return [{ file, folder: found['folder'] ?? '', split, format: found['format'] as string }]
  })
  // Parts are counted from 000 or 001, so one of them begins with a zero; years and rounds do not.
  const stemOf = ({ folder, split, format }: DataFile<T>): string => JSON.stringify([folder, split.replace(COUNTED, ''), format])
  const counted = new Set(data.filter(({ split }) => COUNTED.exec(split)?.[1]?.startsWith('0')).map(stemOf))
  return data.map((item) => (counted.has(stemOf(item)) ? { ...item, split: item.split.replace(COUNTED, '') } : item))
}

/** The split of that name, else the only one whose name ends in it as a word (`reviews-train`); two names are never joined. */
function nameOfSplit(names: readonly string[], split: string): string | undefined {
  if (names.includes(split)) return split
  const alike = [...new Set(names)].filter((name) => name.split(/[-_.]/).includes(split))
  const [only] = alike
  return alike.length === 1 && /[-_.]/.test(only?.at(-split.length - 1) ?? '') && only?.endsWith(split) ? only : undefined
}

/**
 * Chooses a split's files by their paths: `sst2/train-00000-of-00001.parquet`, `data/train.csv`, `train.jsonl`.
 * @throws {ConfigError} `dataset-split` | `dataset-config`, listing what is there
 */
export function selectSplit<T extends { readonly path: string }>(files: readonly T[], { repo, split, config }: DatasetOptions): T[] {
  const data = dataFiles(files)
  const ofConfig = config === undefined ? data : data.filter(({ folder }) => isConfig(folder, config))
  const names = (ofConfig.length > 0 ? ofConfig : data).map((item) => item.split)
  const name = nameOfSplit(names, split)
  const all = data.filter((item) => item.split === name)
  const format = FORMATS.find((known) => all.some((item) => item.format === known))
  const ofSplit = all.filter((item) => item.format === format)
  if (ofSplit.length === 0) {
    const near = [...new Set(names)].filter((other) => other.split(/[-_.]/).includes(split)).toSorted()
    const instead = near.length > 0 ? ` Name one of ${near.join(', ')}: different splits are not joined.` : ''
    throw new ConfigError(
      'dataset-split',
      `${repo} has no split "${split}" in a form we read${config === undefined ? '' : ` in "${config}"`}. Splits found: ${listed(names)}.${instead}`,
      {
        facts: { repo, split, found: [...new Set(names)].toSorted() },
      },
    )
  }
  const folders = [...new Set(ofSplit.map(({ folder }) => folder))]
  const [only] = folders
  const chosen =
    config === undefined
      ? (folders.find((folder) => PLAIN.has(folder)) ?? (folders.length === 1 ? only : undefined))
      : folders.find((folder) => isConfig(folder, config))
  if (chosen === undefined) {
    const asked = config === undefined ? 'has several configurations' : `has no configuration "${config}"`
    throw new ConfigError('dataset-config', `${repo} ${asked}; name one with --config: ${listed(folders)}.`, { facts: { repo, folders } })
  }
  return ofSplit.filter(({ folder }) => folder === chosen).map(({ file }) => file)
}

const isConfig = (folder: string, config: string): boolean =>
  folder === config || folder.endsWith(`/${config}`) || folder.startsWith(`${config}/`)

/**
 * Fetches a split: from the repository itself, else from the Hub's Parquet copy of it.
 * @returns paths of its files in the shared cache, in order
 * @throws {ConfigError} `dataset-split` | `dataset-config`
 * @throws {HubError} where the Hub says no
 */
export async function fetchDataset(options: DatasetOptions): Promise<string[]> {
  try {
    return await fetchFrom(options)
  } catch (error) {
    if (!(error instanceof ConfigError) || error.code !== 'dataset-split' || options.revision !== undefined) throw error
    return fetchFrom({ ...options, revision: CONVERTED }).catch((second: unknown) => {
      // Without a copy, what the repository itself holds is what the reader can mend.
      throw second instanceof HubError ? error : second
    })
  }
}

/** The data set under its name, where it is given by the address of its page. @throws {ConfigError} `hub-url` */
export function namedDataset(options: DatasetOptions): DatasetOptions {
  const place = placeOfAddress(options.repo, options.revision, options.hubUrl, 'dataset')
  if (place === undefined) return options
  return { ...options, repo: place.repo, ...(place.revision === undefined ? {} : { revision: place.revision }) }
}

async function fetchFrom(options: DatasetOptions): Promise<string[]> {
  const { split: _, config: __, ...access } = options
  let chosen: RemoteFile[] = []
  const { dir } = await fetchSnapshot({
    ...readHubEnvironment(),
    ...access,
    type: 'dataset',
    select: (files) => (chosen = selectSplit(files, options)),
  })
  // Offline nobody is asked what belongs to the commit: what was fetched before is there.
  const paths =
    chosen.length > 0
      ? chosen
      : selectSplit(
          (await filesBelow(dir)).map((path) => ({ path })),
          options,
        )
  return paths.map(({ path }) => join(dir, path)).toSorted()
}
