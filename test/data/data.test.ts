/** Rows, templates and examples: what a user may write, and what a bad row says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRows } from '../../adapters/rows/read-rows.ts'
import { encodeExamples, labelsOf, toExamples } from '../../src/data/examples.ts'
import { holdOut } from '../../src/data/split.ts'
import { PRESETS, presetOf } from '../../src/data/presets.ts'
import { parseTemplate } from '../../src/data/template.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-rows-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const write = async (name: string, text: string | Uint8Array): Promise<string> => {
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}
const code = (name: string, message?: RegExp): unknown =>
  expect.objectContaining({ code: name, ...(message ? { message: expect.stringMatching(message) } : {}) })

const labelsIn = (targets: string[]): string[] | undefined => labelsOf(targets.map((target) => ({ input: '', target, where: '' })))

describe('readRows', () => {
  it.each([
    ['a.jsonl', '{"input": "good, \\"very\\"", "label": 1}\n\n{"input": "bad", "label": 0}\r\n', [1, 3]],
    ['a.csv', '\ufeffinput,label\n"good, ""very""",1\nbad,0\n', [2, 3]],
    ['a.tsv', 'input\tlabel\ngood, "very"\t1\nbad\t0\n', [2, 3]],
  ])('%s', async (name, text, lines) => {
    const path = await write(name, text)
    const rows = await readRows(path)
    expect(rows.map(({ fields }) => [fields['input'], String(fields['label'])])).toEqual([
      ['good, "very"', '1'],
      ['bad', '0'],
    ])
    expect(rows.map(({ where }) => where)).toEqual(lines.map((line) => `${path}:${line}`))
  })

  it('Parquet, as Hub datasets are stored', async () => {
    const rows = await readRows(new URL('../fixtures/rows/sample.parquet', import.meta.url).pathname)
    expect(rows.map(({ fields }) => fields)).toEqual([
      { sentence: 'a fine film', label: 1n, idx: 0 },
      { sentence: 'größer als «all» 電影', label: 0n, idx: 1 },
      { sentence: 'dull', label: 0n, idx: 2 },
    ])
    expect(rows[1]?.where).toMatch(/sample\.parquet:row 2$/)
  })

  it.each([
    ['bad.jsonl', '{"a": 1}\n{"a": \n', 'row-json', /bad\.jsonl:2: not JSON/],
    ['list.jsonl', '[1]\n', 'row-json', /list\.jsonl:1: expected one object/],
    ['short.csv', 'a,b\n1,2\n3\n', 'row-csv', /short\.csv:3/],
    ['bad.parquet', 'PAR1 no', 'row-parquet', /bad\.parquet/],
    ['rows.xlsx', '', 'data-kind', /\.jsonl/],
    ['latin1.jsonl', Uint8Array.of(0x7b, 0xe9, 0x7d), 'data-utf8', /UTF-8/],
  ])('%s says what is wrong and where', async (name, text, expected, message) => {
    await expect(readRows(await write(name, text))).rejects.toEqual(code(expected, message))
  })

  it('names a file that is not there', async () => {
    await expect(readRows(join(dir, 'none.jsonl'))).rejects.toEqual(code('data-missing', /none\.jsonl/))
    await expect(readRows('https://huggingface.co/datasets/me/rows')).rejects.toEqual(code('data-missing', /an address.*--dataset/))
  })
})

describe('templates', () => {
  const row = { fields: { premise: 'it rains', hypothesis: 'wet', n: 3, none: null }, where: 'x.jsonl:4' }

  it('fills fields and keeps doubled braces', () => {
    const template = parseTemplate('{{x}} premise: {premise} hypothesis: { hypothesis } {n}{premise}')
    expect(template.fields).toEqual(['premise', 'hypothesis', 'n'])
    expect(template.render(row)).toBe('{x} premise: it rains hypothesis: wet 3it rains')
  })

  it.each(['{premise', 'premise}', '{}', 'a { b'])('refuses %s', (text) => {
    expect(() => parseTemplate(text)).toThrow(code('template-brace'))
  })

  it.each(['{missing}', '{none}', '{toString}'])('%s names the row and its fields', (text) => {
    expect(() => parseTemplate(text).render(row)).toThrow(code('row-field', /x\.jsonl:4.*premise, hypothesis.*The template .* asks for it/))
  })
})

describe('presets', () => {
  it('make text of rows as the Hub has them', () => {
    const squad = { fields: { question: 'Who?', context: 'Ada did.', answers: { text: ['Ada', 'she'], answer_start: [0] } }, where: 'f:1' }
    const { template, target } = presetOf('squad')
    expect(toExamples([squad], { template: parseTemplate(template), target })).toEqual([
      { input: 'question: Who? context: Ada did.', target: 'Ada', where: 'f:1' },
    ])
    const rte = presetOf('rte')
    const row = { fields: { sentence1: 'It rains.', sentence2: 'It is wet.', label: 0n, idx: 4 }, where: 'f:2' }
    expect(toExamples([row], { ...rte, template: parseTemplate(rte.template) })).toEqual([
      { input: 'sentence1: It rains. sentence2: It is wet.', target: 'entailment', where: 'f:2' },
    ])
  })

  it('all have templates that parse, and an unknown one lists them', () => {
    for (const { template } of Object.values(PRESETS)) expect(parseTemplate(template).fields.length).toBeGreaterThan(0)
    expect(() => presetOf('toString')).toThrow(code('preset-unknown', /sst2/))
  })
})

describe('holdOut', () => {
  const items = Array.from({ length: 50 }, (_, index) => index)

  it('parts the rows the same way for a seed, each in its order', () => {
    const { rest, held } = holdOut(items, 12, 3)
    expect(held).toHaveLength(12)
    expect([...rest, ...held].toSorted((a, b) => a - b)).toEqual(items)
    expect(held).toEqual(held.toSorted((a, b) => a - b))
    expect(holdOut(items, 12, 3).held).toEqual(held)
    expect(holdOut(items, 12, 4).held).not.toEqual(held)
  })

  it('leaves something to train on', () => {
    expect(() => holdOut(items, 50, 0)).toThrow(code('hold-out', /50 rows/))
  })
})

describe('examples', () => {
  const template = parseTemplate('{input}')
  const rows = ['0', '1', '1'].map((label, index) => ({ fields: { input: `text ${index}`, label }, where: `f:${index + 1}` }))

  it('maps answers to label words and refuses others', () => {
    const examples = toExamples(rows, { template, target: 'label', labelMap: { '0': 'no', '1': 'yes' } })
    expect(examples.map(({ target }) => target)).toEqual(['no', 'yes', 'yes'])
    expect(() => toExamples(rows, { template, target: 'label', labelMap: { '1': 'yes' } })).toThrow(code('row-label', /f:1.*"0"/))
    expect(() => toExamples([], { template, target: 'label' })).toThrow(code('rows-none'))
  })

  it('sees labels in repeated answers and none in free text', () => {
    expect(labelsIn(['b', 'a', 'b', 'a'])).toEqual(['a', 'b'])
    expect(labelsIn(['one', 'two', 'three'])).toBeUndefined()
  })

  it('cuts long texts but keeps </s>, and counts them', async () => {
    const tokenizer = await openTokenizer(new URL('../fixtures/onnx/tiny-t5-v10', import.meta.url).pathname)
    const long = { input: 'the quick brown fox jumps over the lazy dog', target: 'bad plot', where: '' }
    const { examples, truncatedInputs, truncatedTargets } = encodeExamples([long, { ...long, input: 'bad' }], tokenizer, {
      maxInput: 5,
      maxTarget: 8,
    })
    expect(examples[0]?.inputIds).toHaveLength(5)
    expect(examples[0]?.inputIds.at(-1)).toBe(tokenizer.eosId)
    expect([truncatedInputs, truncatedTargets]).toEqual([1, 0])
    expect(examples[0]?.targetIds).toEqual([23, 71, 1])
  })
})
