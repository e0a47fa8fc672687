/** `soft-prompts hub`: a hub of your own, for tests and for places without the public one. */
import { resolve } from 'node:path'
import { command, type Command } from './cli/command.ts'

/** Addresses that only this machine reaches. */
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost'])

export const hub: Command = command({
  name: 'hub',
  summary: 'Serve the API of the Hugging Face Hub from a folder, on this machine.',
  flags: {
    dir: { kind: 'string', value: 'dir', help: 'folder that holds the repositories', default: './hub' },
    port: { kind: 'number', value: 'n', help: 'port; 0 takes any free one', default: 8090 },
    host: { kind: 'string', value: 'address', help: 'address to listen on', default: '127.0.0.1' },
  },
  examples: ['soft-prompts hub --dir ./hub', 'HF_ENDPOINT=http://127.0.0.1:8090 HF_TOKEN_PATH=./hub/token push-prompt ./my-prompt me/sst2'],
  async run(_, { dir, port, host }, out) {
    const { startHub } = await import('../adapters/hub/server/start.ts')
    const server = await startHub({
      dir,
      port,
      host,
      onError: (error) => out.note(`internal error: ${error instanceof Error ? error.message : String(error)}`),
    })
    const stopped = new Promise<void>((done) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done())
    })
    if (!LOOPBACK.has(host))
      out.note(`warning: ${host} can be reached by others, without encryption; tokens and prompts can be read on the way`)
    out.line(`Hub of ${dir} on ${server.url}; Ctrl+C stops it. To use it:`)
    out.line(`  export HF_ENDPOINT=${server.url} HF_TOKEN_PATH=${resolve(dir, 'token')}`)
    out.result({ url: server.url, port: server.port, dir })
    await stopped
    await server.close()
  },
})
