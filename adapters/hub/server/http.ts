/** Requests and replies of the local hub: bodies with limits, JSON, errors as huggingface.co words them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { flat } from '../../../src/card/escape.ts'
import { HubError } from '../../../src/errors.ts'
import { JSON_BODY_BYTES, JSON_MARKS } from './limits.ts'

/** A refusal, thrown by handlers and sent as `{ error }` with `X-Error-Code` and `X-Error-Message`. */
export class Refusal extends HubError {
  readonly status: number
  /** `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`, …: what clients switch on. */
  readonly errorCode: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, errorCode: string | undefined, message: string, headers: Readonly<Record<string, string>> = {}) {
    // What a request said may stand in it: on one line, whoever prints it.
    super('hub-server-refusal', flat(message), { facts: { status } })
    this.status = status
    this.errorCode = errorCode
    this.headers = headers
  }
}

export const badRequest = (message: string): Refusal => new Refusal(400, undefined, message)

/** Header values may hold only visible Latin-1. */
export const headerText = (text: string): string => text.replace(/[^\u0020-\u007e]/g, '?').slice(0, 500)

/** The whole body, at most `limit` bytes. */
export async function readBody(request: IncomingMessage, limit: number = JSON_BODY_BYTES): Promise<Buffer> {
  const tooBig = (): Refusal => new Refusal(413, undefined, `The body is larger than ${limit} bytes.`, { connection: 'close' })
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooBig()
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length
    if (size > limit) throw tooBig()
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** Text as JSON, or 400. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw Object.assign(badRequest('The body is not JSON.'), { cause })
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** `{ [ , :` */
const MARKS: ReadonlySet<number> = new Set([0x7b, 0x5b, 0x2c, 0x3a])

/**
 * A body's JSON has no more values than any real one: it is looked through before it is parsed, in a nanosecond a byte.
 * @throws {Refusal} 400
 */
export function checkMarks(text: string, most: number): void {
  let [marks, isText] = [0, false]
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) isText = !isText
    else if (isText && code === BACKSLASH) at += 1
    else if (!isText && MARKS.has(code) && (marks += 1) > most) throw badRequest(`The body holds more than ${most} values.`)
  }
}

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * A text of a request's JSON: anything else is refused, and never turned into one.
 * @param fallback where the field is absent or null; without it the field must be there
 */
export function textOf(object: JsonObject, name: string, fallback?: string): string {
  const value = object[name] ?? fallback
  if (typeof value !== 'string') throw badRequest(`"${name}" must be a text.`)
  return value
}

/** Yes or no in a request's JSON; where it is absent or null, the fallback. */
export function flagOf(object: JsonObject, name: string, fallback = false): boolean {
  const value = object[name] ?? fallback
  if (typeof value !== 'boolean') throw badRequest(`"${name}" must be true or false.`)
  return value
}

/** A whole number of a request's JSON, from 0. */
export function countOf(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw badRequest(`"${name}" must be a whole number.`)
  return value
}

/** A whole number of an address's query, from 0 to 999,999,999; what is none counts as absent. */
export const countIn = (query: URLSearchParams, name: string, fallback: number): number => {
  const text = query.get(name) ?? ''
  return /^\d{1,9}$/.test(text) ? Number(text) : fallback
}

/** The body as a JSON object. */
export async function readObject(request: IncomingMessage): Promise<JsonObject> {
  const text = (await readBody(request)).toString('utf8')
  checkMarks(text, JSON_MARKS)
  const value = parseJson(text === '' ? '{}' : text)
  if (!isObject(value)) throw badRequest('The body must be a JSON object.')
  return value
}

/** The body of `paths-info`: a form from Python, JSON from JavaScript. */
export async function readFormOrJson(request: IncomingMessage): Promise<JsonObject> {
  if (!(request.headers['content-type'] ?? '').includes('form-urlencoded')) return readObject(request)
  const form = new URLSearchParams((await readBody(request)).toString('utf8'))
  return { paths: form.getAll('paths'), expand: /^true$/i.test(form.get('expand') ?? '') }
}

export function sendJson(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>> = {}, status = 200): void {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': body.length, ...headers })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  const message = headerText(refusal.message)
  sendJson(
    response,
    { error: refusal.message },
    { ...(refusal.errorCode === undefined ? {} : { 'x-error-code': refusal.errorCode }), 'x-error-message': message, ...refusal.headers },
    refusal.status,
  )
}
