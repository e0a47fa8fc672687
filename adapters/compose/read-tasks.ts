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
const TASKS = v.record(
  v.string(),
  v.strictObject({
    data: v.exactOptional(SOURCE),
    dev: v.exactOptional(SOURCE),
    preset: v.exactOptional(v.string()),
    template: v.exactOptional(v.string()),
    target: v.exactOptional(v.string()),
    labelMap: v.exactOptional(v.record(v.string(), v.string())),
    labels: v.exactOptional(v.union([v.array(v.string()), v.literal(false)])),
    initText: v.exactOptional(v.string()),
    initPrompt: v.exactOptional(v.string()),
    task: v.exactOptional(v.string()),
  }),
)

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
    const problems = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`)
    throw new ConfigError(
      'tasks-file',
      `${path} is no file of tasks: ${problems.join('; ')}. Write { "mood": { "data": "mood.jsonl" }, … }; known beside data: dev, preset, template, target, labelMap, labels, initText, initPrompt, task.`,
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
