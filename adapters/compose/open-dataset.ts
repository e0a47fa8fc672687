/** A split of a Hub dataset as files in the shared cache: Parquet, JSON Lines, CSV or TSV, as datasets are laid out there. */
import { join } from 'node:path'
import { ConfigError, HubError } from '../../src/errors.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { filesBelow } from '../disk/read.ts'
import type { RemoteFile } from '../hub/remote.ts'
import { fetchSnapshot, type SnapshotOptions } from '../hub/snapshot.ts'

export interface DatasetOptions extends Partial<
  Pick<SnapshotOptions, 'hubUrl' | 'token' | 'cacheDir' | 'offline' | 'revision' | 'fetch' | 'signal' | 'onProgress'>
> {
  /** `owner/name` */
  readonly repo: string
  readonly split: string
  /** Configuration of a dataset that has several: `sst2` of `nyu-mll/glue`. */
  readonly config?: string
}

/** Folders that stand for the one configuration of a dataset. */
const PLAIN = new Set(['', 'data', 'default'])
const NAMED = /^(?:(?<folder>.+)\/)?(?<split>[A-Za-z]\w*?)(?:[-_.][\w.-]*)?\.(?<format>parquet|jsonl|ndjson|csv|tsv)$/
/** The Hub's own Parquet copies: `sst2/train/0000.parquet`. */
const NUMBERED = /^(?:(?<folder>.+)\/)?(?<split>[A-Za-z]\w*)\/\d{4,}\.(?<format>parquet)$/
/** Where a split lies in several forms, the first of these is read. */
const FORMATS: readonly string[] = ['parquet', 'jsonl', 'ndjson', 'csv', 'tsv']
/** The branch where the Hub keeps every data set as Parquet. */
const CONVERTED = 'refs/convert/parquet'

const listed = (values: readonly string[]): string => [...new Set(values)].toSorted().slice(0, 40).join(', ') || 'none'

/**
 * Chooses a split's files by their paths: `sst2/train-00000-of-00001.parquet`, `data/train.csv`, `train.jsonl`.
 * @throws {ConfigError} `dataset-split` | `dataset-config`, listing what is there
 */
export function selectSplit<T extends { readonly path: string }>(files: readonly T[], { repo, split, config }: DatasetOptions): T[] {
  const data = files.flatMap((file) => {
    const found = (NUMBERED.exec(file.path) ?? NAMED.exec(file.path))?.groups
    return found ? [{ file, folder: found['folder'] ?? '', split: found['split'] as string, format: found['format'] as string }] : []
  })
  const all = data.filter((item) => item.split === split)
  const format = FORMATS.find((name) => all.some((item) => item.format === name))
  const ofSplit = all.filter((item) => item.format === format)
  if (ofSplit.length === 0) {
    throw new ConfigError(
      'dataset-split',
      `${repo} has no split "${split}" in a form we read. Splits found: ${listed(data.map((item) => item.split))}.`,
      {
        facts: { repo, split },
      },
    )
  }
  const folders = [...new Set(ofSplit.map(({ folder }) => folder))]
  const [only] = folders
  const chosen =
    config === undefined
      ? (folders.find((folder) => PLAIN.has(folder)) ?? (folders.length === 1 ? only : undefined))
      : folders.find((folder) => folder === config || folder.endsWith(`/${config}`) || folder.startsWith(`${config}/`))
  if (chosen === undefined) {
    const asked = config === undefined ? 'has several configurations' : `has no configuration "${config}"`
    throw new ConfigError('dataset-config', `${repo} ${asked}; name one with --config: ${listed(folders)}.`, { facts: { repo, folders } })
  }
  return ofSplit.filter(({ folder }) => folder === chosen).map(({ file }) => file)
}

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
