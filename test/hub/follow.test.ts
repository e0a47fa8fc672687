/** An abort wakes whoever waits for an answer that never comes. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it, vi } from 'vitest'
import { download } from '../../adapters/hub/download.ts'
import { follow } from '../../adapters/hub/follow.ts'
import { folder } from './helpers.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
async function collectOften(): Promise<void> {
  for (let round = 0; round < 20; round++) {
    collect()
    await turn()
  }
}

it('follows the first signal that aborts, at once where one has, and none after its end', () => {
  const [one, two] = [new AbortController(), new AbortController()]
  const both = follow([one.signal, undefined, two.signal])
  const ended = follow([one.signal])
  ended.stop()
  two.abort('two')
  one.abort('one')
  expect([both.signal.reason, ended.signal.aborted, follow([one.signal]).signal.reason]).toEqual(['two', false, 'one'])
})

it('a download that nobody answers ends with the caller’s abort, after garbage was collected too', async () => {
  const heard: unknown[] = []
  const server = createServer((request) => void heard.push(request.url))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const stop = new AbortController()
  const hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const wanted = { path: 'model.safetensors', size: 1000, digest: { algorithm: 'sha256', hex: 'ab'.repeat(32) } } as const
  const path = join(await folder(), 'blob')
  const ended = download({ hubUrl, signal: stop.signal }, { type: 'model', name: 'me/x' }, 'ab'.repeat(20), wanted, path, () => {}).then(
    () => 'done',
    (error: unknown) => String(error),
  )
  await vi.waitFor(() => expect(heard).toHaveLength(1), { timeout: 20_000 })
  await collectOften()
  stop.abort(new Error('enough'))
  expect(await ended).toContain('enough')
  server.closeAllConnections()
  server.close()
})
