/**
 * YAML of strangers, within bounds. The library's composer calls itself for each level, and tells keys apart pair by pair: a few hundred bytes could
 * take minutes, or end the process at the end of its stack. So levels are counted on the lexer's tokens, before anything is composed, and keys,
 * anchors and sizes are looked at in one walk.
 */
import { isAlias, isMap, isScalar, isSeq, Lexer, parseDocument, visit, type Document, type Pair } from 'yaml'
import { FormatError } from '../errors.ts'

export { isMap, isScalar, isSeq, type Document, type YAMLMap, type YAMLSeq } from 'yaml'

/** Longest YAML that is read; the longest on the Hub list thousands of languages and results in 400 KB. */
const MAX_CHARACTERS = 500_000
/** A model-index has a dozen levels; each may count twice here. */
const MAX_LEVELS = 64
/** Characters that aliases may stand for, all together. */
const MAX_ALIASED = 100_000

export interface YamlPlace {
  /** Line of the file that the YAML begins with, from 1. */
  readonly line: number
}

/** What to do about an error, by the library's code. */
const ADVICE: Readonly<Record<string, string>> = {
  BLOCK_AS_IMPLICIT_KEY: 'Put a text that holds ": " in quotes',
  MULTILINE_IMPLICIT_KEY: 'Put a text of several lines in quotes, and end each key with a colon',
  BAD_INDENT: 'Line it up with those above',
  TAB_AS_INDENT: 'Use spaces in place of tabs',
  MISSING_CHAR: 'Close the quote or bracket',
  BAD_SCALAR_START: 'Put that text in quotes',
  MULTIPLE_DOCS: 'Close the front matter with one line of "---"',
}

const lineAt = (text: string, offset: number): number => {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

function refuse(yaml: string, { line }: YamlPlace, offset: number, problem: string, advice = 'Mend that line'): never {
  const at = line + lineAt(yaml, offset)
  throw new FormatError('card-yaml', `The card's front matter is not sound YAML: line ${at}: ${problem.replace(/[.:]$/, '')}. ${advice}.`, {
    facts: { line: at },
  })
}

/** Refuses what is nested deeper than any card, by indentation, `- ` and brackets; nothing here calls itself. */
function checkLevels(yaml: string, place: YamlPlace): void {
  const outer: { readonly indent: number; readonly levels: number }[] = []
  let [offset, indent, levels, above, brackets] = [0, 0, 0, 0, 0]
  let [atStart, inFlow, isText] = [true, false, false]
  for (const token of new Lexer().lex(yaml)) {
    const begins = offset
    // The lexer's own marks stand for no character of the text.
    if (/^[\u0002\u0018\u001f]$/.test(token) && !isText) {
      isText = token === '\u001f'
      if (token === '\u0018') brackets = 0
      continue
    }
    offset += token.length
    if (token.includes('\n')) {
      if (!inFlow && levels > 0) {
        outer.push({ indent, levels })
        above += levels
      }
      ;[atStart, indent, levels, inFlow] = [true, 0, 0, brackets > 0]
    } else if (atStart) {
      if (/^ +$/.test(token)) indent = token.length
      // Within brackets indentation says nothing.
      const floor = inFlow ? Infinity : indent
      while ((outer.at(-1)?.indent ?? -1) >= floor) above -= outer.pop()?.levels ?? 0
      if (!/^ +$/.test(token)) atStart = false
    }
    if (!isText && /^[-?:]$/.test(token)) levels += brackets > 0 ? 0 : 1
    if (!isText && /^[[{]$/.test(token)) brackets += 1
    if (!isText && /^[\]}]$/.test(token)) brackets = Math.max(0, brackets - 1)
    isText = false
    if (above + levels + brackets > MAX_LEVELS) refuse(yaml, place, begins, `it is nested more than ${MAX_LEVELS} deep`, 'Make it flatter')
  }
}

/** A text of nothing but mistakes makes as many errors; their stacks would take most of the time. */
function withoutStacks<T>(work: () => T): T {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = before
  }
}

/**
 * YAML as the library's document, comments and all, where it is sound.
 * @throws {FormatError} `card-yaml` with the line, `card-yaml-size`
 */
export function parseYaml(yaml: string, place: YamlPlace = { line: 1 }): Document {
  if (yaml.length > MAX_CHARACTERS) {
    throw new FormatError(
      'card-yaml-size',
      `The card's front matter is longer than ${MAX_CHARACTERS} characters: move what is long into the text below it.`,
    )
  }
  checkLevels(yaml, place)
  // Its own check of keys compares each with each; plainOf does it in one walk.
  const document = withoutStacks(() => parseDocument(yaml, { prettyErrors: false, uniqueKeys: false, logLevel: 'error' }))
  const [error] = document.errors
  if (error) refuse(yaml, place, error.pos[0], error.message.split('\n')[0] ?? '', ADVICE[error.code])
  return document
}

interface Walk {
  readonly yaml: string
  readonly place: YamlPlace
  readonly anchors: Map<string, { readonly value: unknown; readonly size: number }>
  size: number
  aliased: number
}

type Ranged = { readonly range?: readonly [number, number, number] | null | undefined } | null | undefined
const startOf = (node: unknown): number => (node as Ranged)?.range?.[0] ?? 0

function keyOf({ key }: Pair, walk: Walk): string {
  const value: unknown = isScalar(key) ? key.value : key
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return refuse(walk.yaml, walk.place, startOf(key), 'a key is no word', 'Write the key as a word, and "key: value"')
}

function plainMap(items: readonly Pair[], walk: Walk): Record<string, unknown> {
  const seen = new Map<string, number>()
  const entries = items.map((pair): [string, unknown] => {
    const name = keyOf(pair, walk)
    const before = seen.get(name)
    const at = startOf(pair.key)
    if (before !== undefined) {
      const first = walk.place.line + lineAt(walk.yaml, before)
      refuse(
        walk.yaml,
        walk.place,
        at,
        `the key ${JSON.stringify(name.slice(0, 60))} is there already, in line ${first}`,
        'Remove one of them',
      )
    }
    seen.set(name, at)
    walk.size += name.length
    return [name, plain(pair.value, walk)]
  })
  return Object.fromEntries(entries)
}

function plain(node: unknown, walk: Walk): unknown {
  const { yaml, place } = walk
  walk.size += 1
  if (node === null || node === undefined) return null
  if (isAlias(node)) {
    const found = walk.anchors.get(node.source)
    if (found === undefined) {
      return refuse(
        yaml,
        place,
        startOf(node),
        `"*${node.source.slice(0, 60)}" names nothing above it`,
        'Put a text that begins with "*" in quotes',
      )
    }
    walk.size += found.size
    walk.aliased += found.size
    if (walk.aliased > MAX_ALIASED) refuse(yaml, place, startOf(node), 'its aliases stand for too much', 'Write it out, or shorter')
    return found.value
  }
  const before = walk.size
  let value: unknown
  if (isMap(node)) value = plainMap(node.items, walk)
  else if (isSeq(node)) value = node.items.map((item) => plain(item, walk))
  else value = isScalar(node) ? node.value : undefined
  if (typeof value === 'string') walk.size += value.length
  // Dates, bytes and sets, which a directive can ask for.
  const known = value === null || ['string', 'number', 'boolean'].includes(typeof value) || isMap(node) || isSeq(node)
  if (!known) refuse(yaml, place, startOf(node), 'a value is neither text, number, list nor map', 'Put it in quotes')
  const { anchor } = node as { anchor?: string }
  if (anchor !== undefined) walk.anchors.set(anchor, { value, size: walk.size - before })
  return value
}

/**
 * A document's value: objects, arrays, texts, numbers, booleans and null, and nothing that converts by code of its own.
 * @throws {FormatError} `card-yaml` with the line, for a key twice or one that is no word, an alias of nothing, and too much behind aliases
 */
export const plainOf = (document: Document, yaml: string, place: YamlPlace = { line: 1 }): unknown =>
  plain(document.contents, { yaml, place, anchors: new Map(), size: 0, aliased: 0 })

/** Whether a part of the document stands for another, so that neither can be written by itself. */
export function hasAliases(document: Document): boolean {
  let found = false
  const stop = (): symbol => {
    found = true
    return visit.BREAK
  }
  visit(document, { Alias: stop, Value: (_, node) => ('anchor' in node && node.anchor !== undefined ? stop() : undefined) })
  return found
}
