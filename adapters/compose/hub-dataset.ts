/** Rows of a data set by Hub id: the files of one split, fetched into the shared cache. */
import { join } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { filesBelow } from '../hub/pull.ts'
import type { RemoteFile } from '../hub/remote.ts'
import { fetchSnapshot } from '../hub/snapshot.ts'
import type { HubModelOptions } from './pull.ts'

export interface HubDatasetOptions extends Omit<HubModelOptions, 'parts' | 'variant' | 'lockFile' | 'frozen'> {
  readonly split?: string
  /** Configuration (subset), such as `sst2` of `nyu-mll/glue`. */
  readonly config?: string
}

export interface HubDataset {
  readonly commit: string
  /** Paths of the split's files, in order: Parquet, JSON Lines or CSV. */
  readonly files: readonly string[]
}

/** Where the Hub keeps every data set as Parquet. */
const CONVERTED = 'refs/convert/parquet'
const LARGEST_BYTES = 20e9
type Listed = Pick<RemoteFile, 'path' | 'size'>

const FORMATS: readonly string[] = ['parquet', 'jsonl', 'csv', 'tsv']

const offered = (files: readonly Listed[]): string =>
  files
    .filter(({ path }) => /\.(parquet|jsonl|csv|tsv)$/.test(path))
    .slice(0, 12)
    .map(({ path }) => path)
    .join(', ')

const words = (path: string): string[] => path.replace(/\.\w+$/, '').split(/[/._-]/)

/** `data/train-00000-of-00001.parquet`, `sst2/train/0000.parquet`, `train.jsonl`: the split is a word of its own in the path. */
function ofSplit<T extends Listed>(files: readonly T[], split: string, config: string | undefined): T[] {
  const matching = files.filter(
    ({ path }) => words(path).includes(split) && (config === undefined || path.split('/').includes(config) || words(path).includes(config)),
  )
  for (const format of FORMATS) {
    const found = matching.filter(({ path }) => path.endsWith(`.${format}`))
    if (found.length > 0) return found.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  }
  return []
}

function select<T extends Listed>(files: readonly T[], id: string, split: string, config: string | undefined): T[] {
  const found = ofSplit(files, split, config)
  if (found.length === 0) {
    const named = `split "${split}"${config === undefined ? '' : ` of "${config}"`}`
    throw new HubError(
      'hub-no-split',
      `${id} has no ${named} as Parquet, JSON Lines or CSV; it has ${offered(files) || 'none of these'}.`,
      { facts: { id, split } },
    )
  }
  const folders = new Set(found.map(({ path }) => path.split('/').slice(0, -1).join('/')))
  if (folders.size > 1 && config === undefined) {
    throw new HubError('hub-many-configs', `${id} has several configurations (${[...folders].slice(0, 12).join(', ')}); name one.`, {
      facts: { id },
    })
  }
  const total = found.reduce((sum, { size }) => sum + size, 0)
  if (total > LARGEST_BYTES)
    throw new HubError('hub-file-too-large', `That split of ${id} has ${total} bytes, more than the ${LARGEST_BYTES} allowed.`)
  return found
}

/**
 * Fetches one split: from the repository itself, else from the Hub's Parquet copy of it.
 * @throws {HubError} `hub-no-split` | `hub-many-configs` | …
 * @example const { files } = await openHubDataset('stanfordnlp/sst2', { split: 'train' })
 */
export async function openHubDataset(id: string, options: HubDatasetOptions = {}): Promise<HubDataset> {
  const { split = 'train', config, ...access } = options
  const fetchFrom = async (revision: string | undefined): Promise<HubDataset> => {
    const environment = { ...readHubEnvironment(), ...access, ...(revision === undefined ? {} : { revision }) }
    const choose = <T extends Listed>(files: readonly T[]): T[] => select(files, id, split, config)
    const { commit, dir, files } = await fetchSnapshot({ ...environment, repo: id, type: 'dataset', select: choose })
    const chosen = environment.offline ? choose((await filesBelow(dir)).map((path) => ({ path, size: 0 }))) : files
    return { commit, files: chosen.map(({ path }) => join(dir, ...path.split('/'))) }
  }
  try {
    return await fetchFrom(options.revision)
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'hub-no-split' || options.revision !== undefined) throw error
    return fetchFrom(CONVERTED).catch((second: unknown) => {
      throw second instanceof HubError && second.code === 'hub-revision-not-found' ? error : second
    })
  }
}
