/** A file of tasks that train together: `{ "mood": { "data": "mood.jsonl", "dev": "mood-dev.jsonl" }, "topic": { … } }`. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import * as v from 'valibot'
import { presetOf } from '../../src/data/presets.ts'
import { ConfigError } from '../../src/errors.ts'
import { parseStrictJson } from '../../src/tensor/strict-json.ts'
import type { TrainTask } from './training-task.ts'

const SOURCE = v.union([
  v.string(),
  v.strictObject({ repo: v.string(), config: v.exactOptional(v.string()), split: v.string(), revision: v.exactOptional(v.string()) }),
])
/** A record takes lists too, by their numbers. */
const NO_LIST = v.custom<Record<string, unknown>>((value) => !Array.isArray(value))

const FIELDS = {
  data: v.exactOptional(SOURCE),
  dev: v.exactOptional(SOURCE),
  preset: v.exactOptional(v.string()),
  template: v.exactOptional(v.string()),
  target: v.exactOptional(v.string()),
  labelMap: v.exactOptional(v.pipe(NO_LIST, v.record(v.string(), v.string()))),
  labels: v.exactOptional(v.union([v.array(v.string()), v.literal(false)])),
  initText: v.exactOptional(v.string()),
  initPrompt: v.exactOptional(v.string()),
  task: v.exactOptional(v.string()),
}
const TASKS = v.pipe(NO_LIST, v.record(v.string(), v.strictObject(FIELDS)))

/** What each field of a task should hold. */
const WANTED: { readonly [K in keyof typeof FIELDS]: string } = {
  data: 'a file name, or { repo, split } of a data set on the Hub',
  dev: 'a file name, or { repo, split } of a data set on the Hub',
  preset: 'the name of a known task, as "sst2"',
  template: 'text, as "subject: {subject}"',
  target: "a field's name",
  labelMap: 'an object of answers and label words, as { "0": "negative" }',
  labels: 'a list of label words, or false',
  initText: 'text',
  initPrompt: 'a folder, file or Hub id',
  task: 'text',
}

const isField = (name: string): name is keyof typeof FIELDS => Object.hasOwn(FIELDS, name)

/** What is wrong, in words of the file. */
function problemOf(issue: v.BaseIssue<unknown>): string {
  const [task, field] = (issue.path ?? []).map(({ key }) => String(key))
  if (task === undefined) return 'it should hold an object of tasks by name'
  const about = `the task ${JSON.stringify(task)}`
  if (field === undefined) return `${about} should be an object, as { "data": "mood.jsonl" }`
  if (!isField(field)) return `${about} has a field "${field}", which no task has (known: ${Object.keys(FIELDS).join(', ')})`
  return `${about}: "${field}" should be ${WANTED[field]}`
}

/**
 * Reads the tasks; files are meant from the folder of this one.
 * @throws {ConfigError} `tasks-file` | `preset-unknown`; {FormatError} `json-*`
 */
export async function readTasks(path: string): Promise<Record<string, Partial<TrainTask>>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError('tasks-file', `${path}: cannot be read (${(cause as Error).message}).`, { cause })
  })
  const parsed = v.safeParse(TASKS, parseStrictJson(text, path))
  if (!parsed.success) {
    const problems = parsed.issues.map(problemOf)
    throw new ConfigError(
      'tasks-file',
      `${path} is no file of tasks: ${problems.join('; ')}. Write { "mood": { "data": "mood.jsonl" }, … }.`,
      { facts: { problems } },
    )
  }
  const file = <T>(source: T): T | string => (typeof source === 'string' && source !== '-' ? resolve(dirname(path), source) : source)
  return Object.fromEntries(
    Object.entries(parsed.output).map(([name, { preset, data, dev, initPrompt, ...own }]): [string, Partial<TrainTask>] => [
      name,
      {
        ...(preset === undefined ? {} : presetOf(preset)),
        ...own,
        ...(data === undefined ? {} : { data: file(data) }),
        ...(dev === undefined ? {} : { dev: file(dev) }),
        // What does not lie there may be a Hub id.
        ...(initPrompt === undefined ? {} : { initPrompt: existsSync(file(initPrompt)) ? file(initPrompt) : initPrompt }),
      },
    ]),
  )
}
