/** Text of strangers in Markdown: shown as it is, never obeyed. */
import { isHubId } from '../prompt/base-name.ts'

/** Longest string of a manifest that a card repeats. */
const MAX_CHARACTERS = 500

/** One line without control characters and without marks that turn the direction of text around. */
export function flat(value: string): string {
  /* oxlint-disable no-control-regex -- control characters are what is removed */
  const clean = value
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '')
  /* oxlint-enable no-control-regex */
  const short = [...clean.trim()]
  return short.length > MAX_CHARACTERS ? `${short.slice(0, MAX_CHARACTERS).join('')}…` : short.join('')
}

/** As running text: HTML as entities, Markdown's marks behind backslashes, no address becomes a link by itself. */
export function text(value: string): string {
  return flat(value)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\\`*_{}[\]()#|~$!]/g, (mark) => `\\${mark}`)
    .replace(/:\/\//g, '&#58;//')
    .replace(/\b(www)\./gi, '$1&#46;')
    .replaceAll('@', '&#64;')
    .replace(/^([-+=]|\d+\.)/, '\\$1')
}

/** As inline code, which nothing inside can close; usable in tables too. */
export function code(value: string): string {
  const content = flat(value).replaceAll('|', '\\|')
  const longest = Math.max(0, ...(content.match(/`+/g) ?? []).map((run) => run.length))
  const fence = '`'.repeat(longest + 1)
  const room = content.startsWith('`') || content.endsWith('`') || content === '' ? ' ' : ''
  return `${fence}${room}${content}${room}${fence}`
}

/** As a string literal that JavaScript and Python both read as the same text; one line. */
export function literal(value: string): string {
  return JSON.stringify(flat(value)).replace(/[^\u0020-\u007e]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Whether a model or data set name can be a Hub id, of those without an owner too; a folder's path cannot. */
export const isRepoId = (name: string): boolean => isHubId(name) || isHubId(`owner/${name}`)

/** A Hub id as a link, any other name as code. */
export function hubLink(name: string, kind: 'model' | 'dataset'): string {
  return isHubId(name)
    ? `[${name.replaceAll('_', '\\_')}](https://huggingface.co/${kind === 'dataset' ? 'datasets/' : ''}${name})`
    : code(name)
}
