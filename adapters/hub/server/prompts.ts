/** What a prompt's own manifest says for the list: its task, its base, how well it does. Anything in it may be a stranger's. */
import { flat } from '../../../src/card/escape.ts'
import { shownResult } from '../../../src/card/figures.ts'
import { isObject, type JsonObject } from './http.ts'

export interface PromptLines {
  readonly task?: string
  readonly base?: string
  readonly result?: string
}

const LETTERS = 300

const lineOf = (value: unknown): string | undefined => {
  const line = typeof value === 'string' ? flat(value).slice(0, LETTERS) : ''
  return line === '' ? undefined : line
}

/** The first figure of a manifest, with the rows it was measured on. */
function resultOf(metrics: unknown): string | undefined {
  const first: unknown = Array.isArray(metrics) ? metrics[0] : undefined
  if (!isObject(first)) return undefined
  const { name, split, value, n } = first
  const sound = typeof name === 'string' && typeof split === 'string' && typeof value === 'number' && typeof n === 'number'
  return sound ? lineOf(shownResult({ name, split, value, n })) : undefined
}

/** Lines for people, from a parsed soft_prompt.json or, where that is missing, from what the card and adapter_config.json say. */
export function promptLines(manifest: JsonObject | undefined, card: JsonObject, config: JsonObject | undefined): PromptLines {
  const from = manifest?.['base_model']
  const bases = Array.isArray(card['base_model']) ? card['base_model'][0] : card['base_model']
  const [task, base, result] = [
    lineOf(manifest?.['task']),
    lineOf(isObject(from) ? from['id'] : undefined) ?? lineOf(bases) ?? lineOf(config?.['base_model_name_or_path']),
    resultOf(manifest?.['metrics']),
  ]
  return { ...(task === undefined ? {} : { task }), ...(base === undefined ? {} : { base }), ...(result === undefined ? {} : { result }) }
}
