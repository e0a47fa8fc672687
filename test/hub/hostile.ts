/** A hub of one small prompt over real HTTP that is sound but for what a test makes of it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { gitBlobId } from '../../adapters/hub/digest.ts'
import { promptFiles } from './helpers.ts'

export const COMMIT: string = 'c'.repeat(40)

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void

export interface Misdeeds {
  /** Files that it lists and sends; default: a prompt. */
  readonly files?: ReadonlyMap<string, Buffer>
  readonly revision?: Answer
  readonly tree?: Answer
  /** For `adapter_config.json`; `count` begins at 1. */
  readonly file?: Answer
}

export interface HostileHub {
  readonly url: string
  /** Method and path of every request, in order. */
  readonly seen: string[]
}

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

export const json = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void =>
  void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))

/** What an honest hub lists. */
export const entriesOf = (files: ReadonlyMap<string, Buffer>): object[] =>
  [...files].map(([path, bytes]) => ({ type: 'file', path, size: bytes.length, oid: gitBlobId(bytes) }))

/** Sends what a range asks for. */
export function sendFile(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}
  response.writeHead(start > 0 ? 206 : 200, { 'content-length': String(bytes.length - start), ...range }).end(bytes.subarray(start))
}

export async function hostileHub({ files = promptFiles(), revision, tree, file }: Misdeeds): Promise<HostileHub> {
  const seen: string[] = []
  const counts = new Map<Answer, number>()
  const url = await serve((request, response) => {
    const path = request.url ?? ''
    seen.push(`${request.method} ${path}`)
    const misdeed = path.includes('/revision/')
      ? revision
      : path.includes('/tree/')
        ? tree
        : path.endsWith('/adapter_config.json')
          ? file
          : undefined
    if (misdeed) {
      counts.set(misdeed, (counts.get(misdeed) ?? 0) + 1)
      misdeed(request, response, counts.get(misdeed) ?? 0)
    } else if (path.includes('/revision/')) json(response, { sha: COMMIT })
    else if (path.includes('/tree/')) json(response, entriesOf(files))
    else sendFile(request, response, files.get(decodeURIComponent(path.split(`${COMMIT}/`)[1] ?? '')) ?? Buffer.alloc(0))
  })
  return { url, seen }
}

/** Another host, where a hub keeps its files: another port is another origin. */
export const store = (answer: Answer): Promise<string> => {
  let count = 0
  return serve((request, response) => answer(request, response, (count += 1)))
}
