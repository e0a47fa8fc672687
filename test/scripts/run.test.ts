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

  it('joins prompts, and refuses the mean of other labels', async () => {
    const { stdout } = await askBoth('--ensemble', 'vote', '--json')
    expect(JSON.parse(stdout)).toMatchObject([{ prompt: 'vote of 2', answer: 'positive', labels: [{ score: 0.5 }, { score: 0.5 }] }])
    expect(await askBoth('--ensemble', 'mean')).toMatchObject({ code: 1, stderr: expect.stringContaining('[ensemble-labels]') })
  })
})

describe('eval', () => {
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
