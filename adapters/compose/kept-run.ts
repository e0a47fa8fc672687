/** What a run was started with, kept beside its checkpoint as `run.json`: with it, going on needs nothing but the folder. Files by their whole path; no tokens, no addresses. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import * as v from 'valibot'
import { ConfigError, FormatError } from '../../src/errors.ts'
import { isObject, parseStrictJson, type Json } from '../../src/tensor/strict-json.ts'
import type { KnownFile } from '../checkpoint/weight-digests.ts'
import { sha256 } from '../hub/digest.ts'
import type { RecipeChoices } from '../../src/train/recipe.ts'
import type { DataSource } from './data.ts'
import type { OpenEngineOptions } from './open-engine.ts'
import type { TrainTask } from './training-task.ts'

const VERSION = 1
const STANDARD_INPUT = '-'

/** Options that are kept. */
export interface KeptOptions extends Partial<TrainTask>, Pick<OpenEngineOptions, 'device' | 'threads' | 'memory'> {
  readonly model?: string
  readonly revision?: string
  readonly baseId?: string
  readonly tasks?: Readonly<Record<string, Partial<TrainTask>>>
  readonly seeds?: number
  readonly recipe?: RecipeChoices
  /** Not of an engine of the app's own, which is given again. */
  readonly engine?: string
  readonly failures?: number
  readonly createdBy?: string
}

const TEXT = v.string()
const SOURCE = v.union([TEXT, v.strictObject({ repo: TEXT, split: TEXT, config: v.exactOptional(TEXT), revision: v.exactOptional(TEXT) })])
const TASK: { readonly [K in keyof TrainTask]-?: v.GenericSchema } = {
  data: SOURCE,
  dev: SOURCE,
  template: TEXT,
  target: TEXT,
  labelMap: v.record(TEXT, TEXT),
  labels: v.union([v.array(TEXT), v.literal(false)]),
  initText: TEXT,
  initPrompt: TEXT,
  task: TEXT,
}

/** An object that holds some of these and nothing else. */
const someOf = (entries: Readonly<Record<string, v.GenericSchema>>): v.GenericSchema =>
  v.strictObject(Object.fromEntries(Object.entries(entries).map(([name, schema]) => [name, v.exactOptional(schema)])))

const KEPT: { readonly [K in keyof KeptOptions]-?: v.GenericSchema } = {
  ...TASK,
  model: TEXT,
  revision: TEXT,
  baseId: TEXT,
  tasks: v.record(TEXT, someOf(TASK)),
  seeds: v.number(),
  recipe: v.record(TEXT, v.union([TEXT, v.number(), v.boolean()])),
  engine: TEXT,
  device: TEXT,
  threads: v.number(),
  memory: v.picklist(['fast', 'low']),
  failures: v.number(),
  createdBy: TEXT,
}
const RUN = v.strictObject({
  options: someOf(KEPT),
  weights: v.array(v.strictObject({ path: TEXT, stamp: TEXT, sha256: TEXT })),
})

export interface KeptRun {
  readonly options: KeptOptions
  /** The files of the model's weights, so that they need not be digested again. */
  readonly weights: readonly KnownFile[]
}

/** Hub ids stay as they are. */
const wholePath = (path: string): string => (existsSync(path) ? resolve(path) : path)

/** A file as its whole path, a split without the ways and rights to it. */
function keptSource(source: DataSource): DataSource {
  if (typeof source === 'string') return source === STANDARD_INPUT ? source : resolve(source)
  const { repo, split, config, revision } = source
  return { repo, split, ...(config === undefined ? {} : { config }), ...(revision === undefined ? {} : { revision }) }
}

const keptTask = <T extends Partial<TrainTask>>(task: T): T => ({
  ...task,
  ...(task.data === undefined ? {} : { data: keptSource(task.data) }),
  ...(task.dev === undefined ? {} : { dev: keptSource(task.dev) }),
  ...(task.initPrompt === undefined ? {} : { initPrompt: wholePath(task.initPrompt) }),
})

/** Without what was not said. */
const said = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

type Given = Omit<KeptOptions, 'engine'> & { readonly engine?: unknown }

/**
 * What is kept of a run's options.
 * @param options all that are not of one call alone: one that `KeptOptions` does not name does not compile
 */
export function keepOptions<T extends Given>(options: T & { readonly [K in Exclude<keyof T, keyof KeptOptions>]: never }): KeptOptions {
  const known = Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(KEPT, name))) as Given
  const { engine, tasks, model, ...rest } = said(known)
  return {
    ...keptTask(rest),
    ...(model === undefined ? {} : { model: wholePath(model) }),
    ...(typeof engine === 'string' ? { engine } : {}),
    ...(tasks ? { tasks: Object.fromEntries(Object.entries(tasks).map(([name, task]) => [name, keptTask(said(task))])) } : {}),
    ...(rest.recipe ? { recipe: said(rest.recipe) } : {}),
  }
}

/** Options with rows that are read once and gone. */
function readOnce({ data, dev, tasks = {} }: KeptOptions): ('data' | 'dev' | 'tasks')[] {
  const inTasks = Object.values(tasks).some((task) => task.data === STANDARD_INPUT || task.dev === STANDARD_INPUT)
  return [
    ...(data === STANDARD_INPUT ? ['data' as const] : []),
    ...(dev === STANDARD_INPUT ? ['dev' as const] : []),
    ...(inTasks ? ['tasks' as const] : []),
  ]
}

/**
 * The options of a run that goes on: as it was started, but for what is given now.
 * @throws {ConfigError} `resume-data` where its rows came from standard input and are not given again
 */
export function resumeOptions<T extends Omit<Partial<KeptOptions>, 'engine'>>(kept: KeptOptions, given: T): KeptOptions & T {
  const now = said(given)
  const missing = readOnce(kept).find((name) => now[name] === undefined)
  if (missing !== undefined) {
    throw new ConfigError(
      'resume-data',
      `Rows of this run (${missing}) came from standard input, which is not kept: give the same rows again, by --${missing} FILE${missing === 'tasks' ? '' : ` or --${missing} -`} (in code: ${missing}).`,
      { facts: { option: missing } },
    )
  }
  return { ...kept, ...now, recipe: { ...kept.recipe, ...now.recipe } }
}

/** The kept run as text, under its digest. */
export function formatKeptRun(run: KeptRun): string {
  return `${JSON.stringify({ version: VERSION, sha256: sha256(JSON.stringify(run)), run }, undefined, 2)}\n`
}

/**
 * Text to the kept run.
 * @throws {FormatError} `checkpoint-damaged`; `checkpoint-format` of another version
 */
export function parseKeptRun(text: string, path: string): KeptRun {
  const how = 'To go on without it, delete it and give all of the options again.'
  const damaged = (cause?: unknown): FormatError =>
    new FormatError('checkpoint-damaged', `${path} is damaged: it is not what the run wrote, and nothing of it is used. ${how}`, {
      facts: { path },
      cause,
    })
  let read: Json
  try {
    read = parseStrictJson(text, path)
  } catch (cause) {
    throw damaged(cause)
  }
  if (!isObject(read)) throw damaged()
  const { version, sha256: digest, run } = read
  if (typeof digest !== 'string' || digest !== sha256(JSON.stringify(run) ?? '')) throw damaged()
  const parsed = v.safeParse(RUN, run)
  if (version === VERSION && parsed.success) return parsed.output as KeptRun
  throw new FormatError('checkpoint-format', `${path} is of another version of this package. ${how}`, { facts: { path, version } })
}
