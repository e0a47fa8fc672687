/**
 * `pull-prompt` of a prompt that is in the cache, beside `node --version`: by commit (no network), by the lock file, and by branch (one request).
 *
 * npx tsc && node dist/bench/warm-pull.js --rounds 20
 * Rounds are interleaved, so that a busy machine slows all alike; medians of the differences. Prints the load too: above 0.5 the figures are high.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { writePromptFolder } from '../adapters/artifact/folder.ts'
import { pushPrompt } from '../adapters/hub/push.ts'
import { startHub } from '../adapters/hub/server/start.ts'
import { softPrompt } from '../src/prompt/soft-prompt.ts'
import { createRandom } from '../src/tensor/random.ts'
import { tensor } from '../src/tensor/tensor.ts'

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } })
const [P, D] = [100, 512]
const execute = promisify(execFile)
const line = (text: string): void => void process.stdout.write(`${text}\n`)

const dir = await mkdtemp(join(tmpdir(), 'bench-'))
const token = 'hf_benchToken0123456789'
const hub = await startHub({ dir: join(dir, 'hub'), tokens: { [token]: { name: 'me', role: 'write', orgs: [] } } })
try {
  const random = createRandom(1)
  const data = Float32Array.from({ length: P * D }, () => random.uniform() - 0.5)
  const folder = join(dir, 'prompt')
  await writePromptFolder(softPrompt(tensor('F32', [P, D], data), { base: { id: 'google-t5/t5-small' } }), folder)
  const { commit = '' } = await pushPrompt({ dir: folder, repo: 'me/sst2', hubUrl: hub.url, token })
  const script = resolve(import.meta.dirname, '../scripts/pull-prompt.js')
  const lock = ['--lock-file', join(dir, 'prompts.lock.json')]
  const commands: Readonly<Record<string, readonly string[]>> = {
    'node --version': ['--version'],
    'pull --revision COMMIT': [script, 'me/sst2', '--revision', commit],
    'pull --frozen': [script, 'me/sst2', '--frozen', ...lock],
    'pull (one request)': [script, 'me/sst2'],
  }
  const env = { ...process.env, HF_ENDPOINT: hub.url, HF_HOME: join(dir, 'home'), HF_TOKEN: '', HF_HUB_CACHE: '', HF_HUB_OFFLINE: '' }
  const time = async (args: readonly string[]): Promise<number> => {
    const start = performance.now()
    await execute(process.execPath, [...args], { env })
    return performance.now() - start
  }
  await time([script, 'me/sst2', '--save', ...lock])
  const beyond = new Map<string, number[]>()
  for (let round = 0; round < Number(flags.rounds); round++) {
    const base = await time(['--version'])
    for (const [name, args] of Object.entries(commands)) {
      const ms = name === 'node --version' ? base : (await time(args)) - base
      beyond.set(name, [...(beyond.get(name) ?? []), ms])
    }
  }
  for (const [name, times] of beyond) {
    const sorted = times.toSorted((a, b) => a - b)
    const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(0)
    line(`${name}: ${name.startsWith('node') ? '' : '+'}${at(0.5)} ms (from ${at(0)} to ${at(1)})`)
  }
  line(`load ${loadavg()[0]?.toFixed(2)}, node ${process.version}`)
} finally {
  await hub.close()
  await rm(dir, { recursive: true, force: true })
}
