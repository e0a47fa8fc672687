/** A frozen base model by folder or Hub id: configuration, weights in place, tokenizer, embedding rows. */
import { readFile, readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { ConfigError } from '../../src/errors.ts'
import { canonicalBase, hubIdOf } from '../../src/prompt/base-name.ts'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'
import { checkSnapshotFolder } from '../hub/cache-check.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { placeOfAddress } from '../hub/named-place.ts'
import { exists, isFolder } from '../disk/read.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { openHubModel, type HubModelOptions } from './open-hub-model.ts'

export interface Base {
  /** Hub id, or the folder's name. */
  readonly id: string
  /** A folder of which no Hub id is known: its name says nothing to others. */
  readonly isLocal: boolean
  /** Hub commit, where it was found in a Hub cache. */
  readonly revision?: string
  readonly dir: string
  readonly config: T5Config
  /** `config.json` as it is. */
  readonly configJson: unknown
  readonly weights: WeightTable
  readonly tokenizer: Tokenizer
  embeddingTable(): EmbeddingTable
}

/** Of a base by Hub id; `onProgress` is told what comes over the network, where it is not in the cache yet. */
export type BaseOptions = Pick<HubModelOptions, 'revision' | 'onProgress' | 'signal' | 'check'> & {
  /** The Hub id that a folder's model has, for those who load what is trained on it; default: a snapshot's own, else the folder's name. */
  readonly baseId?: string
}

/** A snapshot of a Hub id in the cache: under the id, or T5's name without an owner, by which Python may have fetched it. */
async function cachedSnapshot(id: string, revision: string | undefined): Promise<{ dir: string; revision: string } | undefined> {
  const bare = id.split('/').at(-1) as string
  for (const name of hubIdOf(bare) === id ? [id, bare] : [id]) {
    const found = await newestSnapshot(name, revision)
    if (found && (await hasWeights(found.dir))) return found
  }
  return undefined
}

/** The newest snapshot under a name: the one that `main` names, else any. */
async function newestSnapshot(id: string, revision: string | undefined): Promise<{ dir: string; revision: string } | undefined> {
  const repo = join(readHubEnvironment().cacheDir, `models--${id.replaceAll('/', '--')}`)
  const named = await readFile(join(repo, 'refs', revision ?? 'main'), 'utf8').catch(() => revision ?? '')
  const snapshots: string[] = await readdir(join(repo, 'snapshots')).catch(() => [])
  const commit = snapshots.includes(named.trim()) ? named.trim() : revision === undefined ? snapshots.toSorted()[0] : undefined
  return commit === undefined ? undefined : { dir: join(repo, 'snapshots', commit), revision: commit }
}

/** Whether a snapshot holds what training reads; one fetched for its ONNX files may not. */
async function hasWeights(dir: string): Promise<boolean> {
  const names: string[] = await readdir(dir).catch(() => [])
  const weights = names.filter((name) => /^(model|pytorch_model).*\.(safetensors|bin)$/.test(name))
  // All shards, or the one file.
  const shards = Number(/-of-(\d+)\./.exec(weights[0] ?? '')?.[1] ?? 1)
  return names.includes('config.json') && weights.length >= shards
}

export type FoundBase = Pick<Base, 'id' | 'dir' | 'revision' | 'isLocal'>

/** Whether the files that training reads are those that the Hub listed. */
async function isSound(dir: string, { check = false }: BaseOptions): Promise<boolean> {
  const standings = await checkSnapshotFolder(dir, { check, wanted: (path) => !path.includes('/') })
  return [...(standings?.values() ?? [])].every((standing) => standing === 'sound')
}

/**
 * Finds the folder of a base model: a folder as it stands, a Hub id in the shared cache, else fetched from the Hub. T5's names without an owner and addresses of the Hub's pages are Hub ids too.
 * @throws {ConfigError} `base-missing` | `base-id` | `hub-url`; {HubError} where the Hub says no
 */
export async function findBase(idOrDir: string, options: BaseOptions = {}): Promise<FoundBase> {
  const { baseId } = options
  const found = await locateBase(idOrDir, options)
  if (baseId === undefined) return found
  const id = checkBaseId(baseId)
  // The commit is of the repository it was found in.
  const { revision, ...rest } = found
  return { ...rest, id, isLocal: false, ...(revision !== undefined && canonicalBase(found.id) === id ? { revision } : {}) }
}

/**
 * The Hub id that a person says a base has.
 * @throws {ConfigError} `base-id`
 */
export function checkBaseId(baseId: string): string {
  const id = hubIdOf(placeOfAddress(baseId)?.repo ?? baseId)
  if (id !== undefined) return id
  throw new ConfigError(
    'base-id',
    `"${baseId.slice(0, 120)}" is no Hub id, by which others could find the base model: it must read OWNER/NAME, such as google-t5/t5-small.`,
    { facts: { baseId } },
  )
}

async function locateBase(idOrDir: string, options: BaseOptions): Promise<FoundBase> {
  if (await isFolder(idOrDir)) {
    const dir = resolve(idOrDir)
    // A snapshot folder of the cache knows its id and commit.
    const cached = /models--([^/\\]+)[/\\]snapshots[/\\]([^/\\]+)$/.exec(dir)
    return cached
      ? { id: canonicalBase((cached[1] as string).replaceAll('--', '/')), dir, revision: cached[2] as string, isLocal: false }
      : { id: basename(dir), dir, isLocal: true }
  }
  const place = placeOfAddress(idOrDir, options.revision)
  const id = hubIdOf(place?.repo ?? idOrDir)
  if (await exists(idOrDir)) {
    throw new ConfigError(
      'base-missing',
      `No base model ${idOrDir}: it is a file. Name the folder that it lies in, with config.json and tokenizer.json beside the weights.`,
      { facts: { base: idOrDir } },
    )
  }
  if (id === undefined) {
    throw new ConfigError(
      'base-missing',
      `No base model ${idOrDir}: there is no such folder, and it is no Hub id (OWNER/NAME). Name a folder with the model's files, or its Hub id, with --model (in code: model).`,
      {
        facts: { base: idOrDir },
      },
    )
  }
  const revision = place?.revision ?? options.revision
  const found = await cachedSnapshot(id, revision)
  if (found && (await isSound(found.dir, options))) return { id, ...found, isLocal: false }
  const { baseId: _, ...access } = options
  // Damaged, it is mended at its commit.
  const wanted = found?.revision ?? revision
  const { dir, commit } = await openHubModel(id, { ...access, ...(wanted === undefined ? {} : { revision: wanted }) })
  return { id, dir, revision: commit, isLocal: false }
}

/**
 * Opens a base model without reading its weights.
 * @throws {ConfigError} `base-missing` | `base-id` | `t5-config` | `t5-activation`
 * @throws {FormatError} `checkpoint-*` | `tokenizer-*` | `safetensors-*` | `json-*`
 */
export async function openBase(idOrDir: string, options: BaseOptions = {}): Promise<Base> {
  const { id, dir, revision, isLocal } = await findBase(idOrDir, options)
  const opening = openTokenizer(dir)
  // What is no T5 is said before what its tokenizer lacks.
  opening.catch(() => {})
  const checkpoint = await openCheckpoint(dir)
  const config = parseT5Config(checkpoint.config)
  const tokenizer = await opening
  return {
    id,
    isLocal,
    ...(revision === undefined ? {} : { revision }),
    dir,
    config,
    configJson: checkpoint.config,
    weights: checkpoint.weights,
    tokenizer,
    embeddingTable: () => checkpoint.embeddingTable(),
  }
}
