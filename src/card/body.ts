/** The body of a card: sections from the template, between marks, so that what people write around them stays. */
import { Template } from '@huggingface/jinja'
import { FormatError } from '../errors.ts'

/** A section of ours, by name; or text of others, without one. */
interface Part {
  readonly name?: string
  readonly text: string
}

/** A mark stands on a line of its own; strings of strangers never do. */
const OPENS = /^<!-- soft-prompts:([a-z-]+) -->$/

const format = ({ name, text }: Part): string => `<!-- soft-prompts:${name} -->\n${text}<!-- /soft-prompts:${name} -->`

/** Sections and what stands between them, in order, in one walk over the lines; a section that is never closed is text. */
function partsOf(body: string): Part[] {
  const lines = body.split('\n')
  const closes = new Map<string, number[]>()
  for (const [index, line] of lines.entries()) {
    const name = /^<!-- \/soft-prompts:([a-z-]+) -->$/.exec(line)?.[1]
    if (name === undefined) continue
    const found = closes.get(name)
    if (found) found.push(index)
    else closes.set(name, [index])
  }
  for (const found of closes.values()) found.reverse()
  const parts: Part[] = []
  let from = 0
  for (let at = 0; at < lines.length; at += 1) {
    const name = OPENS.exec(lines[at] ?? '')?.[1]
    if (name === undefined) continue
    const left = closes.get(name) ?? []
    while ((left.at(-1) ?? Infinity) < at) left.pop()
    const end = left.at(-1)
    if (end === undefined) continue
    parts.push({
      text: lines
        .slice(from, at)
        .map((line) => `${line}\n`)
        .join(''),
    })
    parts.push({
      name,
      text: lines
        .slice(at + 1, end)
        .map((line) => `${line}\n`)
        .join(''),
    })
    at = end
    from = end + 1
  }
  return [...parts, { text: lines.slice(from).join('\n') }]
}

/** The sections of a card that an earlier run wrote, by name. */
export const markedSections = (body: string): ReadonlyMap<string, string> =>
  new Map(partsOf(body.replaceAll('\r\n', '\n')).flatMap(({ name, text }) => (name === undefined ? [] : [[name, text] as const])))

/** Renders the template and tidies blank lines. */
export function renderTemplate(template: string, values: Record<string, unknown>): string {
  const text = new Template(template).render(values)
  return `${text
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`
}

/** What PEFT's and transformers' unfilled templates hold in place of words. */
const PLACEHOLDER = /\[More Information Needed\]|<!-- Provide a (?:quick|longer) summary/i

const UNTITLED = /^# Model Card for Model ID\s/

/** A line of such a template that says nothing: a comment, a blank to fill, or a field with one. */
const isBlankLine = (line: string): boolean =>
  /^\s*$|^\s*<!--.*-->\s*$|^\s*(?:[-*] )?(?:\*\*.*\*\*)?:?\s*\[More Information Needed\]\s*$/i.test(line)

/** What a person wrote in a card that has no marks yet: all of it, but for sections of an unfilled template that say nothing. */
function keptSections(body: string): string {
  if (!PLACEHOLDER.test(body)) return body.trim()
  const sections = body.split(/^(?=#{1,6} )/m)
  let kept = ''
  /** The deepest heading that something kept needs above it. */
  let needed = 0
  for (const section of sections.toReversed()) {
    const level = /^#{1,6}(?= )/.exec(section)?.[0].length ?? 0
    const says = section
      .split('\n')
      .slice(level === 0 ? 0 : 1)
      .some((line) => !isBlankLine(line))
    if (!says && (UNTITLED.test(section) || !(level > 0 && level < needed))) continue
    kept = section + kept
    needed = level
  }
  return kept.trim()
}

/** Text of others between two sections; what lay around a section that went closes up. */
const joined = (before: string, after: string): string => (/^\s*$/.test(after) ? before : before + after)

/** Whether a person wrote nothing in it. */
const isOurs = ({ name, text }: Part): boolean => name !== undefined || text.trim() === ''

/**
 * Puts newly made sections in the place of the old ones. A section that is new goes behind the one before it; one that is gone is removed;
 * everything else stays.
 * @throws {FormatError} `card-template` where the template has no marks
 */
export function mergeBody(made: string, existing: string): string {
  const fresh = partsOf(made).filter(({ name }) => name !== undefined)
  if (fresh.length === 0) throw new FormatError('card-template', 'The card template has no "<!-- soft-prompts:NAME -->" sections.')
  const old = partsOf(existing)
  const known = new Set(old.map(({ name }) => name))
  known.delete(undefined)
  if (known.size === 0) {
    const kept = keptSections(existing)
    return kept === '' ? made : `${made.trimEnd()}\n\n${kept}\n`
  }
  const [first, last] = [old.findIndex(({ name }) => name !== undefined), old.findLastIndex(({ name }) => name !== undefined)]
  // Nothing of a person's stands between them: in today's order, with what is new in its place.
  if (old.slice(first, last).every(isOurs)) {
    const [before, after] = [old.slice(0, first), old.slice(last + 1)].map((parts) => parts.map(({ text }) => text).join(''))
    return `${before}${fresh.map(format).join('\n\n')}\n${after}`
  }
  const written = new Set<string>()
  let merged = ''
  let isGone = false
  for (const { name, text } of old) {
    const at = fresh.findIndex((part) => part.name === name)
    if (name === undefined) {
      merged = isGone ? joined(merged, text) : merged + text
      isGone = false
    } else if (at === -1 || written.has(name)) {
      isGone = true
    } else {
      const missing = fresh.slice(0, at).filter((part) => !known.has(part.name) && !written.has(part.name ?? ''))
      const parts = [...missing, fresh[at] as Part]
      for (const part of parts) written.add(part.name ?? '')
      merged += `${parts.map(format).join('\n\n')}\n`
      isGone = false
    }
  }
  const rest = fresh.filter(({ name }) => !written.has(name ?? ''))
  return `${[merged.trimEnd(), ...rest.map(format)].join('\n\n')}\n`
}
