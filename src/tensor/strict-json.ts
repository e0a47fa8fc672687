/** JSON (RFC 8259) for bytes from strangers: what JSON.parse lets pass in silence (duplicate keys, `__proto__`, endless nesting) is an error here. */
import { FormatError } from '../errors.ts'

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** No file of ours nests deeper than 8; the JSON of real tokenizers stays under 16. */
export const MAX_DEPTH = 64

const SPACE = /[ \t\n\r]*/y
/** One run of plain characters, then what ends it: no nested repetition, so no input makes it slow. */
const PLAIN = /[^"\\\u0000-\u001f]*/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /true|false|null/y

/**
 * Text to a value; objects have no prototype.
 * @param what names the text in messages
 * @throws {FormatError} `json-syntax` | `json-duplicate-key` | `json-forbidden-key` | `json-depth` | `json-number`
 */
export function parseStrictJson(text: string, what: string): Json {
  let at = 0
  const fail = (code: string, problem: string): FormatError =>
    new FormatError(code, `${what} is not sound JSON: ${problem} at character ${at}.`, { facts: { at } })
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const take = (character: string): boolean => {
    match(SPACE)
    if (text[at] !== character) return false
    at += 1
    return true
  }
  const expect = (character: string): void => {
    if (!take(character)) throw fail('json-syntax', `expected ${character}, got ${JSON.stringify(text.slice(at, at + 12))}`)
  }
  const deeper = (depth: number): number => {
    if (depth >= MAX_DEPTH) throw fail('json-depth', `nested deeper than ${MAX_DEPTH}`)
    return depth + 1
  }
  const string = (): string => {
    expect('"')
    const start = at - 1
    do match(PLAIN)
    while (match(ESCAPE) !== undefined)
    if (text[at] !== '"') throw fail('json-syntax', 'a string is not closed, or holds what it may not')
    at += 1
    return JSON.parse(text.slice(start, at)) as string
  }
  const object = (depth: number): JsonObject => {
    const made = Object.create(null) as Record<string, Json>
    if (take('}')) return made
    do {
      const key = string()
      if (Object.hasOwn(made, key)) throw fail('json-duplicate-key', `the key ${JSON.stringify(key.slice(0, 60))} stands twice`)
      if (key === '__proto__') throw fail('json-forbidden-key', 'the key __proto__')
      expect(':')
      made[key] = value(depth)
    } while (take(','))
    expect('}')
    return made
  }
  const array = (depth: number): Json[] => {
    const made: Json[] = []
    if (take(']')) return made
    do made.push(value(depth))
    while (take(','))
    expect(']')
    return made
  }
  const value = (depth: number): Json => {
    if (take('{')) return object(deeper(depth))
    if (take('[')) return array(deeper(depth))
    if (text[at] === '"') return string()
    const word = match(WORD)
    if (word !== undefined) return word === 'null' ? null : word === 'true'
    const digits = match(NUMBER)
    if (digits === undefined) throw fail('json-syntax', `expected a value, got ${JSON.stringify(text.slice(at, at + 12))}`)
    const number = Number(digits)
    if (!Number.isFinite(number)) throw fail('json-number', `${digits.slice(0, 30)} is too large`)
    return number
  }
  const result = value(0)
  match(SPACE)
  if (at !== text.length) throw fail('json-syntax', 'something follows the value')
  return result
}

/** Whether a value is an object (no array, not null). */
export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
