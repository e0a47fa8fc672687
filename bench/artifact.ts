/**
 * Reading and checking a prompt of 100 × 4096 (T5 XXL) from a folder, a bundle and a .npy; importing the main entry.
 *
 * npx tsc && node dist/bench/artifact.js --rounds 50
 * Medians and the slowest of all rounds; first = the first read of a fresh process. Imports are timed in fresh processes.
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { writePromptFolder } from '../adapters/artifact/folder.ts'
import { convertPrompt } from '../adapters/compose/convert.ts'
import { openPrompt } from '../adapters/compose/open-prompt.ts'
import { softPrompt } from '../src/prompt/soft-prompt.ts'
import { createRandom } from '../src/tensor/random.ts'
import { tensor } from '../src/tensor/tensor.ts'

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '50' } } })
const rounds = Number(flags.rounds)
const [P, D] = [100, 4096]

const line = (text: string): void => void process.stdout.write(`${text}\n`)
const shown = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2)
  return `median ${at(0.5)} ms, slowest ${at(1)} ms`
}

/** Runs a module in a fresh process; it prints one JSON value. */
const fresh = (script: string): unknown =>
  JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })) as unknown
const dist = (path: string): string => pathToFileURL(resolve(import.meta.dirname, '..', path)).href

const dir = await mkdtemp(join(tmpdir(), 'bench-'))
try {
  const random = createRandom(1)
  const data = Float32Array.from({ length: P * D }, () => 100 * (random.uniform() - 0.5))
  const folder = join(dir, 'xxl')
  await writePromptFolder(softPrompt(tensor('F32', [P, D], data), { base: { id: 'google/t5-xxl-lm-adapt' } }), folder)
  await convertPrompt(folder, join(dir, 'xxl.tar.gz'))
  await convertPrompt(folder, join(dir, 'xxl.npy'))
  for (const name of ['xxl', 'xxl.tar.gz', 'xxl.npy']) {
    const path = join(dir, name)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      await openPrompt(path)
      times.push(performance.now() - start)
    }
    const first = fresh(
      `const { openPrompt } = await import('${dist('adapters/compose/open-prompt.js')}')
      const start = performance.now()
      await openPrompt(${JSON.stringify(path)})
      console.log(performance.now() - start)`,
    ) as number
    line(`read and check ${P} x ${D}, ${name}: ${shown(times)}, first ${first.toFixed(2)} ms`)
  }

  const imports: number[] = []
  let natives: readonly string[] = []
  for (let round = 0; round < Math.min(rounds, 20); round++) {
    const made = fresh(
      `const start = performance.now()
      await import('${dist('src/index.js')}')
      const ms = performance.now() - start
      const natives = process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node'))
      console.log(JSON.stringify({ ms, natives }))`,
    ) as { readonly ms: number; readonly natives: readonly string[] }
    imports.push(made.ms)
    natives = made.natives
  }
  line(`import of the main entry: ${shown(imports)}, native modules: ${natives.length === 0 ? 'none' : natives.join(', ')}`)
} finally {
  await rm(dir, { recursive: true, force: true })
}
