/** Input templates: `premise: {premise} hypothesis: {hypothesis}`. `{{` and `}}` are literal braces. */
import { ConfigError, DataError } from '../errors.ts'
import type { Row } from './rows.ts'

export interface Template {
  readonly text: string
  /** The fields named, each once, in order. */
  readonly fields: readonly string[]
  /** What it gives where every field is empty. */
  readonly frame: string
  /** Fills the template from a row. @throws {DataError} `row-field` */
  render(row: Row): string
}

export const DEFAULT_TEMPLATE = '{input}'

/**
 * Parses a template.
 * @throws {ConfigError} `template-brace` for a brace that is never closed or opened.
 */
export function parseTemplate(text: string): Template {
  // Even entries are literal text, odd ones field names.
  const parts: string[] = []
  const pattern = /\{\{|\}\}|\{([^{}]+)\}|[{}]/g
  let literal = ''
  let end = 0
  for (const match of text.matchAll(pattern)) {
    literal += text.slice(end, match.index)
    end = match.index + match[0].length
    if (match[1] !== undefined) {
      parts.push(literal, match[1].trim())
      literal = ''
    } else if (match[0].length === 2) literal += match[0].charAt(0)
    else {
      throw new ConfigError(
        'template-brace',
        `The template ${JSON.stringify(text)} has a lone ${match[0]} at character ${match.index + 1}. Write {field}, or ${match[0]}${match[0]} for the character itself.`,
        { facts: { template: text, at: match.index } },
      )
    }
  }
  parts.push(literal + text.slice(end))
  const names = parts.filter((_, index) => index % 2 === 1)
  const asked = `The template ${JSON.stringify(text)} asks for it: rows and template must have the same field names.`
  return {
    text,
    fields: [...new Set(names)],
    frame: parts.filter((_, index) => index % 2 === 0).join(''),
    render: (row) => parts.map((part, index) => (index % 2 === 1 ? fieldText(row, part, asked) : part)).join(''),
  }
}

/** A text for a template of one field, or fields by name. */
export type TemplateInput = string | Readonly<Record<string, unknown>>

/**
 * A template filled by fields, or by a text where it has one field, whatever its name.
 * @param where what messages call the input
 * @throws {ConfigError} `template-fields` for a lone text and a template of several fields or none; {DataError} `row-field`
 */
export function fillTemplate({ text: template, fields, render }: Template, input: TemplateInput, where = 'the text'): string {
  if (typeof input !== 'string') return render({ fields: input, where })
  const [field] = fields
  if (field !== undefined && fields.length === 1) return render({ fields: { [field]: input }, where })
  const why =
    fields.length === 0 ? 'has no field that a text could fill' : `has the fields ${fields.join(', ')}; a lone text cannot fill them`
  const help = fields.length === 0 ? 'Train with a template such as "{input}".' : `Give them as { ${fields.join(', ')} } instead of a text.`
  throw new ConfigError('template-fields', `${where}: the prompt's template ${JSON.stringify(template)} ${why}. ${help}`, {
    facts: { template, fields },
  })
}

/** The value a name stands for: a field, else a path into one (`answers.text.0`). */
function valueAt(row: Row, name: string): unknown {
  if (Object.hasOwn(row.fields, name)) return row.fields[name]
  let value: unknown = row.fields
  for (const key of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/**
 * A field as text: strings as they are, numbers and booleans by String().
 * @param why what asks for the field, and what to do where it is not there; a sentence
 * @throws {DataError} `row-field`
 */
export function fieldText(row: Row, name: string, why: string, options?: readonly string[]): string {
  const value = valueAt(row, name)
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  const found = Object.keys(row.fields).join(', ') || 'none'
  const got =
    value === undefined ? 'it has no such field' : `it holds ${value === null ? 'null' : Array.isArray(value) ? 'a list' : 'an object'}`
  throw new DataError(
    'row-field',
    `${row.where}: the field "${name}" should be text or a number, but ${got} (fields here: ${found}). ${why}`,
    {
      facts: { where: row.where, field: name, ...(options === undefined ? {} : { options }) },
    },
  )
}
