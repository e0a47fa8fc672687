/** Finds soft prompts on the Hub, with what a person chooses by. */
import { listModels, type ModelEntry } from '@huggingface/hub'
import { canonicalBase, isHubId, shownBase } from '../../src/prompt/base-name.ts'
import { askJson, type HubAccess } from './fetch.ts'
import { placeOfAddress } from './named-place.ts'
import { listingParameters, viaClient } from './remote.ts'

export interface SearchOptions extends HubAccess {
  /** Words of the name. */
  readonly query?: string
  /** Hub id of the base model, or the address of its page. */
  readonly base?: string
  readonly owner?: string
  /** Task id, such as text-classification. */
  readonly task?: string
  readonly limit?: number
}

export interface FoundPrompt {
  readonly repo: string
  /** Hub id, or the name of a folder where the base has none. */
  readonly base?: string
  readonly task?: string
  /** Virtual tokens. */
  readonly length?: number
  readonly parameters?: number
  /** The card's first result. */
  readonly score?: { readonly metric: string; readonly value: number; readonly dataset?: string }
  readonly downloads: number
  readonly likes: number
  readonly updated: string // ISO 8601; empty where the hub does not say
  readonly private: boolean
}

/** The tag that every card of ours carries. */
const TAG = 'soft-prompts'
const LIMIT = 20

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const at = (value: unknown, key: string): unknown => (isObject(value) ? value[key] : Array.isArray(value) ? value[Number(key)] : undefined)
const dig = (value: unknown, ...keys: string[]): unknown => keys.reduce(at, value)
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const count = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined)

function scoreOf(card: unknown): FoundPrompt['score'] {
  const result = dig(card, 'model-index', '0', 'results', '0')
  const metric = text(dig(result, 'metrics', '0', 'type'))
  const value = dig(result, 'metrics', '0', 'value')
  if (metric === undefined || typeof value !== 'number' || !Number.isFinite(value)) return undefined
  const dataset = text(dig(result, 'dataset', 'name'))
  return { metric, value, ...(dataset === undefined ? {} : { dataset }) }
}

/** The Hub's listing leaves most of adapter_config.json out; what is missing is asked for, and done without if it cannot be had. */
async function adapterOf(options: SearchOptions, repo: string, config: unknown): Promise<Pick<FoundPrompt, 'length' | 'base'>> {
  const read = (from: unknown): Pick<FoundPrompt, 'length' | 'base'> => {
    const length = count(dig(from, 'num_virtual_tokens'))
    const base = text(dig(from, 'base_model_name_or_path'))
    return { ...(length === undefined ? {} : { length }), ...(base === undefined ? {} : { base: shownBase(base) }) }
  }
  const listed = read(dig(config, 'peft'))
  if (listed.length !== undefined) return listed
  try {
    const url = `${options.hubUrl}/${repo}/resolve/main/adapter_config.json`
    return { ...listed, ...read(await askJson({ ...options, attempts: 2 }, url)) }
  } catch {
    return listed
  }
}

type Listed = ModelEntry & { readonly cardData?: unknown; readonly config?: unknown; readonly safetensors?: unknown }

async function describe(options: SearchOptions, model: Listed): Promise<FoundPrompt> {
  const adapter = await adapterOf(options, model.name, model.config)
  // A base without a Hub id stands in no card.
  const base = text(dig(model.cardData, 'base_model')) ?? text(dig(model.cardData, 'base_model', '0')) ?? adapter.base
  const { length } = adapter
  const parameters = count(dig(model.safetensors, 'total'))
  const score = scoreOf(model.cardData)
  return {
    repo: model.name,
    ...(base === undefined ? {} : { base }),
    ...(model.task === undefined ? {} : { task: model.task }),
    ...(length === undefined ? {} : { length }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(score === undefined ? {} : { score }),
    downloads: model.downloads,
    likes: model.likes,
    updated: Number.isFinite(model.updatedAt.getTime()) ? model.updatedAt.toISOString() : '',
    private: model.private,
  }
}

/**
 * Lists prompts, those changed last first.
 * @throws {HubError}; {ConfigError} `hub-url`
 * @example for (const { repo, score } of await searchPrompts({ base: 'google-t5/t5-small', ...readHubEnvironment() })) …
 */
export async function searchPrompts(options: SearchOptions): Promise<FoundPrompt[]> {
  const { query, owner, task, limit = LIMIT } = options
  const base = options.base === undefined ? undefined : (placeOfAddress(options.base, undefined, options.hubUrl)?.repo ?? options.base)
  const models = listModels({
    ...listingParameters(options, 'prompts'),
    limit,
    sort: 'lastModified',
    additionalFields: ['cardData', 'config', 'safetensors'],
    search: {
      tags: [TAG, ...(base === undefined ? [] : [`base_model:${canonicalBase(base)}`])],
      ...(query === undefined ? {} : { query }),
      ...(owner === undefined ? {} : { owner }),
      ...(task === undefined ? {} : { task: task as 'text-classification' }),
    },
  })
  const found: Listed[] = []
  await viaClient(options, async () => {
    for await (const model of models) if (isHubId(model.name)) found.push(model)
  })
  return viaClient(options, () => Promise.all(found.map((model) => describe(options, model))))
}
