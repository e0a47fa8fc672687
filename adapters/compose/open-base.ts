/** A frozen base model by folder or Hub id: configuration, weights in place, tokenizer, embedding rows. */
import { stat, readFile, readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { ConfigError } from '../../src/errors.ts'
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { openHubModel, type HubModelOptions } from './open-hub-model.ts'

export interface Base {
  /** Hub id, or the folder's name. */
  readonly id: string
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
export type BaseOptions = Pick<HubModelOptions, 'revision' | 'onProgress' | 'signal'>

const isFolder = async (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

const HUB_ID = /^[\w.-]+\/[\w.-]+$/

/** The newest snapshot of a Hub id in the cache: the one that `main` names, else any. */
async function cachedSnapshot(id: string, revision: string | undefined): Promise<{ dir: string; revision: string } | undefined> {
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

/**
 * Finds the folder of a base model: a folder as it stands, a Hub id in the shared cache, else fetched from the Hub.
 * @throws {ConfigError} `base-missing`; {HubError} where the Hub says no
 */
export async function findBase(idOrDir: string, options: BaseOptions = {}): Promise<{ id: string; dir: string; revision?: string }> {
  if (await isFolder(idOrDir)) {
    const dir = resolve(idOrDir)
    // A snapshot folder of the cache knows its id and commit.
    const cached = /models--([^/\\]+)[/\\]snapshots[/\\]([^/\\]+)$/.exec(dir)
    return cached ? { id: (cached[1] as string).replaceAll('--', '/'), dir, revision: cached[2] as string } : { id: basename(dir), dir }
  }
  if (!HUB_ID.test(idOrDir)) {
    throw new ConfigError(
      'base-missing',
      `No base model ${idOrDir}: there is no such folder, and it is no Hub id (OWNER/NAME). A prompt names the base it was trained on; say where that lies with --model DIR (in code: model).`,
      {
        facts: { base: idOrDir },
      },
    )
  }
  const found = await cachedSnapshot(idOrDir, options.revision)
  if (found && (await hasWeights(found.dir))) return { id: idOrDir, ...found }
  const { dir, commit } = await openHubModel(idOrDir, options)
  return { id: idOrDir, dir, revision: commit }
}

/**
 * Opens a base model without reading its weights.
 * @throws {ConfigError} `base-missing` | `t5-config` | `t5-activation`
 * @throws {FormatError} `checkpoint-*` | `tokenizer-*` | `safetensors-*` | `json-*`
 */
export async function openBase(idOrDir: string, options: BaseOptions = {}): Promise<Base> {
  const { id, dir, revision } = await findBase(idOrDir, options)
  const opening = openTokenizer(dir)
  // What is no T5 is said before what its tokenizer lacks.
  opening.catch(() => {})
  const checkpoint = await openCheckpoint(dir)
  const config = parseT5Config(checkpoint.config)
  const tokenizer = await opening
  return {
    id,
    ...(revision === undefined ? {} : { revision }),
    dir,
    config,
    configJson: checkpoint.config,
    weights: checkpoint.weights,
    tokenizer,
    embeddingTable: () => checkpoint.embeddingTable(),
  }
}
