/**
 * Small GETs by node:http(s): the first use of fetch costs 90 ms, more than all else that a pull of a cached prompt does. What only fetch does
 * (redirects, compressed answers) is left to it: the caller asks again.
 */
import type { IncomingMessage } from 'node:http'

/** An answer whose body has not been read yet; fetch's `Response` is one. */
export interface Incoming {
  readonly ok: boolean
  readonly status: number
  /** Where it came from after redirects; absent where there were none. */
  readonly url?: string
  readonly headers: { get(name: string): string | null; forEach(each: (value: string, name: string) => void): void }
  readonly body: AsyncIterable<Uint8Array> | null
}

function headersOf({ headers }: IncomingMessage): Incoming['headers'] {
  const values = new Map(Object.entries(headers).map(([name, value]) => [name, String(value)]))
  return { get: (name) => values.get(name) ?? null, forEach: (each) => values.forEach((value, name) => each(value, name)) }
}

/**
 * Whether nobody has used fetch or given it a dispatcher (undici's, on globalThis) yet. An app's own, for its proxy or certificates, must hold for these
 * requests too; and once fetch is loaded there is nothing to save.
 */
export const isFetchUntouched = (): boolean =>
  !Object.getOwnPropertySymbols(globalThis).some(({ description }) => description?.startsWith('undici.globalDispatcher'))

/** GETs an address as it stands; undefined where the answer is one for fetch. Throws what fetch would: the signal's reason, or what failed. */
export async function get(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Incoming | undefined> {
  signal.throwIfAborted()
  const { request } = url.startsWith('https:') ? await import('node:https') : await import('node:http')
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { headers, signal }, resolve)
      .on('error', (error) => reject(signal.aborted ? signal.reason : error))
      .end()
  })
  const { statusCode: status = 0 } = answer
  if ((status >= 300 && status < 400) || answer.headers['content-encoding'] !== undefined) {
    answer.destroy()
    return undefined
  }
  return { ok: status >= 200 && status < 300, status, headers: headersOf(answer), body: readUntil(answer, signal) }
}

async function* readUntil(answer: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}
