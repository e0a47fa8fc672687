/** train, eval and run as people run them: child processes on the shipped base, killed and resumed. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, type Compiled } from './child.ts'

const root = new URL('../../', import.meta.url).pathname
const model = join(root, 'models/t5-tiny-en')
/** The environment of bench/peers/setup.sh. */
const PYTHON = process.env['SOFT_PROMPTS_PYTHON'] ?? join(root, '.peers/bin/python')
let cli: Compiled
let dir = ''

const rows = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => {
    const good = (from + index) % 2 === 0
    const noun = ['film', 'story', 'cast', 'script', 'ending'][(from + index) % 5]
    return JSON.stringify({
      input: `the ${noun} is ${good ? 'funny and warm' : 'dull and cold'} , number ${from + index} .`,
      target: good ? 'positive' : 'negative',
    })
  }).join('\n')

beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'soft-prompts-train-'))
  writeFileSync(join(dir, 'train.jsonl'), rows(0, 60))
  writeFileSync(join(dir, 'dev.jsonl'), rows(100, 20))
  const mood = { data: 'train.jsonl', dev: 'dev.jsonl', task: 'is it praise?' }
  const topic = { data: 'topic.tsv', template: 'about: {text}', target: 'kind', labelMap: { 0: 'sport', 1: 'science', 2: 'business' } }
  const words = ['goal match', 'star cell', 'bank price']
  const table = ['text\tkind', ...Array.from({ length: 30 }, (_, index) => `${words[index % 3]} ${index}\t${index % 3}`)]
  writeFileSync(join(dir, 'topic.tsv'), table.join('\n'))
  writeFileSync(join(dir, 'tasks.json'), JSON.stringify({ mood, topic }))
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

const STEPS = 40
/** Kills of the test that kills at random moments. */
const KILLS = Number(process.env['SOFT_PROMPTS_KILLS'] ?? 20)
const CHOICES = `--length 5 --steps ${STEPS} --batch 4 --eval-every 10 --seed 3 --threads 1`.split(' ')
/** Flags and those that stand for others of their name. */
const but = (flags: readonly string[], more: readonly string[]): string[] =>
  flags.filter((_, index) => !more.includes(flags[index - (index % 2)] as string)).concat(more)
const args = (out: string, ...more: string[]): string[] => [
  'train',
  ...but(
    ['--model', model, '--data', join(dir, 'train.jsonl'), '--dev', join(dir, 'dev.jsonl'), '--out', join(dir, out), ...CHOICES],
    more,
  ),
]
/** Three seeds; some end early. */
const seeds = (out: string): string[] => args(out, '--seeds', '3', '--resume', '--steps', '20', '--patience', '1', '--json')
/** Two tasks of other rows, texts and answers, two seeds each. */
const tasks = (out: string): string[] =>
  ['train', '--model', model, '--tasks', join(dir, 'tasks.json'), '--seeds', '2', '--resume', '--out', join(dir, out), '--json'].concat(
    but(CHOICES, ['--steps', '20']),
  )
const bytes = (out: string, file: string): string => readFileSync(join(dir, out, file)).toString('base64')
const facts = (out: string): object => JSON.parse(readFileSync(join(dir, out, 'soft_prompt.json'), 'utf8')) as object
const FILES = ['adapter_model.safetensors', 'adapter_config.json', 'training_log.jsonl', 'soft_prompt.json']

describe('train', () => {
  let whole: { code: number | null; stdout: string; stderr: string }
  /** Milliseconds. */
  let length = 0
  beforeAll(async () => {
    const start = performance.now()
    whole = await cli.run(args('whole', '--json'))
    length = performance.now() - start
  })

  it('writes the artifact and says what came out', () => {
    expect([whole.code, whole.stderr.replaceAll(/^warning.*\n/gm, '')]).toEqual([0, ''])
    const result = JSON.parse(whole.stdout) as { reason: string; step: number; metrics: { name: string; n: number; interval: number[] }[] }
    expect(result).toMatchObject({ reason: 'steps', step: STEPS })
    expect(result.metrics[0]).toMatchObject({ name: 'accuracy', n: 20 })
    const lines = readFileSync(join(dir, 'whole', 'training_log.jsonl'), 'utf8')
      .trim()
      .split('\n')
    expect(lines.filter((line) => 'loss' in (JSON.parse(line) as object))).toHaveLength(STEPS)
    expect(FILES.filter((file) => !existsSync(join(dir, 'whole', file)))).toEqual([])
  })

  it('the same seed gives the same bytes, killed with -9 at random moments and resumed', async () => {
    let kills = 0
    for (let round = 0; kills < KILLS; round++) {
      for (const out = `killed-${round}`; ; kills++) {
        // moments spread over a run's own length, and amid changes of the disk, which they seldom meet
        const amid = kills % 2 === 1
        const child = cli.start(args(out, '--resume'), amid ? { killAt: 1 + Math.floor(Math.random() * 60) } : {})
        child.stdout?.resume()
        child.stderr?.resume()
        child.stdin?.end()
        const closed = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
        const timer = setTimeout(() => child.kill('SIGKILL'), amid ? 1e6 : Math.random() * length)
        const code = await closed
        clearTimeout(timer)
        if (code === 0) break
      }
      expect(FILES.map((file) => bytes(`killed-${round}`, file))).toEqual(FILES.map((file) => bytes('whole', file)))
    }
  })

  it.each([
    ['seeds', seeds, ['seed-3', 'seed-4', 'seed-5']],
    ['tasks', tasks, ['mood/seed-3', 'mood/seed-4', 'topic/seed-3', 'topic/seed-4']],
  ] as const)(
    '%s trained together write a folder each, the same bytes when killed with -9 and resumed',
    async (name, together, folders) => {
      const { code, stdout } = await cli.run(together(name))
      expect(code).toBe(0)
      const { runs } = JSON.parse(stdout) as { runs: { out: string }[] }
      expect(runs.map(({ out }) => out)).toEqual(folders.map((folder) => join(dir, name, folder)))
      for (let kills = 0; ; kills++) {
        const child = cli.start(together(`${name}-killed`))
        for (const stream of [child.stdout, child.stderr]) stream?.resume()
        child.stdin?.end()
        const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
        const timer = setTimeout(() => child.kill('SIGKILL'), kills >= 3 ? 1e6 : 700 + Math.random() * 700)
        const ended = await closed
        clearTimeout(timer)
        if (ended === 0) break
      }
      const all = (out: string): string[] => folders.flatMap((folder) => FILES.map((file) => bytes(join(out, folder), file)))
      expect(all(`${name}-killed`)).toEqual(all(name))
      expect(new Set(all(name)).size).toBeGreaterThan(FILES.length)
    },
  )

  it('each task has its own rows, text and answers', () => {
    expect(facts('tasks/mood/seed-3')).toMatchObject({
      task: 'is it praise?',
      labels: ['negative', 'positive'],
      data: { name: 'train.jsonl', rows: 60 },
      metrics: [{ n: 20 }, {}],
      created_by: expect.stringMatching(/^soft-prompts \d/),
    })
    expect(facts('tasks/topic/seed-4')).toMatchObject({
      template: 'about: {text}',
      labels: ['business', 'science', 'sport'],
      data: { name: 'topic.tsv', rows: 30, target: 'kind' },
      recipe: { seed: 4 },
    })
  })

  it.each([
    ['{"../x": {"data": "train.jsonl"}}', '"../x" cannot name a task', 'train-tasks'],
    ['{"mood": {}}', 'mood has no rows', 'train-tasks'],
    ['{"mood": {"data": "train.jsonl", "templat": "{input}"}}', 'the task "mood" has a field "templat", which no task has', 'tasks-file'],
    ['{"mood": {"data": 3}}', 'the task "mood": "data" should be a file name, or { repo, split }', 'tasks-file'],
    ['{"mood": {"data": {"repo": "a/b"}}}', 'the task "mood": "data" should be a file name, or { repo, split }', 'tasks-file'],
    ['{"mood": "train.jsonl"}', 'the task "mood" should be an object', 'tasks-file'],
    ['{"mood": {"data": "train.jsonl", "labelMap": ["a"]}}', '"labelMap" should be an object of answers and label words', 'tasks-file'],
    ['[{"data": "train.jsonl"}]', 'it should hold an object of tasks by name', 'tasks-file'],
    ['{}', 'No tasks to train', 'train-tasks'],
  ])('refuses the tasks %s', async (text, words, code) => {
    writeFileSync(join(dir, 'bad.json'), text)
    const { stderr } = await cli.run(['train', '--model', model, '--tasks', join(dir, 'bad.json'), '--out', join(dir, 'none')])
    expect(stderr).toContain(words)
    expect(stderr).toContain(`[${code}]`)
    expect(stderr).not.toMatch(/never|received|Invalid/)
  })

  it('lets no other run into its folder, stops on Ctrl-C, saved, and goes on', async () => {
    const child = cli.start(args('stopped', '--steps', '4000'))
    let out = ''
    let asked = false
    let refused: ReturnType<Compiled['run']> | undefined
    child.stdin?.end()
    child.stderr?.resume()
    const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
    child.stdout?.on('data', (chunk) => {
      out += String(chunk)
      if (asked || !out.includes('ms for the first step')) return
      asked = true
      refused = cli.run(args('stopped', '--resume')).finally(() => child.kill('SIGINT')) // once: a second one ends the process at once
    })
    expect(await closed).toBe(130)
    expect(await refused).toMatchObject({ code: 1, stderr: expect.stringMatching(new RegExp(`process ${child.pid}\\b.*\\[out-busy\\]`)) })
    expect(out).toMatch(/stopped at step \d+\n/)
    expect(FILES.filter((file) => !existsSync(join(dir, 'stopped', file)))).toEqual([])
    expect((await cli.run(args('stopped', '--resume', '--quiet'))).code).toBe(0)
    expect(bytes('stopped', 'adapter_model.safetensors')).toBe(bytes('whole', 'adapter_model.safetensors'))
  })

  it('with --low-memory learns the same in parts, and is resumed to the same bytes', async () => {
    expect((await cli.run(args('low', '--low-memory', '--quiet', '--steps', '6'))).code).toBe(0)
    expect((await cli.run(args('low', '--low-memory', '--quiet', '--resume'))).code).toBe(0)
    expect((await cli.run(args('low-whole', '--low-memory', '--quiet'))).code).toBe(0)
    expect(bytes('low', 'adapter_model.safetensors')).toBe(bytes('low-whole', 'adapter_model.safetensors'))
  })

  it.skipIf(process.platform === 'win32')('a full disk leaves the last checkpoint whole (here: a limit on file size)', async () => {
    expect((await cli.run(args('full', '--steps', '20', '--quiet'))).code).toBe(0)
    const before = bytes('full', 'checkpoint/state.safetensors')
    const limited = await cli.run(args('full', '--resume'), { fileKb: 4 })
    expect([limited.code, limited.stderr]).toEqual([1, expect.stringMatching(/cannot be written.*EFBIG.*--resume.*\[run-write\]/)])
    expect(bytes('full', 'checkpoint/state.safetensors')).toBe(before)
    expect((await cli.run(args('full', '--resume', '--quiet'))).code).toBe(0)
    expect(FILES.map((file) => bytes('full', file))).toEqual(FILES.map((file) => bytes('whole', file)))
  })

  it('a disk that is full, early or late, says how to go on; so does the run, to the same bytes', async () => {
    const refused: string[] = []
    for (let fullAt = 30; refused.length === (fullAt - 30) / 11; fullAt += 11) {
      const out = `full-${fullAt}`
      const { code, stderr } = await cli.run(args(out, '--quiet'), { fullAt })
      if (code === 0) continue
      refused.push(stderr)
      expect((await cli.run(args(out, '--resume', '--quiet'))).code).toBe(0)
      expect(FILES.map((file) => bytes(out, file))).toEqual(FILES.map((file) => bytes('whole', file)))
    }
    expect(refused.filter((stderr) => !/cannot be written \(ENOSPC.*--resume.*\[run-write\]/.test(stderr))).toEqual([])
    expect(refused.filter((stderr) => stderr.includes('checkpoint/'))).not.toEqual([])
    expect(refused.filter((stderr) => !stderr.includes('checkpoint/'))).not.toEqual([])
  })

  it('refuses another run in the folder, and another recipe to resume', async () => {
    const again = await cli.run(args('whole'))
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('[out-not-empty]')])
    const other = await cli.run(args('whole', '--resume', '--lr', '0.1'))
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/learning rate 0\.3 then, 0\.1 now.*\[resume-mismatch\]/)])
  })

  it('eval measures the same accuracy; run answers with label probabilities', async () => {
    const trained = JSON.parse(whole.stdout) as { metrics: { value: number }[] }
    const measured = await cli.run(['eval', join(dir, 'whole'), '--model', model, '--data', join(dir, 'dev.jsonl'), '--bare', '--json'])
    const results = JSON.parse(measured.stdout) as { prompt: string; metrics: { value: number }[] }[]
    expect(results.map(({ prompt }) => prompt)).toEqual(['(no prompt)', join(dir, 'whole')])
    expect(results[1]?.metrics[0]?.value).toBe(trained.metrics[0]?.value)
    const asked = await cli.run(['run', join(dir, 'whole'), 'the film is dull .', '--model', model, '--json'])
    const [answer] = JSON.parse(asked.stdout) as { answer: string; labels: { label: string; score: number }[] }[]
    expect(answer?.labels.map(({ label }) => label).toSorted()).toEqual(['negative', 'positive'])
    expect(answer?.labels.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6)
    expect(answer?.answer).toBe(answer?.labels[0]?.label)
  })

  it('refuses a base that the prompt was not made for', async () => {
    const other = join(dir, 'other')
    const fixture = join(root, 'test/fixtures/onnx/tiny-t5-v10')
    cpSync(join(fixture, 'hf'), other, { recursive: true })
    cpSync(join(fixture, 'tokenizer.json'), join(other, 'tokenizer.json'))
    const { code, stderr } = await cli.run(['run', join(dir, 'whole'), 'text', '--model', other])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/made for t5-tiny-en.*width.*\[prompt-base\]/)])
  })

  it.skipIf(!existsSync(PYTHON))('PEFT loads the folder and gives the same probabilities (skipped without .peers)', async () => {
    const texts = ['the film is dull .', 'a funny and warm story , number 3 .']
    const labels = ['negative', 'positive']
    const input = JSON.stringify({ texts, labels })
    const printed = execFileSync(PYTHON, [join(root, 'bench/peers/peft_scores.py'), model, join(dir, 'whole')], {
      input,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const scores = JSON.parse(String(printed)) as number[][]
    const asked = await Promise.all(texts.map((text) => cli.run(['run', join(dir, 'whole'), text, '--model', model, '--json'])))
    for (const [row, { stdout }] of asked.entries()) {
      const [answer] = JSON.parse(stdout) as { labels: { label: string; score: number }[] }[]
      const [negative = 0, positive = 0] = scores[row] ?? []
      const want = 1 / (1 + Math.exp(negative - positive))
      expect(answer?.labels.find(({ label }) => label === 'positive')?.score).toBeCloseTo(want, 5)
    }
  })

  it('passes over no flag that would do nothing', async () => {
    const { code, stderr } = await cli.run(args('flags', '--dev-split', 'validation'))
    expect([code, stderr]).toEqual([1, expect.stringMatching(/--dataset.*\[data-none\]/)])
    const blind = await cli.run([
      'train',
      '--model',
      model,
      '--data',
      join(dir, 'train.jsonl'),
      '--out',
      join(dir, 'blind'),
      '--patience',
      '2',
    ])
    expect([blind.code, blind.stderr]).toEqual([1, expect.stringMatching(/--patience.*--hold-out N.*\[dev-none\]/)])
  })

  it('names the line of a bad row', async () => {
    writeFileSync(join(dir, 'bad.jsonl'), '{"input": "a", "target": "b"}\n{"input": "a"}\n')
    const { code, stderr } = await cli.run(['train', '--model', model, '--data', join(dir, 'bad.jsonl'), '--out', join(dir, 'bad')])
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /bad\.jsonl:2: the field "target".*Name the field that holds the answer as target \(--target\)\. \[row-field\]/,
      ),
    ])
  })
})
