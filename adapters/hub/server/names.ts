/** Names that come from outside: repositories, refs, paths. Each is checked here before it touches the disk. */
import { badRequest, Refusal } from './http.ts'

export type RepoKind = 'models' | 'datasets'

export const isKind = (text: string | undefined): text is RepoKind => text === 'models' || text === 'datasets'

export const COMMIT: RegExp = /^[0-9a-f]{40}$/
export const SHA256: RegExp = /^[0-9a-f]{64}$/

const PART = /^[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?$/

export const isName = (text: string): boolean => PART.test(text) && !text.includes('..') && !text.includes('--')

/** One half of `owner/name`: letters, digits, `-_.`, at most 96, no `..` or `--` inside. */
export function checkName(text: string): string {
  if (!isName(text)) {
    throw badRequest(`"${text.slice(0, 100)}" is not a name: use letters, digits, "-", "_" and ".", at most 96.`)
  }
  return text
}

/** Letters of a branch or tag. */
const REF_LETTERS = 170

/** A branch or tag, as git allows and a little less. */
export function checkRef(text: string): string {
  if (!/^[\w][\w./-]*$/.test(text) || /\.\.|\/\/|\/\.|\.lock(\/|$)|[./]$/.test(text) || COMMIT.test(text)) {
    throw badRequest(`"${text.slice(0, 100)}" is not a valid name of a branch or tag.`)
  }
  // As a file's name it is encoded, and the name of the file that is written first has an ending: 255 letters are all there is.
  if (encodeURIComponent(text).length > REF_LETTERS) {
    throw badRequest(`"${text.slice(0, 100)}…" is too long for a branch or tag: at most ${REF_LETTERS} letters, and "/" counts as three.`)
  }
  return text
}

/** Letters of a part of a path: file systems take 255 bytes. */
const PART_BYTES = 255

/** A file's path inside a repository. */
export function checkPath(path: unknown): string {
  const text = typeof path === 'string' ? path : ''
  const parts = text.split('/')
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  const bad = text.length > 1024 || /[\\\u0000-\u001f\u007f]|\p{Surrogate}/u.test(text)
  if (bad || parts.some((part) => ['', '.', '..', '.git'].includes(part.toLowerCase()) || Buffer.byteLength(part) > PART_BYTES)) {
    throw badRequest(`"${text.slice(0, 100)}" is not a path inside a repository.`)
  }
  return text
}

/** Decodes one percent-encoded piece of a URL. */
export function decodePart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Refusal(400, undefined, 'The address is not well encoded.')
  }
}
