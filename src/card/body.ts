/** The body of a card: sections from the template, between marks, so that what people write around them stays. */
import { Template } from '@huggingface/jinja'
import { FormatError } from '../errors.ts'

interface Block {
  readonly name: string
  readonly text: string
}

/** A mark stands on a line of its own; strings of strangers never do. */
const BLOCK = /^<!-- soft-prompts:([a-z-]+) -->\n([\s\S]*?)^<!-- \/soft-prompts:\1 -->$/gm

const format = ({ name, text }: Block): string => `<!-- soft-prompts:${name} -->\n${text}<!-- /soft-prompts:${name} -->`

const blocksOf = (text: string): Block[] => [...text.matchAll(BLOCK)].map((match) => ({ name: match[1] ?? '', text: match[2] ?? '' }))

/** Renders the template and tidies blank lines. */
export function renderTemplate(template: string, values: Record<string, unknown>): string {
  const text = new Template(template).render(values)
  return `${text
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`
}

/** Sections of PEFT's and transformers' unfilled templates say nothing: they are not kept. */
const PLACEHOLDER = /\[More Information Needed\]|\[optional\]|<!-- Provide a (quick|longer) summary/i

/** What a person wrote in a card that has no marks yet. */
function keptSections(body: string, made: readonly Block[]): string {
  const titles = new Set(made.flatMap(({ text }) => [...text.matchAll(/^#{1,2} (.+)$/gm)].map((match) => match[1]?.trim())))
  return body
    .split(/^(?=#{1,6} )/m)
    .filter((section) => section.trim() !== '' && !PLACEHOLDER.test(section) && !titles.has(/^#{1,6} (.+)/.exec(section)?.[1]?.trim()))
    .filter((section) => section.split('\n').slice(1).join('').trim() !== '' || !section.startsWith('#'))
    .join('')
    .trim()
}

/**
 * Puts newly made sections in the place of the old ones. A section that is new goes behind the one before it; one that is gone is removed;
 * everything else stays.
 * @throws {FormatError} `card-template` where the template has no marks
 */
export function mergeBody(made: string, existing: string): string {
  const fresh = blocksOf(made)
  if (fresh.length === 0) throw new FormatError('card-template', 'The card template has no "<!-- soft-prompts:NAME -->" sections.')
  const old = existing.replaceAll('\r\n', '\n')
  const known = new Set(blocksOf(old).map(({ name }) => name))
  if (known.size === 0) {
    const kept = keptSections(old, fresh)
    return kept === '' ? made : `${made.trimEnd()}\n\n${kept}\n`
  }
  const byName = new Map(fresh.map((block) => [block.name, block]))
  const written = new Set<string>()
  let lead = ''
  const merged = old.replace(BLOCK, (_, name: string) => {
    const block = byName.get(name)
    if (block === undefined || written.has(name)) return ''
    const missing = fresh.slice(0, fresh.indexOf(block)).filter((other) => !known.has(other.name) && !written.has(other.name))
    for (const other of [...missing, block]) written.add(other.name)
    return [...missing, block].map(format).join('\n\n')
  })
  const rest = fresh.filter(({ name }) => !written.has(name))
  if (rest.length > 0) lead = `\n\n${rest.map(format).join('\n\n')}\n`
  return `${merged.trimEnd()}${lead}`.replace(/\n{3,}/g, '\n\n').trimEnd() + '\n'
}
