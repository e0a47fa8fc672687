/** The YAML block at the head of a model card. Source: huggingface.co/docs/hub/model-cards, `@huggingface/tasks`. */
import { isMap, isScalar, parseDocument, type Document } from 'yaml'
import { FormatError } from '../errors.ts'

/** Longest front matter that is read; the longest on the Hub list thousands of languages and results in 400 KB. */
const MAX_CHARACTERS = 1_000_000

/** Parts of a card: the YAML between the `---` lines, and what follows them. */
export interface CardParts {
  readonly yaml: string
  readonly body: string
}

/** Splits a card; a card without front matter is all body. */
export function splitCard(text: string): CardParts {
  const match = /^\uFEFF?\s*---[ \t]*\r?\n([\s\S]*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|$)/m.exec(text)
  if (match === null || match.index !== 0) return { yaml: '', body: text }
  return { yaml: match[1] ?? '', body: text.slice(match[0].length) }
}

function parse(yaml: string): Document {
  if (yaml.length > MAX_CHARACTERS)
    throw new FormatError('card-yaml-size', `The card's front matter is longer than ${MAX_CHARACTERS} characters.`)
  return parseDocument(yaml, { prettyErrors: true })
}

/**
 * The front matter as a plain object; `{}` where there is none.
 * @param strict throw where it is not YAML; otherwise such a card reads as one without front matter
 * @throws {FormatError} `card-yaml`
 */
export function readCardData(text: string, strict = false): Record<string, unknown> {
  const document = parse(splitCard(text).yaml)
  const [error] = document.errors
  if (error === undefined && (document.contents === null || isMap(document.contents))) {
    // Aliases are bounded: a few lines of YAML may otherwise stand for gigabytes.
    return (document.toJS({ maxAliasCount: 100 }) as Record<string, unknown> | null) ?? {}
  }
  if (!strict) return {}
  throw new FormatError(
    'card-yaml',
    `The card's front matter is not a YAML map: ${error?.message.split('\n')[0] ?? 'it holds another value'}.`,
  )
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
    (value) => ['finetune', 'adapter', 'merge', 'quantized'].includes(String(value)),
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

/**
 * Writes fields into front matter. Fields it does not name stay as they were, comments and order included; lists of words are joined.
 * @param fields by name; undefined leaves the old value
 */
export function mergeFrontMatter(yaml: string, fields: Readonly<Record<string, unknown>>): string {
  const document = parse(yaml)
  if (document.errors.length > 0 || !isMap(document.contents)) return formatFresh(fields)
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const old: unknown = document.get(name)
    const joined = name === 'tags' && isObject(old) ? joinTags(document.toJS() as Record<string, unknown>, value) : value
    const before = document.get(name, true)
    const node = document.createNode(joined)
    if (isScalar(before) && isScalar(node)) {
      // The comment at the end of the line stays.
      if (before.comment) node.comment = before.comment
    }
    document.set(name, node)
  }
  return document.toString({ lineWidth: 0 })
}

function joinTags(data: Readonly<Record<string, unknown>>, tags: unknown): unknown {
  const old = data['tags']
  return isStrings(old) && isStrings(tags) ? [...new Set([...(old as string[]), ...(tags as string[])])] : tags
}

function formatFresh(fields: Readonly<Record<string, unknown>>): string {
  const document = parseDocument('{}')
  document.contents = document.createNode(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))) as never
  return document.toString({ lineWidth: 0 })
}
