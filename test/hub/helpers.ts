/** A hub of its own for each test, a small prompt to push, and a proxy that breaks things on the way. */
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { startHub, type Hub, type HubOptions } from '../../adapters/hub/server/start.ts'
import type { Clock } from '../../adapters/hub/retry.ts'

export const TOKEN = 'hf_testTokenOfMe0123456789abcdef'
export const READ_TOKEN = 'hf_readOnlyToken0123456789abcdef'
export const STRANGER = 'hf_strangerToken0123456789abcdef'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-hub-'))
  cleanups.push(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export async function hub(options: Partial<HubOptions> = {}): Promise<Hub & { dir: string }> {
  const dir = options.dir ?? (await folder())
  const started = await startHub({
    tokens: {
      [TOKEN]: { name: 'me', role: 'write', orgs: ['team'] },
      [READ_TOKEN]: { name: 'me', role: 'read', orgs: [] },
      [STRANGER]: { name: 'stranger', role: 'write', orgs: [] },
    },
    ...options,
    dir,
  })
  cleanups.push(() => started.close())
  return { ...started, dir }
}

/** Does not wait, and remembers what it was asked to. */
export function quickClock(): Clock & { waits: number[] } {
  const waits: number[] = []
  return {
    waits,
    now: () => Date.now(),
    sleep: async (ms) => {
      waits.push(ms)
      await new Promise((resolve) => setTimeout(resolve, 1))
    },
  }
}

/** A prompt of 5 virtual tokens at width 16 in PEFT's format. */
export function promptFiles(seed = 1): Map<string, Buffer> {
  const header = Buffer.from(
    JSON.stringify({ __metadata__: { format: 'pt' }, prompt_embeddings: { dtype: 'F32', shape: [5, 16], data_offsets: [0, 320] } }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const values = Buffer.from(Float32Array.from({ length: 80 }, (_, index) => Math.sin(index * seed)).buffer)
  const config = {
    base_model_name_or_path: 'google-t5/t5-small',
    inference_mode: true,
    num_attention_heads: 4,
    num_layers: 3,
    num_transformer_submodules: 1,
    num_virtual_tokens: 5,
    peft_type: 'PROMPT_TUNING',
    prompt_tuning_init: 'RANDOM',
    task_type: 'SEQ_2_SEQ_LM',
    token_dim: 16,
  }
  return new Map([
    ['README.md', Buffer.from('---\nlibrary_name: peft\nbase_model: google-t5/t5-small\ntags:\n- soft-prompts\n---\n# Test\n\nBy hand.\n')],
    ['adapter_config.json', Buffer.from(`${JSON.stringify(config, undefined, 2)}\n`)],
    ['adapter_model.safetensors', Buffer.concat([length, header, values])],
    ['runs/events.out.tfevents.1', Buffer.from([0, 1, 2, 3])],
    ['training_log.jsonl', Buffer.from('')],
  ])
}

export async function writeFiles(dir: string, files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  for (const [path, bytes] of files) {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await writeFile(join(dir, path), bytes)
  }
  return dir
}

export async function promptFolder(seed = 1): Promise<string> {
  return writeFiles(join(await folder(), 'prompt'), promptFiles(seed))
}

/** Every file below a folder, links followed. */
export async function readFiles(dir: string): Promise<Map<string, Buffer>> {
  const items = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = items.filter((item) => !item.isDirectory()).map((item) => join(item.parentPath, item.name))
  const read = await Promise.all(paths.toSorted().map(async (path) => [path.slice(dir.length + 1), await readFile(path)] as const))
  return new Map(read)
}

/** Whether files are equal, names and bytes; far quicker than toEqual. */
export const same = (a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean =>
  a.size === b.size && [...a].every(([path, bytes]) => b.get(path)?.equals(bytes) === true)

export type Fault = (request: IncomingMessage, count: number) => FaultKind | undefined
export type FaultKind =
  | { readonly kind: 'drop' } // before the request is passed on
  | { readonly kind: 'lose' } // the request is passed on, its answer is not
  | { readonly kind: 'truncate' } // half of the answer's body
  | { readonly kind: 'short' } // half of the answer's body, as if that were all
  | { readonly kind: 'corrupt' } // one bit of the answer's body
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  | { readonly kind: 'hang' }
  | { readonly kind: 'delay'; readonly ms: number } // the request is passed on, its answer comes late
  | { readonly kind: 'spoil' } // one bit of the request's body

interface Proxy {
  readonly url: string
  /** Method and path of every request, in order. */
  readonly seen: string[]
}

/** Passes requests on to a hub and spoils those that `fault` picks; the Host header is kept, so the hub's addresses lead here. */
export async function faultProxy(target: Pick<Hub, 'port'>, fault: Fault): Promise<Proxy> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const chosen = fault(request, seen.length)
    if (chosen?.kind === 'drop') {
      request.socket.destroy()
    } else if (chosen?.kind === 'status') {
      request.resume()
      response
        .writeHead(chosen.status, chosen.retryAfter === undefined ? {} : { 'retry-after': chosen.retryAfter })
        .end('{"error":"spoilt"}')
    } else if (chosen?.kind !== 'hang') {
      pass(target, request, response, chosen)
    }
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  cleanups.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`, seen }
}

function pass(target: Pick<Hub, 'port'>, request: IncomingMessage, response: ServerResponse, fault: FaultKind | undefined): void {
  const onward = httpRequest(
    { host: '127.0.0.1', port: target.port, method: request.method, path: request.url, headers: request.headers },
    (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const body = Buffer.concat(parts)
        if (fault?.kind === 'lose') return void request.socket.destroy()
        if (fault?.kind === 'corrupt' && body.length > 0) body[body.length >> 1]! ^= 1
        const respond = (): void => {
          if (response.destroyed) return // nobody waited
          const sent = fault?.kind === 'short' ? body.subarray(0, body.length >> 1) : body
          const length = fault?.kind === 'short' ? { 'content-length': String(sent.length) } : {}
          response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...length })
          if (fault?.kind === 'truncate') response.write(body.subarray(0, body.length >> 1), () => request.socket.destroy())
          else response.end(sent)
        }
        setTimeout(respond, fault?.kind === 'delay' ? fault.ms : 0)
      })
    },
  )
  onward.on('error', () => request.socket.destroy())
  if (fault?.kind !== 'spoil') return void request.pipe(onward)
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    if (body.length > 0) body[body.length >> 1]! ^= 1
    onward.end(body)
  })
}
