/** The card of a pack: several prompts in one folder or bundle, side by side. */
import { canonicalBase } from '../prompt/base-name.ts'
import { renderTemplate } from './body.ts'
import { frontMatter, mergeCard, templateValues } from './card.ts'
import { code, literal, text } from './escape.ts'
import type { CardFacts } from './facts.ts'

export interface PackFacts {
  /** Of the folder or bundle. */
  readonly name: string
  readonly isBundle: boolean
  readonly prompts: readonly { readonly name: string; readonly facts: CardFacts }[]
  readonly license?: string
  readonly language?: readonly string[]
}

/** Prompts that a card lists; more are counted. */
const MAX_PROMPTS = 200
/** Prompts that its snippet loads. */
const MAX_LOADED = 3

const strings = (value: unknown): string[] => (Array.isArray(value) ? value : [value]).filter((item) => typeof item === 'string')

/** What the members' own front matter says, together. */
function packFrontMatter({ prompts, license, language }: PackFacts): Record<string, unknown> {
  const all = prompts.map(({ facts }) => frontMatter(facts))
  const union = (field: string): string[] | undefined => {
    const found = [...new Set(all.flatMap((one) => strings(one[field])))]
    return found.length === 0 ? undefined : found.slice(0, MAX_PROMPTS)
  }
  const bases = union('base_model')
  const tasks = union('pipeline_tag')
  return {
    license,
    language,
    library_name: 'peft',
    base_model: bases?.length === 1 ? bases[0] : bases,
    base_model_relation: bases === undefined ? undefined : 'adapter',
    // The Hub knows one task a repository.
    pipeline_tag: tasks?.length === 1 && all.every((one) => one['pipeline_tag'] !== undefined) ? tasks[0] : undefined,
    tags: union('tags'),
    datasets: union('datasets'),
    metrics: union('metrics'),
  }
}

function packValues({ name, isBundle, prompts }: PackFacts): Record<string, unknown> {
  const rows = prompts.slice(0, MAX_PROMPTS).map((member) => ({ member, values: templateValues(member.facts) }))
  const [first] = rows
  const base = canonicalBase(first?.member.facts.manifest.base.id ?? '')
  // One base is loaded at a time.
  const together = rows.filter(({ member }) => canonicalBase(member.facts.manifest.base.id) === base).slice(0, MAX_LOADED)
  const place = (member: string): string => (isBundle ? `./${name}#${member}` : `./${name}/${member}`)
  return {
    title: text(name.replace(/\.(?:tar\.gz|tgz)$/, '')),
    count: prompts.length,
    more: prompts.length - rows.length,
    bases: [...new Set(rows.map(({ values }) => String(values['base'])))].join(', '),
    rows: rows.map(({ member, values }) => ({ ...values, name: code(member.name) })),
    load: together.map(({ member }) => `  ${literal(member.name)}: ${literal(place(member.name))},`).join('\n'),
    chosen: literal(first?.member.name ?? ''),
    input: first?.values['input'] ?? '',
    classifies: first?.values['classifies'] ?? false,
    base_option: first?.values['base_option'] ?? '',
  }
}

/**
 * Renders a pack's card; what a person wrote in `existing` stays.
 * @param template hub-cards/pack.ts
 * @throws {FormatError} `card-template` | `card-yaml` with the line, where the front matter of `existing` is not sound
 */
export const renderPackCard = (facts: PackFacts, template: string, existing = ''): string =>
  mergeCard(existing, packFrontMatter(facts), renderTemplate(template, packValues(facts)))
