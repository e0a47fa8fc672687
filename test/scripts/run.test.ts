/** run and eval of several prompts as people run them, with the example prompts on the shipped base. */
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, type Compiled } from './child.ts'

const root = new URL('../../', import.meta.url).pathname
const model = ['--model', join(root, 'models/t5-tiny-en')]
const [sentiment, topic] = ['sentiment', 'topic'].map((name) => join(root, 'hub-cards/examples', name)) as [string, string]
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-run-'))
const data = ['sentiment', 'topic'].map((name) => join(dir, name, 'dev.jsonl'))
const askBoth = (...more: string[]) => cli.run(['run', sentiment, topic, 'a lovely film', ...model, ...more])
let cli: Compiled
beforeAll(() => {
  cli = compile()
  for (const path of data) {
    mkdirSync(dirname(path))
    const rows = readFileSync(join(root, 'examples/data', basename(dirname(path)), 'dev.jsonl'), 'utf8').split('\n')
    writeFileSync(path, rows.slice(0, 40).join('\n'))
  }
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true })
})

describe('run', () => {
  it('answers standard input line by line, before it ends', async () => {
    const child = cli.start(['run', sentiment, '--file', '-', ...model])
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
    for (const [text, answer] of [
      ['a lovely film', 'positive'],
      ['an awful bore', 'negative'],
    ]) {
      child.stdin?.write(`${text}\n`)
      expect((await lines.next()).value).toMatch(new RegExp(`^${text} -> ${answer} {2}\\(${answer} \\d+\\.\\d %, \\w+ \\d+\\.\\d %\\)$`))
    }
    child.stdin?.end()
    expect(await once(child, 'close')).toEqual([0, null])
  })

  it('refuses to join prompts of other labels', async () => {
    for (const how of ['vote', 'mean']) {
      expect(await askBoth('--ensemble', how)).toMatchObject({ code: 1, stderr: expect.stringContaining('[ensemble-labels]') })
    }
  })
})

describe('run of rows, fields and packs', () => {
  /** The sentiment prompt with a template of two fields. */
  const pair = join(dir, 'pair')
  const pack = join(dir, 'five')
  beforeAll(() => {
    cpSync(sentiment, pair, { recursive: true })
    const manifest = join(pair, 'soft_prompt.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('{input}', '{what} : {input}'))
    for (const name of ['seed-0', 'seed-1']) cpSync(sentiment, join(pack, name), { recursive: true })
    mkdirSync(join(pack, 'checkpoint'))
  })

  it('fills a template by --field, and says so where it gets a lone text', async () => {
    const { stdout } = await cli.run(['run', pair, '--field', 'what=film', '--field', 'input=a lovely = warm film', ...model, '--json'])
    expect(JSON.parse(stdout)).toMatchObject([
      { text: 'film : a lovely = warm film', fields: { what: 'film', input: 'a lovely = warm film' }, answer: 'positive' },
    ])
    const alone = await cli.run(['run', pair, 'a lovely film', ...model])
    expect(alone).toMatchObject({ code: 1, stdout: '' })
    expect(alone.stderr).toContain('has the fields what, input; a lone text cannot fill them')
    expect(alone.stderr).toContain(`soft-prompts run ${pair} --field what="…" --field input="…", or --file with rows`)
    expect(await cli.run(['run', pair, '--field', 'what', ...model])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[run-field]'),
    })
  })

  it.each([
    ['rows.csv', 'what,input\nfilm,a lovely film\nfilm,"an awful, dull bore"\n'],
    ['rows.tsv', 'what\tinput\nfilm\ta lovely film\nfilm\tan awful, dull bore\n'],
    ['rows.jsonl', '{"what":"film","input":"a lovely film"}\n{"what":"film","input":"an awful, dull bore"}\n'],
  ])('answers the rows of %s', async (name, text) => {
    writeFileSync(join(dir, name), text)
    const { stdout } = await cli.run(['run', pair, '--file', join(dir, name), ...model])
    expect(stdout).toMatch(/^film : a lovely film -> positive .*\nfilm : an awful, dull bore -> negative .*\n$/)
  })

  it('answers JSON rows of standard input, and says where there is nothing to ask', async () => {
    const stdin = '{"what":"film","input":"a lovely film"}\n{"what":"film"}\n'
    const { code, stdout, stderr } = await cli.run(['run', pair, '--file', '-', ...model], { stdin })
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^film : a lovely film -> positive/)])
    expect(stderr).toContain('standard input, line 2: the field "input"')
    expect(await cli.run(['run', pair, '--file', '-', ...model], { stdin: '\n' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[rows-none]'),
    })
  })

  it.each([
    ['standard input', '-'],
    ['JSON Lines', join(dir, 'digits.jsonl')],
  ])('keeps every digit of numbers, in texts and in --json: %s', async (_, file) => {
    const row = '{"what":9007199254740993,"input":"a lovely film","id":-12345678901234567891}'
    if (file !== '-') writeFileSync(file, row)
    const { stdout } = await cli.run(['run', pair, '--file', file, ...model, '--json'], { stdin: row })
    expect(stdout).toContain(`"text":"9007199254740993 : a lovely film","fields":${row}`)
  })

  it('answers rows of Parquet with whole numbers of 64 bits, in JSON too', async () => {
    const sentence = join(dir, 'sentence')
    cpSync(sentiment, sentence, { recursive: true })
    const manifest = join(sentence, 'soft_prompt.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('{input}', '{sentence} {label}'))
    const { stdout } = await cli.run(['run', sentence, '--file', join(root, 'test/fixtures/rows/sample.parquet'), ...model, '--json'])
    expect(JSON.parse(stdout)).toMatchObject([
      { text: 'a fine film 1', fields: { sentence: 'a fine film', label: 1, idx: 0 } },
      { text: 'größer als «all» 電影 0' },
      { text: 'dull 0' },
    ])
  })

  it('answers a text file line by line, and names the row that lacks a field', async () => {
    writeFileSync(join(dir, 'texts.txt'), 'a lovely film\n\nan awful bore\n')
    const { stdout } = await cli.run(['run', sentiment, '--file', join(dir, 'texts.txt'), ...model])
    expect(stdout.match(/^a lovely film -> positive|^an awful bore -> negative/gm)).toHaveLength(2)
    const lacking = join(dir, 'lacking.csv')
    writeFileSync(lacking, 'what,text\nfilm,x\n')
    expect((await cli.run(['run', pair, '--file', lacking, ...model])).stderr).toMatch(
      /lacking\.csv:2: the field "input" .*\(fields here: what, text\)/,
    )
    writeFileSync(join(dir, 'rows.json'), '[]')
    expect((await cli.run(['run', sentiment, '--file', join(dir, 'rows.json'), ...model])).stderr).toContain('[data-kind]')
  })

  it('joins the prompts of a pack, and says both ways where nobody says how', async () => {
    const joined = await cli.run(['run', pack, 'a lovely film', '--ensemble', 'mean', ...model, '--json'])
    expect(JSON.parse(joined.stdout)).toMatchObject([{ prompt: 'mean of 2', answer: 'positive' }])
    const refused = await cli.run(['run', pack, 'a lovely film', ...model])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(`Choose one as ${pack}#seed-0, or join the answers of all with --ensemble vote or --ensemble mean`)
    const measured = await cli.run(['eval', pack, '--data', data[0] as string, '--ensemble', 'vote', ...model])
    expect(measured.stdout).toMatch(/^vote of 2 on dev\.jsonl: accuracy/m)
  })
})

describe('eval', () => {
  it('writes predictions, shows each label, and takes a target for each file', async () => {
    const renamed = join(dir, 'renamed.jsonl')
    writeFileSync(renamed, readFileSync(data[0] as string, 'utf8').replaceAll('"target"', '"mood"'))
    const answers = join(dir, 'answers.jsonl')
    const given = ['--data', data[0] as string, '--data', renamed, '--target', '', '--target', 'mood']
    const { code, stdout } = await cli.run(['eval', sentiment, ...given, '--predictions', answers, ...model])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^label +precision, % +recall, % +F1, % +rows$/m)
    expect(stdout).toMatch(/^negative +94\.4 +85\.0 +89\.5 +20$/m)
    expect(stdout).toMatch(/^wanted \\ answered +negative +positive$/m)
    const rows = readFileSync(answers, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { data: string; correct: boolean })
    expect(rows.map((row) => row.data)).toEqual([...Array<string>(40).fill('dev.jsonl'), ...Array<string>(40).fill('renamed.jsonl')])
    expect(rows.filter(({ correct }) => correct)).toHaveLength(72)
    const fails = async (...more: string[]) => (await cli.run(['eval', sentiment, '--data', data[0] as string, ...model, ...more])).stderr
    expect(await fails('--target', 'a', '--target', 'b')).toContain('--target was given 2 times for 1 files of --data')
    expect(await fails('--predictions', data[0] as string)).toContain('[predictions-data]')
    expect(await fails('--labels', 'a', '--generate')).toContain('[labels-generate]')
  })

  it('measures the base without a prompt beside the prompt', async () => {
    const { code, stdout } = await cli.run(['eval', sentiment, '--data', data[0] as string, '--bare', ...model, '--json'])
    expect(code).toBe(0)
    const [bare, prompted] = JSON.parse(stdout) as { prompt: string; metrics: { value: number }[] }[]
    expect([bare?.prompt, prompted?.prompt]).toEqual(['(no prompt)', sentiment])
    expect(bare?.metrics[0]?.value).toBeLessThan(prompted?.metrics[0]?.value as number)
  })

  it('prints the table of domain transfer, and gives it in --json', async () => {
    const ask = (...more: string[]) =>
      cli.run(['eval', sentiment, topic, '--data', data[0] as string, '--data', data[1] as string, ...model, ...more])
    const { stdout, stderr, code } = await ask()
    expect(stdout).toMatch(/^prompt +\S*sentiment\/dev\.jsonl +\S*topic\/dev\.jsonl$/m)
    // No row of the one asks for a label of the other: no figure, and no 0.0 either.
    expect(stdout).toMatch(/^\S*examples\/topic +- +\d+\.\d$/m)
    expect(code).toBe(1)
    expect(stderr).toMatch(/sentiment on \S*topic\/dev\.jsonl: none of 40 rows asks for one of the labels .* \[targets-not-labels\]$/m)
    expect(stderr).toMatch(/^error: 2 of 4 measurements failed; the first: .* \[eval-failed\]$/m)
    const { results, transfer, failures } = JSON.parse((await ask('--json')).stdout) as {
      results: unknown[]
      transfer: { rows: { values: (number | null)[] }[] }
      failures: { code: string }[]
    }
    expect(results).toHaveLength(2)
    expect(failures.map((failure) => failure.code)).toEqual(['targets-not-labels', 'targets-not-labels'])
    expect(transfer).toMatchObject({ metric: 'accuracy', data })
    expect(transfer.rows.map(({ values }) => values.map((value) => (value === null ? null : value > 0.7)))).toEqual([
      [true, null],
      [null, true],
    ])
  })

  it('reads standard input once, for prompts with a template each', async () => {
    const other = join(dir, 'other')
    cpSync(sentiment, other, { recursive: true })
    const manifest = join(other, 'soft_prompt.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('{input}', 'text: {input}'))
    const { code, stdout, stderr } = await cli.run(['eval', sentiment, other, '--data', '-', ...model], {
      stdin: readFileSync(data[0] as string, 'utf8'),
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.match(/ on standard input: accuracy/g)).toHaveLength(2)
  })
})
