/** Commands that go on with a run, or begin another like it: whole lines for a shell, to be pasted. */
import { existsSync } from 'node:fs'
import { isAbsolute, join, relative } from 'node:path'
import { TENSOR_FILE } from '../../adapters/artifact/artifact.ts'
import type { DataSource } from '../../adapters/compose/data.ts'
import type { KeptOptions } from '../../adapters/compose/kept-run.ts'
import { readKeptRun } from '../../adapters/compose/run-folder.ts'
import { flag, quoted, RECIPE_FLAGS } from '../../src/card/reproduce.ts'
import { MismatchError } from '../../src/errors.ts'

/** Rows that came over standard input are given again: from a file whose name we do not know. */
const again = (name: 'data' | 'dev', source: DataSource | undefined): string[] => (source === '-' ? [`--${name} - < ROWS.jsonl`] : [])

/** A path as one would type it here: short where it lies in this folder or below. */
function typed(path: string): string {
  const here = relative('', path)
  return isAbsolute(path) && here !== '' && !here.startsWith('..') && !isAbsolute(here) ? here : path
}

/** The base model that a run was started with. */
export async function keptModel(out: string): Promise<string> {
  const { model } = (await readKeptRun(out).catch(() => undefined))?.options ?? {}
  return model === undefined ? '' : typed(model)
}

/** `soft-prompts train --resume --out my-prompt` */
export async function resumeCommand(out: string): Promise<string> {
  const { data, dev } = (await readKeptRun(out).catch(() => undefined))?.options ?? {}
  return ['soft-prompts train --resume', flag('out', out), ...again('data', data), ...again('dev', dev)].join(' ')
}

type Written<T> = (value: T) => string[]

const text =
  (name: string): Written<string | number> =>
  (value) => [flag(name, String(value))]

const split =
  (name: 'data' | 'dev'): Written<DataSource> =>
  (source) => {
    if (typeof source === 'string') return source === '-' ? again(name, source) : [flag(name, source)]
    if (name === 'dev') return [flag('dev-split', source.split)]
    return [
      flag('dataset', source.repo),
      ...(source.config === undefined ? [] : [flag('config', source.config)]),
      flag('split', source.split),
    ]
  }

/** Flags of what a run was started with, but for what it begins from. */
const FLAGS: {
  readonly [K in Exclude<keyof KeptOptions, 'tasks' | 'initText' | 'initPrompt' | 'createdBy'>]-?: Written<NonNullable<KeptOptions[K]>>
} = {
  model: text('model'),
  revision: text('revision'),
  baseId: text('base-id'),
  data: split('data'),
  dev: split('dev'),
  template: text('template'),
  target: text('target'),
  labelMap: (map) => [flag('label-map', JSON.stringify(map))],
  labels: (labels) => (labels === false ? ['--generate'] : labels.map((label) => flag('labels', label))),
  recipe: (recipe) =>
    Object.entries(recipe).flatMap(([name, value]) => {
      const known = Object.hasOwn(RECIPE_FLAGS, name) ? RECIPE_FLAGS[name as keyof typeof RECIPE_FLAGS] : null
      if (known === null || value === false) return []
      return [value === true ? `--${known}` : flag(known, String(value))]
    }),
  task: text('task'),
  seeds: text('seeds'),
  engine: text('engine'),
  device: text('device'),
  threads: text('threads'),
  memory: (memory) => (memory === 'low' ? ['--low-memory'] : []),
  failures: text('failures'),
}

const flagsOf = (options: KeptOptions): string[] =>
  (Object.keys(FLAGS) as (keyof typeof FLAGS)[]).flatMap((name) => {
    const value = options[name]
    return value === undefined ? [] : (FLAGS[name] as Written<unknown>)(value)
  })

/** A run like this one that begins from the prompt in `dir`, as a command. */
export function anotherRun(options: KeptOptions, dir: string, steps: number): string {
  // The prompt's own length is that of the run.
  const { length: _, init: __, ...recipe } = options.recipe ?? {}
  const words = flagsOf({ ...options, recipe: { ...recipe, steps } })
  return ['soft-prompts train', ...words, flag('init', dir), flag('out', `${dir.replace(/[/\\]+$/, '')}-more`)].join(' ')
}

/** An error with the commands that help (`facts.next`, a line each), where a run cannot be made longer because its rate falls over its steps. */
export async function explainResume(error: unknown, { out, steps }: { readonly out: string; readonly steps?: number }): Promise<unknown> {
  if (!(error instanceof MismatchError) || error.code !== 'resume-mismatch' || steps === undefined) return error
  const { names, steps: whole } = error.facts
  if (!Array.isArray(names) || names.join() !== 'steps' || typeof whole !== 'number') return error
  const kept = (await readKeptRun(out).catch(() => undefined))?.options
  if (kept === undefined) return error
  const more = steps > whole ? steps - whole : steps
  const first = existsSync(join(out, TENSOR_FILE)) ? [] : ['to its end:', `  ${await resumeCommand(out)}`]
  const each =
    kept.tasks === undefined && (kept.seeds ?? 1) === 1
      ? [`${more} steps more, the rate falling anew, in another folder:`, `  ${anotherRun(kept, out, more)}`]
      : [`Each of its prompts can begin one: --init ${quoted(join(out, 'NAME'))}`]
  return new MismatchError(error.code, error.message, { facts: { ...error.facts, next: [...first, ...each] }, cause: error })
}
