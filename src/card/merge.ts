/** Facts put into front matter that a person may have written in: only what changes is written anew, all else stays to the letter. */
import { FormatError } from '../errors.ts'
import { hasAliases, isMap, isScalar, isSeq, parseYaml, plainOf, type Document, type YAMLMap, type YAMLSeq } from './yaml.ts'

/** What an earlier card of ours said, read from its marked sections: the rest is the person's. */
export interface EarlierCard {
  /** Whether there was one. */
  readonly isOurs: boolean
  /** Model and data set ids that it linked. */
  readonly ids: ReadonlySet<string>
  /** Whether it told of label words. */
  readonly classified: boolean
}

/** Changes one field in a document that holds nothing else. */
type Merge = (one: Document, name: string, value: unknown, earlier: EarlierCard) => void

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value])
const valueOf = (one: Document, name: string): unknown => (one.toJS({ maxAliasCount: 100 }) as Record<string, unknown> | null)?.[name]

function set(one: Document, name: string, value: unknown): void {
  const before = one.get(name, true)
  const node = one.createNode(value)
  // The comment at the end of the line stays.
  if (isScalar(before) && before.comment) node.comment = before.comment
  one.set(name, node)
}

/** Said by whoever writes the card now. */
const said: Merge = (one, name, value) => {
  if (value !== undefined) set(one, name, value)
}

/** The same in every card of ours: another one is the person's. */
const constant: Merge = (one, name, value) => {
  if (value !== undefined && listOf(valueOf(one, name)).length === 0) set(one, name, value)
}

/** Adds to a list, and makes one of a text, at the nodes themselves: comments stay. */
function addTo(one: Document, name: string, added: readonly unknown[]): void {
  const before = one.get(name, true)
  if (isSeq(before)) for (const item of added) before.add(one.createNode(item))
  else if (isScalar(before) && before.value !== null) {
    const list = one.createNode([]) as YAMLSeq
    list.add(before)
    for (const item of added) list.add(one.createNode(item))
    one.set(name, list)
  } else if (!isMap(before)) set(one, name, added)
}

const union: Merge = (one, name, value) => {
  const old = listOf(valueOf(one, name))
  const added = listOf(value).filter((item) => !old.includes(item))
  if (added.length > 0) addTo(one, name, added)
}

/** Ids: those that an earlier card of ours named and this one does not are no longer true. */
const ids: Merge = (one, name, value, earlier) => {
  const wanted = listOf(value)
  const old = listOf(valueOf(one, name))
  const stale = (item: unknown): boolean => typeof item === 'string' && earlier.ids.has(item) && !wanted.includes(item)
  const kept = old.filter((item) => !stale(item))
  if (kept.length === 0) {
    if (value === undefined) one.delete(name)
    else if (JSON.stringify(old) !== JSON.stringify(wanted)) set(one, name, value)
    return
  }
  const list = one.get(name, true)
  if (isSeq(list)) list.items = list.items.filter((item) => !stale(isScalar(item) ? item.value : item))
  union(one, name, value, earlier)
}

const task: Merge = (one, name, value, earlier) => {
  if (value === undefined && earlier.classified && valueOf(one, name) === 'text-classification') one.delete(name)
  else constant(one, name, value, earlier)
}

/** A figure as we name it: `accuracy on dev (n = 200)`, cut where it is too long for a card. */
const OUR_FIGURE = /(?:^| )on .*\(n = \d+\)$|^.{500,}…$/s

const isOurMetric = (metric: unknown): boolean =>
  isMap(metric) && OUR_FIGURE.test(String(isScalar(metric.get('name', true)) ? metric.get('name') : ''))

const seqIn = (node: unknown, name: string): YAMLSeq | undefined => {
  const found: unknown = isMap(node) ? node.get(name, true) : undefined
  return isSeq(found) ? found : undefined
}

/** Takes our figures out of a model's results. @returns where they stood; -1 where there were none */
function takeOurs(model: unknown): number {
  const results = seqIn(model, 'results')
  let at = -1
  if (results === undefined) return at
  results.items = results.items.filter((result, index) => {
    const metrics = seqIn(result, 'metrics')
    const theirs = metrics?.items.filter((metric) => !isOurMetric(metric))
    if (metrics === undefined || theirs === undefined || theirs.length === metrics.items.length) return true
    if (at === -1) at = index
    metrics.items = theirs
    return theirs.length > 0
  })
  return at
}

/** Results: ours are written anew at their place, a person's stay. */
const results: Merge = (one, name, value, earlier) => {
  const models = one.get(name, true)
  const [ours] = listOf(value)
  if (!isSeq(models) || models.items.length === 0) {
    if (value !== undefined) set(one, name, value)
    return
  }
  const places = models.items.map((model) => (earlier.isOurs ? takeOurs(model) : -1))
  const made = isObject(ours) ? listOf(ours['results']).map((result) => one.createNode(result)) : []
  const chosen = Math.max(
    0,
    places.findIndex((place) => place !== -1),
  )
  const model = models.items[chosen] as YAMLMap
  const list = seqIn(model, 'results')
  if (made.length > 0 && isMap(model)) {
    const place = places[chosen] ?? -1
    // A model that held nothing but ours takes our name too.
    if (place !== -1 && list?.items.length === 0 && isObject(ours)) model.set('name', ours['name'])
    if (list === undefined) model.set('results', made)
    else list.items.splice(place === -1 ? list.items.length : Math.min(place, list.items.length), 0, ...made)
  }
  models.items = models.items.filter((item, index) => places[index] === -1 || seqIn(item, 'results')?.items.length !== 0)
  if (models.items.length === 0) one.delete(name)
}

const MERGES: Readonly<Record<string, Merge>> = {
  license: said,
  language: said,
  library_name: constant,
  base_model: ids,
  base_model_relation: constant,
  pipeline_tag: task,
  tags: union,
  datasets: ids,
  metrics: union,
  'model-index': results,
}

const textOf = (one: Document): string => one.toString({ lineWidth: 0 })

/** One field's lines, as they are or changed; '' where it goes. */
function mergeOne(yaml: string, name: string, value: unknown, earlier: EarlierCard): string {
  const one = parseYaml(yaml)
  if (!isMap(one.contents)) one.contents = one.createNode({}) as never
  const before = JSON.stringify(one.toJS())
  ;(MERGES[name] ?? said)(one, name, value, earlier)
  if (JSON.stringify(one.toJS()) === before) return yaml
  return (one.contents as unknown as YAMLMap).items.length === 0 ? '' : textOf(one)
}

/** A field's name and its lines in the text; comments in front of the next field are the next one's. */
interface Lines {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** Where each field stands; undefined where fields do not begin lines of their own. */
function linesOf(yaml: string, map: YAMLMap): Lines[] | undefined {
  if (map.flow) return undefined
  const starts = map.items.map(({ key }) => (isScalar(key) ? (key.range?.[0] ?? -1) : -1))
  if (starts.some((start) => start < 0 || (start > 0 && yaml[start - 1] !== '\n'))) return undefined
  return map.items.map(({ key }, index) => {
    const start = starts[index] as number
    let end = starts[index + 1] ?? yaml.length
    for (;;) {
      const line = yaml.lastIndexOf('\n', end - 2) + 1
      if (line <= start || !/^(#.*)?\s*$/.test(yaml.slice(line, end))) break
      end = line
    }
    return { name: String(isScalar(key) ? key.value : ''), start, end }
  })
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

/**
 * Writes fields into front matter. What a person wrote there stays, to the letter: fields we do not know, comments, order; results, tags, metrics and ids
 * beside ours.
 * @param fields by name; undefined has nothing to say
 * @param line of the card that the YAML begins with
 * @throws {FormatError} `card-yaml` with the line where it is not sound: what is in it would be lost
 */
export function mergeFrontMatter(yaml: string, fields: Readonly<Record<string, unknown>>, earlier: EarlierCard, line = 1): string {
  const document = parseYaml(yaml, { line })
  const { contents } = document
  if (contents !== null && !isMap(contents)) {
    throw new FormatError('card-yaml', `The card's front matter is no YAML map: line ${line}: write it as lines of "name: value".`, {
      facts: { line },
    })
  }
  plainOf(document, yaml, { line })
  const lines = contents === null ? [] : hasAliases(document) ? undefined : linesOf(yaml, contents)
  if (lines === undefined) {
    for (const [name, value] of Object.entries(fields)) (MERGES[name] ?? said)(document, name, value, earlier)
    return textOf(document)
  }
  let merged = ''
  let at = 0
  for (const { name, start, end } of lines) {
    const old = yaml.slice(start, end)
    merged += yaml.slice(at, start) + (Object.hasOwn(fields, name) ? mergeOne(old, name, fields[name], earlier) : old)
    at = end
  }
  const known = new Set(lines.map(({ name }) => name))
  const added = Object.entries(fields).filter(([name]) => !known.has(name))
  return added.reduce((text, [name, value]) => ended(text) + mergeOne('', name, value, earlier), merged + yaml.slice(at))
}
