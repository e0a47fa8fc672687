/** What a person sees of a training: evaluations that stay, a loss that says what it is, what to do next, and what makes a run useless. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, type Compiled } from './child.ts'

const model = new URL('../../models/t5-tiny-en', import.meta.url).pathname
let cli: Compiled
let dir = ''

interface Pair {
  readonly input: string
  readonly target: string
}
const rows = (count: number, of: (index: number) => Pair): string =>
  Array.from({ length: count }, (_, index) => JSON.stringify(of(index))).join('\n')
const mood = (index: number): Pair => ({
  input: `film ${index} is ${index % 2 === 0 ? 'warm' : 'dull'}`,
  target: index % 2 === 0 ? 'good' : 'bad',
})

beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'soft-prompts-view-'))
  writeFileSync(join(dir, 'mood.jsonl'), rows(24, mood))
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

const SHORT = '--length 3 --steps 6 --batch 4 --eval-every 2 --threads 1 --schedule linear'.split(' ')
const trainArgs = (name: string, data: string, more: readonly string[]): string[] =>
  ['train', '--model', model, '--data', join(dir, data), '--out', join(dir, name), ...more].concat(SHORT)
const trained = (name: string, data: string, ...more: string[]): ReturnType<Compiled['run']> => cli.run(trainArgs(name, data, more))

/** Whether a terminal can be played here. */
const SCRIPT = ((): boolean => {
  try {
    execFileSync('script', ['--version'], { stdio: 'ignore' })
    return process.platform === 'linux'
  } catch {
    return false
  }
})()

/** What stays on a terminal: lines without what was drawn over. */
const staying = (typed: string): string[] =>
  typed
    .split('\n')
    .map((line) =>
      line
        .split('\r')
        .findLast((part) => part !== '')
        ?.replaceAll(/^.*\u001b\[1G\u001b\[2K/g, '')
        .replaceAll(/\u001b(?:\[[\d?;]*[A-Za-z]|[78])/g, ''),
    )
    .filter((line) => line !== undefined)

describe('a run', () => {
  it('leaves a line for each evaluation, with metric, best and loss, and ends with what comes next', async () => {
    const { code, stdout, stderr } = await trained('seen', 'mood.jsonl', '--hold-out', '8', '--base-id', 'me/tiny')
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines[2]).toMatch(/^\d+ ms for the first step: about .* in all, 3 evaluations included;/)
    const evaluations = lines.filter((line) => /^step \d/.test(line))
    expect(evaluations.map((line) => /^step (\d)/.exec(line)?.[1])).toEqual(['2', '4', '6'])
    for (const [index, line] of evaluations.entries())
      expect(line).toMatch(
        new RegExp(`^step \\d: accuracy [\\d.]+ % \\(.*n 8\\), f1 .*; loss [\\d.]+ \\(mean of ${2 * (index + 1)} steps\\)$`),
      )
    expect(evaluations[0]).toContain(', best so far')
    expect(lines.slice(-3)).toEqual([
      `its curve: ${join(dir, 'seen', 'loss.svg')}`,
      `ask it: soft-prompts run ${join(dir, 'seen')} "…" --model ${model}`,
      `share it: soft-prompts push ${join(dir, 'seen')} OWNER/NAME`,
    ])
    // a small base on its own: nothing is left to advise
    expect(stderr).not.toContain('warning')
    expect(stderr).toMatch(/^train 6\/6 loss [\d.]+ \(mean of 6 steps\), \d+ rows\/s, /m)
  })

  it.skipIf(!SCRIPT)('does so above the bar of a terminal (skipped without script)', async () => {
    const args = trainArgs('terminal', 'mood.jsonl', ['--hold-out', '8'])
    const command = [process.execPath, cli.script, ...args].map((word) => `'${word}'`).join(' ')
    const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } })
    const lines = staying(stdout)
    expect(lines.filter((line) => /^step \d: accuracy .*n 8/.test(line))).toHaveLength(3)
    expect(lines.filter((line) => /train .*rows\/s/.test(line))).toEqual([])
    expect(lines.find((line) => line.startsWith('ask it: '))).toContain('soft-prompts run')
  })

  it('says whose evaluation it is, and how several seeds answer as one', async () => {
    const { stdout } = await trained('seeds', 'mood.jsonl', '--hold-out', '8', '--seeds', '2')
    expect(stdout.match(/^seed [01] step \d: accuracy/gm)).toHaveLength(6)
    expect(stdout).toMatch(/^share it: soft-prompts push .*seed-[01] OWNER\/NAME --base-id OWNER\/BASE$/m)
    expect(stdout).toContain(`or all of its seeds as one: soft-prompts run ${join(dir, 'seeds')} "…" --model ${model} --ensemble vote`)
  })

  it('asks a template of several fields by its fields', async () => {
    writeFileSync(join(dir, 'pairs.csv'), ['a,b,target', ...Array.from({ length: 8 }, (_, index) => `${index},x,${index % 2}`)].join('\n'))
    const { stdout } = await trained('pairs', 'pairs.csv', '--template', 'a: {a} b: {b}')
    expect(stdout).toContain(`soft-prompts run ${join(dir, 'pairs')} --field 'a=…' --field 'b=…' --model`)
  })
})

describe('a useless run', () => {
  it.each([
    ['no field in the template', ['--template', 'no field'], /names no field.*\[template-no-field\]/],
    ['rows to evaluate on named twice', ['--hold-out', '4', '--dev', 'x'], /named twice, by --dev and --hold-out.*\[dev-twice\]/],
    ['rows to train on named twice', ['--tasks', 'x'], /named twice, by --data and --tasks.*\[data-twice\]/],
    [
      'no label words to begin from',
      ['--init', 'labels', '--generate'],
      /begin from the vocabulary \(--labels, --init\)\. \[init-labels\]/,
    ],
    ['a label map that is none', ['--label-map', '["a"]'], /--label-map is no object.*\[label-map\]/],
  ])('is refused: %s', async (_, more, words) => {
    const { code, stderr } = await trained('refused', 'mood.jsonl', ...more)
    expect([code, stderr]).toEqual([1, expect.stringMatching(words)])
  })

  it.each([
    ['one answer', (index: number) => ({ ...mood(index), target: 'good' }), /warning: Each of the 24 rows has the answer "good"/],
    [
      'contradictions',
      (index: number) => ({ ...mood(index), input: 'a film' }),
      /warning: One input stands .* "a film": "good" at .*mood2\.jsonl:1, "bad" at .*mood2\.jsonl:2/,
    ],
    [
      'empty inputs',
      (index: number) => ({ ...mood(index), ...(index < 3 ? { input: ' ' } : {}) }),
      /warning: 3 of 24 inputs are empty.*\(--template\)/,
    ],
  ])('is warned of: %s', async (name, of, words) => {
    writeFileSync(join(dir, 'mood2.jsonl'), rows(24, of))
    const { code, stderr } = await trained(`warned ${name}`, 'mood2.jsonl')
    expect([code, stderr]).toEqual([0, expect.stringMatching(words)])
  })

  it('is warned of: development rows that are the training rows', async () => {
    const { stderr } = await trained('leak', 'mood.jsonl', '--dev', join(dir, 'mood.jsonl'))
    expect(stderr).toMatch(/warning: All 24 development inputs stand in the training rows too, .*\(--dev, --hold-out\)/)
  })

  it('is told at its end: no answer was ever right, with one of them', async () => {
    writeFileSync(
      join(dir, 'text.jsonl'),
      rows(16, (index) => ({ input: `say ${index}`, target: `the ${index} th word of it` })),
    )
    const { stderr } = await trained('never', 'text.jsonl', '--hold-out', '4', '--max-target', '8')
    expect(stderr).toMatch(
      /warning \(step 6\): No generated answer was right at any evaluation \(0 of 4 rows, as ".*" where "the \d+ th word of it" was wanted\)/,
    )
  })
})
