/** The YAML block at the head of a model card. Source: huggingface.co/docs/hub/model-cards, `@huggingface/tasks`. */
import { FormatError } from '../errors.ts'
import { isMap, parseYaml, plainOf } from './yaml.ts'

/** Parts of a card: the YAML between the `---` lines, and what follows them. */
export interface CardParts {
  readonly yaml: string
  readonly body: string
  /** Line of the card that the YAML begins with, from 1. */
  readonly line: number
}

const WHITE = /\s/

/** Splits a card, in time by its length; a card without front matter is all body. */
export function splitCard(text: string): CardParts {
  const none = { yaml: '', body: text, line: 1 }
  let at = 0
  while (at < text.length && WHITE.test(text.charAt(at))) at += 1 // the byte order mark too
  /** Where the line that begins at `from` ends, if it is `---` alone; -1 otherwise. */
  const fence = (from: number): number => {
    const end = text.indexOf('\n', from)
    const line = text.slice(from, end === -1 ? text.length : end)
    if (!line.startsWith('---') || line.slice(3).trim() !== '') return -1
    return end === -1 ? text.length : end + 1
  }
  const start = fence(at)
  if (start === -1 || text.charAt(start - 1) !== '\n') return none
  for (let from = start; from <= text.length;) {
    const end = fence(from)
    if (end !== -1) {
      const line = text.slice(0, start).split('\n').length
      return { yaml: text.slice(start, from).replace(/\r?\n$/, ''), body: text.slice(end), line }
    }
    const next = text.indexOf('\n', from)
    if (next === -1) break
    from = next + 1
  }
  return none
}

/**
 * The front matter as a plain object; `{}` where there is none.
 * @param strict throw where it is not YAML; otherwise such a card reads as one without front matter
 * @throws {FormatError} `card-yaml` with the line | `card-yaml-size`
 */
export function readCardData(text: string, strict = false): Record<string, unknown> {
  const { yaml, line } = splitCard(text)
  try {
    const document = parseYaml(yaml, { line })
    if (document.contents === null) return {}
    if (isMap(document.contents)) return plainOf(document, yaml, { line }) as Record<string, unknown>
    throw new FormatError('card-yaml', `The card's front matter is no YAML map: line ${line}: write it as lines of "name: value".`, {
      facts: { line },
    })
  } catch (error) {
    if (strict || !(error instanceof FormatError)) throw error
    return {}
  }
}

const isStrings = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string')
const isText = (value: unknown): boolean => typeof value === 'string'
const isTextOrTexts = (value: unknown): boolean => isText(value) || isStrings(value)
const REPO_ID = /^[\w.-]+(\/[\w.-]+)?$/
const isRepo = (value: unknown): boolean =>
  (Array.isArray(value) ? value : [value]).every((item) => typeof item === 'string' && REPO_ID.test(item))

/** What each field must be: the Hub refuses a card otherwise. */
const RULES: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  license: [isTextOrTexts, 'a licence id, such as apache-2.0'],
  language: [isTextOrTexts, 'a language code or a list of them'],
  library_name: [isText, 'a library name'],
  tags: [isStrings, 'a list of words'],
  datasets: [isRepo, 'a list of data set ids, such as stanfordnlp/sst2'],
  metrics: [isStrings, 'a list of metric ids'],
  base_model: [isRepo, 'a model id, such as google-t5/t5-small'],
  base_model_relation: [
    (value) => isText(value) && ['finetune', 'adapter', 'merge', 'quantized'].includes(value as string),
    'finetune, adapter, merge or quantized',
  ],
  pipeline_tag: [isText, 'a task id'],
  'model-index': [isModelIndex, 'a list of { name, results: [{ task: { type }, dataset: { type, name }, metrics: [{ type, value }] }] }'],
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function isModelIndex(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every(
      (model) =>
        isObject(model) &&
        isText(model['name']) &&
        Array.isArray(model['results']) &&
        model['results'].every(
          (result) =>
            isObject(result) &&
            isObject(result['task']) &&
            isText(result['task']['type']) &&
            (result['dataset'] === undefined ||
              (isObject(result['dataset']) && isText(result['dataset']['type']) && isText(result['dataset']['name']))) &&
            Array.isArray(result['metrics']) &&
            result['metrics'].every((metric) => isObject(metric) && isText(metric['type']) && metric['value'] !== undefined),
        ),
    )
  )
}

/** What the Hub would refuse in a card's front matter, one line each. */
export function checkCardData(data: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(RULES)
    .filter(([field, [rule]]) => data[field] !== undefined && data[field] !== null && !rule(data[field]))
    .map(([field, [, expected]]) => `"${field}" must be ${expected}`)
}
