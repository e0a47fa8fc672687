/** Rows as they come from other programs: line ends, quotes, delimiters, digits; and answers with space around them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openData } from '../../adapters/compose/data.ts'
import { readRows } from '../../adapters/rows/read-rows.ts'
import { toExamples } from '../../src/data/examples.ts'
import { formatExactJson, parseExactJson } from '../../src/data/exact-json.ts'
import { parseTemplate } from '../../src/data/template.ts'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-lines-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const write = async (name: string, text: string): Promise<string> => {
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}
const code = (name: string, message: RegExp): unknown => expect.objectContaining({ code: name, message: expect.stringMatching(message) })

const HEADER = ['input', 'label']
const ROWS = [
  ['a fine film', 'good'],
  ['dull', 'bad'],
  ['"odd", said; Ann', 'good'],
]
const wanted = ROWS.map(([input, label]) => ({ input, label }))
const quoted = (field: string): string => (/[",;\t]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)
const csvOf = (ends: readonly string[], delimiter: string): string =>
  [HEADER, ...ROWS].map((row, index) => row.map(quoted).join(delimiter) + ends[index]).join('')

describe('line ends', () => {
  it.each([
    ['Unix', ['\n', '\n', '\n', '\n']],
    ['Windows', ['\r\n', '\r\n', '\r\n', '\r\n']],
    ['old Macintosh', ['\r', '\r', '\r', '\r']],
    ['a Unix header over Windows rows', ['\n', '\r\n', '\r\n', '\r\n']],
    ['a Windows header over Unix rows', ['\r\n', '\n', '\n', '\n']],
    ['two files joined', ['\n', '\n', '\r\n', '\r\n']],
    ['every kind, the last left out', ['\r', '\r\n', '\n', '']],
  ])('of %s leave nothing in a field', async (_, ends) => {
    const files = [
      ['ends.csv', ','],
      ['ends.tsv', '\t'],
      ['ends-semicolon.csv', ';'],
      ['ends-tab.csv', '\t'],
    ] as const
    for (const [name, delimiter] of files) {
      const rows = await readRows(await write(name, csvOf(ends, delimiter)))
      expect(rows.map(({ fields }) => fields)).toEqual(wanted)
    }
    const lines = ROWS.map(([input, label], index) => JSON.stringify({ input, label }) + ends[index + 1])
    const rows = await readRows(await write('ends.jsonl', lines.join('')))
    expect(rows.map(({ fields }) => fields)).toEqual(wanted)
  })

  it('are no part of what is trained on: the same digest, the same labels', async () => {
    const [unix, mixed] = await Promise.all([
      openData(await write('unix.csv', csvOf(['\n', '\n', '\n', '\n'], ',')), { target: 'label' }),
      openData(await write('mixed.csv', csvOf(['\n', '\r\n', '\n', '\r\n'], ';')), { target: 'label' }),
    ])
    expect(mixed.sha256).toBe(unix.sha256)
  })
})

const inputsOf = async (text: string): Promise<unknown[]> =>
  (await readRows(await write('quotes.tsv', text))).map(({ fields }) => fields['input'])

describe('quotes', () => {
  it('of a TSV written with them are no part of a field', async () => {
    const text = 'input\tlabel\n"""The knife"" is dull"\tbad\nplain\tbad\n"two\nlines and\ta tab"\tgood\n'
    expect(await inputsOf(text)).toEqual(['"The knife" is dull', 'plain', 'two\nlines and\ta tab'])
    expect(await inputsOf('input\tlabel\n"all"\t"bad"\n')).toEqual(['all'])
    expect(await inputsOf('input\n"two\nlines"\n')).toEqual(['two\nlines'])
  })

  it('of a TSV written without them are', async () => {
    const fields = ['"the knife" is dull', '" open', 'a " b', 'close "', '"all"']
    expect(await inputsOf(`input\tlabel\n${fields.map((field) => `${field}\tbad\n`).join('')}`)).toEqual(fields)
  })
})

describe('digits', () => {
  it('are written as they were read', () => {
    const text = '{"#whole:":"#whole:7","a":[90071992547409931,-12345678901234567890,1,0.5,"90071992547409931","\\"#whole:8\\""],"b":null}'
    expect(formatExactJson(parseExactJson(text))).toBe(text)
    expect(formatExactJson(1n)).toBe('1')
  })

  it('of a whole number in JSON Lines all stay, as in Parquet', async () => {
    const long = '12345678901234567890'
    const text = `{"input": "${long} \\" ${long}", "label": ${long}, "deep": {"ids": [-9007199254740993, 1e3, 0.1, 7], "#whole:1": 90071992547409931}}\n`
    const [row] = await readRows(await write('digits.jsonl', text))
    if (!row) throw new TypeError('no row')
    expect(row.fields).toEqual({
      input: `${long} " ${long}`,
      label: BigInt(long),
      deep: { ids: [-9007199254740993n, 1000, 0.1, 7], '#whole:1': 90071992547409931n },
    })
    const options = { template: parseTemplate('{deep.ids.0} {deep.ids.3}'), target: 'label' }
    expect(toExamples([row], options)).toMatchObject([{ input: '-9007199254740993 7', target: long }])
    const labelMap = { '12345678901234567891': 'other', '12345678901234567000': 'rounded', [long]: 'this' }
    expect(toExamples([row], { ...options, labelMap })[0]?.target).toBe('this')
    await expect(readRows(await write('broken.jsonl', `{"label": ${long}`))).rejects.toEqual(code('row-json', /broken\.jsonl:1/))
  })
})

describe('what cannot be read', () => {
  it.each([
    ['twice.csv', 'input,label,input\na,b,c\n', 'row-columns', /twice\.csv:1: two columns are called "input"/],
    ['twice.tsv', 'a\ta\n1\t2\n', 'row-columns', /two columns are called "a"/],
    ['inches.csv', 'input,label\nfine,good\na 5" disk,bad\n', 'row-csv', /inches\.csv:3: .*"a 5"" disk"/],
    ['behind.csv', 'input,label\n"a" b,bad\n', 'row-csv', /behind\.csv:2: .*end of the line/],
    ['open.csv', 'input,label\n"a,bad\n', 'row-csv', /open\.csv:\d+: .*never closed/],
    ['short.tsv', 'a\tb\n1\t2\n3\n', 'row-csv', /short\.tsv:3/],
  ])('%s: names the line and what to do', async (name, text, expected, message) => {
    await expect(readRows(await write(name, text))).rejects.toEqual(code(expected, message))
  })
})

describe('answers', () => {
  const template = parseTemplate('{input}')
  const rows = ['good ', 'good', '\u00a0good', 'good\u0085', '\tgood\u3000'].map((label, index) => ({
    fields: { input: 'fine', label },
    where: `f:${index + 1}`,
  }))

  it('are trimmed, so that no space makes a second label', () => {
    expect(toExamples(rows, { template, target: 'label' }).map(({ target }) => target)).toEqual(Array(5).fill('good'))
    const labelMap = { good: 'yes ' }
    expect(toExamples(rows, { template, target: 'label', labelMap }).map(({ target }) => target)).toEqual(Array(5).fill('yes'))
  })

  it('map to texts only', () => {
    const labelMap = JSON.parse('{"good": 0}') as Record<string, string>
    expect(() => toExamples(rows, { template, target: 'label', labelMap })).toThrow(code('label-map-value', /0 for "good"/))
  })
})
