/** Text of strangers, as a terminal gets it. */
import { afterEach, expect, it, vi } from 'vitest'
import { formatTable, printable, printableLine, shellOutput } from '../../scripts/cli/output.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Colours, a bell, C1's way of the same, turned writing, other line ends, a tag beyond 16 bits. */
const EVIL = 'a\u001b[31m\u0007\u009b2J\u202eb\u2066c\u2028d\r\u{e0041}'
const SHOWN = String.raw`a\u001b[31m\u0007\u009b2J\u202eb\u2066c\u2028d\u000d\udb40\udc41`

it('is shown where it would be obeyed; letters of all languages, and lines of a longer text, stay', () => {
  expect(printable(EVIL)).toBe(SHOWN)
  expect(printable('é 日本 \u0644\u200c 👩\u200d💻\n\tb')).toBe('é 日本 \u0644\u200c 👩\u200d💻\n\tb')
  expect(printableLine('a\n\tb')).toBe(String.raw`a\u000a\u0009b`)
})

it('has one line of a table, and one of a note', () => {
  const table = formatTable(
    ['name', 'n'],
    [
      ['x\nerror: fake', 1],
      ['y', 22],
    ],
  )
  expect(table.split('\n')).toEqual([
    expect.stringMatching(/^name +n$/),
    expect.stringMatching(/^-+ {2}--$/),
    String.raw`x\u000aerror: fake   1`,
    expect.stringMatching(/^y +22$/),
  ])
  let told = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    told += String(text)
    return true
  })
  shellOutput({ json: false, quiet: false }).note('note: x\nerror: fake')
  expect(told).toBe(String.raw`note: x\u000aerror: fake` + '\n')
})

it('is the same in JSON, and nothing there is obeyed', () => {
  let told = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    told += String(text)
    return true
  })
  shellOutput({ json: true, quiet: false }).result({ name: `${EVIL}\\\u009b\n` })
  expect(JSON.parse(told)).toEqual({ name: `${EVIL}\\\u009b\n` })
  expect(printableLine(told.trimEnd())).toBe(told.trimEnd())
})
