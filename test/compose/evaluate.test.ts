/** eval obeys what a prompt's manifest says, refuses figures that say nothing, and goes on past a file that cannot be read. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer } from '../../adapters/compose/answer.ts'
import { evaluatePrompts, type EvaluateFailure, type EvaluateOptions, type EvaluateResult } from '../../adapters/compose/evaluate.ts'
import { drainTraining, trainPrompt } from '../../adapters/compose/train.ts'
import { transferTable } from '../../adapters/compose/transfer-table.ts'

const model = fileURLToPath(new URL('../../models/t5-tiny-en', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-evaluate-'))
const at = (name: string): string => join(dir, name)
const labelMap = { '0': 'negative', '1': 'positive' }
interface Example {
  readonly input: string
  readonly target: 'negative' | 'positive'
}
const examples = (file: string): Example[] =>
  readFileSync(new URL(`../../examples/data/sentiment/${file}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Example)
const write = (name: string, rows: readonly object[]): void => writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'))
const dev = examples('dev').slice(0, 60)
const numbered = (rows: readonly Example[]): object[] =>
  rows.map(({ input, target }) => ({ sentence: input, label: target === 'positive' ? 1 : 0 }))
let trained = 0

beforeAll(async () => {
  write('train.jsonl', numbered(examples('train')))
  write('dev.jsonl', numbered(dev))
  write(
    'words.jsonl',
    dev.map(({ input, target }) => ({ sentence: input, said: target })),
  )
  write('some.jsonl', [
    ...dev.map(({ input, target }) => ({ sentence: input, label: target })),
    { sentence: 'so so', label: 'mixed' },
    { sentence: 'hm', label: '2' },
  ])
  write(
    'other.jsonl',
    dev.map(({ input }) => ({ sentence: input, label: 'yes' })),
  )
  const result = await drainTraining(
    trainPrompt({
      model,
      data: at('train.jsonl'),
      dev: at('dev.jsonl'),
      template: 'sentence: {sentence}',
      target: 'label',
      labelMap,
      out: at('glue'),
      threads: 1,
      recipe: { length: 4, steps: 40, batch: 8, evalEvery: 40, schedule: 'linear', maxInputTokens: 48 },
    }),
  )
  trained = result.metrics?.[0]?.value ?? Number.NaN
})
afterAll(() => rmSync(dir, { recursive: true }))

const evaluated = async (data: EvaluateOptions['data'], more: Partial<EvaluateOptions> = {}): Promise<EvaluateResult[]> => {
  const results: EvaluateResult[] = []
  for await (const result of evaluatePrompts({ prompts: [at('glue')], model, data, threads: 1, ...more })) results.push(result)
  return results
}
const accuracyOf = (result: EvaluateResult | undefined): number | undefined => result?.metrics[0]?.value

describe('a prompt with a template, a target field and a label map of its own', () => {
  it('is measured with them, as training measured it', async () => {
    const [result] = await evaluated([at('dev.jsonl')])
    expect(accuracyOf(result)).toBe(trained)
    expect(trained).toBeGreaterThan(0.6)
    expect(result?.warnings).toEqual([])
  })

  it('is measured on label words as they are, where the field is named', async () => {
    await expect(evaluated([at('words.jsonl')])).rejects.toMatchObject({
      code: 'row-field',
      message: expect.stringContaining('fields here: sentence, said'),
    })
    expect(accuracyOf((await evaluated([at('words.jsonl')], { target: 'said' }))[0])).toBe(trained)
  })

  it('reads each file in a way of its own; what is given wins over the manifest', async () => {
    const results = await evaluated([
      at('dev.jsonl'),
      { file: at('words.jsonl'), target: 'said' },
      { file: at('dev.jsonl'), labelMap: { '0': 'positive', '1': 'negative' } },
    ])
    expect(results.map(({ data }) => data)).toEqual(['dev.jsonl', 'words.jsonl', 'dev.jsonl (2)'])
    expect(results.map(accuracyOf)).toEqual([trained, trained, expect.closeTo(1 - trained, 12)])
  })

  it.each([{}, { labels: false as const }])('refuses rows of which none asks for a label: %o', async (options) => {
    await expect(evaluated([at('other.jsonl')], options)).rejects.toMatchObject({
      code: 'targets-not-labels',
      message: expect.stringMatching(
        /glue on other\.jsonl: none of 60 rows asks for one of the labels \("negative", "positive"\); they ask for "yes"/,
      ),
    })
  })

  it('refuses labels that no row asks for, and none at all', async () => {
    await expect(evaluated([at('dev.jsonl')], { labels: ['good', 'bad'] })).rejects.toMatchObject({ code: 'targets-not-labels' })
    await expect(evaluated([at('dev.jsonl')], { labels: [] })).rejects.toMatchObject({ code: 'labels-none' })
  })

  it('counts rows that ask for no label, and says so', async () => {
    const [result] = await evaluated([at('some.jsonl')])
    expect(result?.warnings).toEqual([
      { code: 'targets-not-labels', message: expect.stringMatching(/^2 of 62 rows ask for .* as "mixed", "2"; they count as wrong/) },
    ])
    expect(accuracyOf(result)).toBeCloseTo((60 * trained) / 62, 12)
    expect(result?.confusion?.expected).toEqual(['negative', 'positive', null])
  })

  it('says what it says of a training too: labels that cannot be told apart, empty inputs', async () => {
    write('empty.jsonl', [...numbered(dev.slice(0, 3)), { sentence: '', label: 1 }])
    const [result] = await evaluated([at('empty.jsonl')], { labels: ['negative', 'positive', 'positive '] })
    expect(result?.warnings.map(({ code }) => code)).toEqual(['labels-same', 'input-empty'])
  })

  it('gives every row with its answer, and each label its scores', async () => {
    const [result] = await evaluated([at('dev.jsonl')])
    const { predictions = [], classes = [], confusion } = result ?? {}
    expect(predictions.map(({ row, input, target }) => [row, input, target])).toEqual(
      dev.map(({ input, target }, index) => [index + 1, `sentence: ${input}`, target]),
    )
    expect(predictions[4]?.where).toBe(`${at('dev.jsonl')}:5`)
    expect(predictions.filter(({ correct }) => correct)).toHaveLength(Math.round(60 * trained))
    for (const { answer: said, labels = [] } of predictions) expect(said).toBe(labels[0]?.label)
    // The same answers as `run` gives to the same rows.
    const rows = numbered(dev).slice(0, 3) as Record<string, unknown>[]
    const run = await answer({ prompts: [at('glue')], texts: rows, model, threads: 1 })
    expect(run.map(({ text, fields, answer: said }) => [text, fields, said])).toEqual(
      rows.map((fields, row) => [predictions[row]?.input, fields, predictions[row]?.answer]),
    )
    const of = (label: string): typeof predictions => predictions.filter(({ target }) => target === label)
    const [negative, positive] = [of('negative'), of('positive')]
    expect(classes.map(({ support }) => support)).toEqual([negative.length, positive.length])
    expect(classes[0]?.recall).toBeCloseTo(negative.filter(({ correct }) => correct).length / negative.length, 12)
    expect(confusion?.counts[1]?.[0]).toBe(positive.filter(({ correct }) => !correct).length)
  })

  it('told of failures, goes on with the other files; the table keeps its columns', async () => {
    const failures: EvaluateFailure[] = []
    writeFileSync(at('broken.jsonl'), '{"sentence": \n')
    const data = [at('broken.jsonl'), at('dev.jsonl'), at('other.jsonl')]
    const results = await evaluated(data, { prompts: [at('glue'), `${at('glue')}/`], onFailure: (failure) => failures.push(failure) })
    expect(results.map(({ data: on }) => on)).toEqual(['dev.jsonl', 'dev.jsonl'])
    expect(failures.map(({ data: on, error }) => [on, error.code])).toEqual([
      ['broken.jsonl', 'row-json'],
      ['broken.jsonl', 'row-json'],
      ['other.jsonl', 'targets-not-labels'],
      ['other.jsonl', 'targets-not-labels'],
    ])
    const table = transferTable(results, failures, ['broken.jsonl', 'dev.jsonl', 'other.jsonl'])
    expect(table?.data).toEqual(['broken.jsonl', 'dev.jsonl', 'other.jsonl'])
    expect(table?.rows.map(({ values }) => values)).toEqual([
      [null, trained, null],
      [null, trained, null],
    ])
    await expect(evaluated(data)).rejects.toMatchObject({ code: 'row-json' })
  })
})

const trainWith = (labels: readonly string[]): Promise<unknown> =>
  drainTraining(
    trainPrompt({
      model,
      data: at('words.jsonl'),
      template: '{sentence}',
      target: 'said',
      labels,
      out: at('never'),
      threads: 1,
      recipe: { length: 1, steps: 1 },
    }),
  )

it('training refuses labels that no row asks for', async () => {
  await expect(trainWith(['good', 'bad'])).rejects.toMatchObject({
    code: 'targets-not-labels',
    message: expect.stringContaining('words.jsonl: none of 60 rows'),
  })
})

const ask = (texts: readonly (string | Record<string, unknown>)[], where?: (index: number) => string): Promise<unknown> =>
  answer({ prompts: [at('pair')], texts, model, threads: 1, ...(where ? { where } : {}) })

describe('templates', () => {
  beforeAll(async () => {
    write(
      'pairs.jsonl',
      ['yes', 'no'].flatMap((target) => [1, 2, 3].map((n) => ({ premise: `p${n}`, hypothesis: `h ${target}`, target }))),
    )
    await drainTraining(
      trainPrompt({
        model,
        data: at('pairs.jsonl'),
        template: 'premise: {premise} hypothesis: {hypothesis}',
        out: at('pair'),
        threads: 1,
        recipe: { length: 2, steps: 2, batch: 2 },
      }),
    )
  })

  it('of several fields are filled by fields, and never dropped for a lone text', async () => {
    expect(await ask([{ premise: 'a', hypothesis: 'b' }])).toMatchObject([
      { text: 'premise: a hypothesis: b', fields: { premise: 'a', hypothesis: 'b' } },
    ])
    await expect(ask(['hello'])).rejects.toMatchObject({
      code: 'template-fields',
      message: expect.stringMatching(
        /^text 1: .* has the fields premise, hypothesis; a lone text cannot fill them\. Give them as \{ premise, hypothesis \}/,
      ),
      facts: { fields: ['premise', 'hypothesis'] },
    })
  })

  it('name the row that lacks a field', async () => {
    await expect(ask([{ premise: 'a', hypothesis: 'b' }, { premise: 'a' }], (index) => `pairs.csv:${index + 2}`)).rejects.toMatchObject({
      code: 'row-field',
      message: expect.stringContaining('pairs.csv:3: the field "hypothesis"'),
    })
  })
})
