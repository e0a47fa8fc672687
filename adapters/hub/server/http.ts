/** Requests and replies of the local hub: bodies with limits, JSON, errors as huggingface.co words them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HubError } from '../../../src/errors.ts'
import { JSON_BODY_BYTES } from './limits.ts'

/** A refusal, thrown by handlers and sent as `{ error }` with `X-Error-Code` and `X-Error-Message`. */
export class Refusal extends HubError {
  readonly status: number
  /** `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`, …: what clients switch on. */
  readonly errorCode: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, errorCode: string | undefined, message: string, headers: Readonly<Record<string, string>> = {}) {
    super('hub-server-refusal', message, { facts: { status } })
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

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The body as a JSON object. */
export async function readObject(request: IncomingMessage): Promise<JsonObject> {
  const text = (await readBody(request)).toString('utf8')
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
