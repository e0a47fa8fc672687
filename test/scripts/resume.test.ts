/** Stopping a training and going on, as at a shell: signals, exit codes, and the commands that are printed to be pasted. */
import { execFile, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { compile, type Compiled } from './child.ts'

const root = new URL('../../', import.meta.url).pathname
const model = join(root, 'models/t5-tiny-en')
let cli: Compiled
let dir = ''
const rows = Array.from({ length: 24 }, (_, index) => JSON.stringify({ input: `film ${index}`, target: index % 2 ? 'good' : 'bad' })).join(
  '\n',
)

beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'soft prompts resume-'))
  writeFileSync(join(dir, 'rows.jsonl'), rows)
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

const CHOICES = '--length 2 --batch 4 --eval-every 4 --hold-out 8 --threads 1'.split(' ')
const args = (out: string, ...more: string[]): string[] => [
  'train',
  '--model',
  model,
  ...(more.includes('--data') ? [] : ['--data', join(dir, 'rows.jsonl')]),
  '--out',
  join(dir, out),
  ...CHOICES,
  ...more,
]

/** Everything a child prints, and a promise of when it has printed something. */
function listen(child: ChildProcess): { readonly told: () => string; until(pattern: RegExp): Promise<void> } {
  let told = ''
  let look: (() => void) | undefined
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      told += String(chunk)
      look?.()
    })
  }
  return {
    told: () => told,
    until: (pattern) =>
      new Promise((resolve) => {
        look = () => {
          if (pattern.test(told)) resolve()
        }
        look()
      }),
  }
}

/** A printed command in a shell. */
const paste = (command: string, more = ''): Promise<{ stdout: string }> =>
  promisify(execFile)('bash', ['-c', `soft-prompts() { ${process.execPath} '${cli.script}' "$@"; }\n${command} ${more}`], { cwd: root })
const commandsIn = (text: string): string[] => [...text.matchAll(/^ {2}(soft-prompts train .*)$/gm)].map(([, command]) => command as string)

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s writes the best prompt so far, ends with %i and prints the command that goes on', async (signal, code) => {
  const child = cli.start(args(signal, '--steps', '100000'))
  child.stdin?.end()
  const { told, until } = listen(child)
  await until(/ms for the first step/)
  child.kill(signal)
  expect(await once(child, 'close')).toEqual([code, null])
  expect(told()).toMatch(/stopped at step \d+\n.*the prompt of step \d+/)
  expect(existsSync(join(dir, signal, 'README.md'))).toBe(true)
  const [command] = commandsIn(told())
  expect(told().endsWith(`  ${command}\n`)).toBe(true)
  const { stdout } = await paste(command as string, '--time-limit 0.0001')
  expect(stdout).toMatch(/going on after step \d+\n[^]*time limit reached/)
})

it('saves what there is where the reader of its output was ended, too', async () => {
  const child = cli.start(args('pipe', '--steps', '100000'))
  child.stdin?.end()
  await listen(child).until(/ms for the first step/)
  child.kill('SIGINT')
  for (const stream of [child.stdout, child.stderr]) stream?.destroy()
  expect(await once(child, 'exit')).toEqual([130, null])
  expect(existsSync(join(dir, 'pipe', 'README.md'))).toBe(true)
})

it('a second signal ends it at once', async () => {
  // Rows that never come: the first signal waits for them.
  const child = cli.start(args('second', '--data', '-', '--steps', '4'))
  const { until } = listen(child)
  await vi.waitFor(() => expect(existsSync(join(dir, 'second/checkpoint/run.lock'))).toBe(true), { timeout: 20_000 })
  child.kill('SIGINT')
  await until(/Stopping\. A second time ends at once/)
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([null, 'SIGINT'])
})

it('rows of standard input are asked for again', async () => {
  expect((await cli.run(args('piped', '--data', '-', '--steps', '4'), { stdin: rows })).code).toBe(0)
  const { code, stderr } = await cli.run(['train', '--resume', '--out', join(dir, 'piped'), '--steps', '6'])
  expect([code, stderr]).toEqual([1, expect.stringMatching(/came from standard input.*--data FILE or --data -.*\[resume-data\]/)])
  const piped = await cli.run(['train', '--resume', '--out', join(dir, 'piped'), '--steps', '6', '--data', '-'], { stdin: rows })
  expect([piped.code, piped.stdout]).toEqual([0, expect.stringMatching(/all steps done at step 6/)])
  expect(piped.stdout).toMatch(/^ask it: .* --model models\/t5-tiny-en$/m)
  // The same rows from a file are the same rows.
  const filed = await cli.run(['train', '--resume', '--out', join(dir, 'piped'), '--steps', '8', '--data', join(dir, 'rows.jsonl')])
  expect([filed.code, filed.stdout]).toEqual([0, expect.stringMatching(/all steps done at step 8/)])
})

it('a run whose rate falls is not made longer; the command that is printed begins another from its prompt', async () => {
  expect((await cli.run(args('quick', '--quick', '--steps', '4', '--template', "it's {input}"))).code).toBe(0)
  const { code, stderr } = await cli.run(['train', '--resume', '--out', join(dir, 'quick'), '--steps', '7'])
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /^error: .*falls over its 4 steps \(schedule linear\).*\[resume-mismatch\]\n3 steps more.*\n  soft-prompts train --model .*\n$/,
    ),
  ])
  const [command] = commandsIn(stderr)
  expect((await paste(command as string)).stdout).toMatch(/all steps done at step 3/)
  const manifest = JSON.parse(readFileSync(join(dir, 'quick-more', 'soft_prompt.json'), 'utf8')) as { recipe: object; template: string }
  expect(manifest).toMatchObject({
    template: "it's {input}",
    recipe: { init: 'prompt', steps: 3, schedule: 'linear', length: 2, hold_out: 8 },
  })
})

it('a folder that no run lies in, or that cannot be made, is refused at once', async () => {
  const none = await cli.run(['train', '--resume', '--out', join(dir, 'nothing')])
  expect([none.code, none.stderr, existsSync(join(dir, 'nothing'))]).toEqual([1, expect.stringContaining('[resume-none]'), false])
  const bare = await cli.run(['train', '--out', join(dir, 'nothing'), '--data', join(dir, 'rows.jsonl')])
  expect([bare.code, bare.stderr]).toEqual([2, expect.stringContaining("required option '--model <id|dir>'")])
})

it.skipIf(process.platform !== 'linux')('a place where no folder can be made is refused at once', async () => {
  const { code, stderr } = await cli.run(args('x', '--steps', '4').map((word) => (word === join(dir, 'x') ? '/proc/x' : word)))
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^error: \/proc\/x cannot be written.*Choose another folder\. \[out-write\]\n$/),
  ])
})
