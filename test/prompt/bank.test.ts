/** The prompt bank and the joining of rows: ids given once, only used rows fed, every row [prompt, text, pads]. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SoftPromptError } from '../../src/errors.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { joinPrompts, tokenRows } from '../../src/prompt/join.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const V = 100
/** P rows of width 2, all `value`. */
const prompt = (length: number, value: number): SoftPrompt =>
  softPrompt(tensor('F32', [length, 2], new Float32Array(length * 2).fill(value)), { base: { id: 'x' } })
const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    return (error as SoftPromptError).code
  }
  return 'accepted'
}
const plain = (ids: BigInt64Array): number[] => Array.from(ids, Number)

describe('a bank', () => {
  it('with no prompt has one row of zeros', () => {
    const { rows, ids, prompted } = createPromptBank().feeds([1n, 2n], V, 2)
    expect([rows.shape, [...rows.data], plain(ids), prompted]).toEqual([[1, 2], [0, 0], [1, 2], false])
  })

  it('feeds only the prompts that the ids use, renumbered', () => {
    const bank = createPromptBank({ a: prompt(3, 1), b: prompt(2, 2), c: prompt(1, 3) })
    const { start } = bank.tokens('b')
    const { rows, ids } = bank.feeds([V + start, V + start + 1, 7], V, 2)
    expect([rows.shape, [...rows.data], plain(ids)]).toEqual([
      [2, 2],
      [2, 2, 2, 2],
      [V, V + 1, 7],
    ])
  })

  it('gives ids once: those of a removed prompt are refused, not taken for another', () => {
    const bank = createPromptBank({ a: prompt(2, 1) })
    const old = V + bank.tokens('a').start
    bank.remove('a')
    bank.add('a', prompt(2, 5))
    expect(codeOf(() => bank.feeds([old], V, 2))).toBe('bank-id')
    expect([...bank.feeds([V + bank.tokens('a').start], V, 2).rows.data]).toEqual([5, 5, 5, 5])
  })

  it('smaller than the ids need is refused before the runtime sees it, as are negative ids', () => {
    const bank = createPromptBank({ a: prompt(2, 1) })
    expect(codeOf(() => bank.feeds([V + 2], V, 2))).toBe('bank-id')
    expect(codeOf(() => bank.feeds([-1], V, 2))).toBe('bank-id')
    expect(codeOf(() => createPromptBank().feeds([V], V, 2))).toBe('bank-id')
  })

  it('refuses another width, a taken name, an empty name, an unknown name', () => {
    const bank = createPromptBank({ a: prompt(2, 1) })
    const wide = softPrompt(tensor('F32', [1, 3], new Float32Array(3)), { base: { id: 'x' } })
    expect(codeOf(() => bank.add('wide', wide))).toBe('prompt-width')
    expect(codeOf(() => bank.fit(3))).toBe('prompt-width')
    expect(codeOf(() => bank.add('a', prompt(1, 1)))).toBe('prompt-name')
    expect(codeOf(() => bank.add('', prompt(1, 1)))).toBe('prompt-name')
    expect(codeOf(() => bank.remove('b'))).toBe('prompt-unknown')
    expect(bank.names).toEqual(['a'])
  })
})

const data = (values: number[][]): BigInt64Array => BigInt64Array.from(values.flat(), BigInt)

const rows = (ids: number[][], mask?: number[][]) => {
  const dims = [ids.length, ids[0]?.length ?? 0]
  return tokenRows({ data: data(ids), dims }, mask && { data: data(mask), dims }, 0)
}

const shown = (joined: ReturnType<typeof joinPrompts>) => [joined.ids.shape, plain(joined.ids.data), plain(joined.mask.data)]

describe('joined rows', () => {
  const two = { start: 0, length: 2 }
  it('are [prompt, text, pads], as long as the longest', () => {
    expect(
      shown(
        joinPrompts(
          rows([
            [5, 6, 1],
            [7, 1, 0],
          ]),
          [null, two],
          V,
          0,
        ),
      ),
    ).toEqual([
      [2, 4],
      [5, 6, 1, 0, V, V + 1, 7, 1],
      [1, 1, 1, 0, 1, 1, 1, 1],
    ])
  })
  it('left-padded: the prompt stands next to the text', () => {
    expect(shown(joinPrompts(rows([[0, 0, 7, 1]], [[0, 0, 1, 1]]), [two], V, 0))).toEqual([
      [1, 4],
      [V, V + 1, 7, 1],
      [1, 1, 1, 1],
    ])
  })
  it('internally masked: a masked token keeps its place and its mask', () => {
    expect(shown(joinPrompts(rows([[5, 6, 7, 0]], [[1, 0, 1, 0]]), [two], V, 0))).toEqual([
      [1, 5],
      [V, V + 1, 5, 6, 7],
      [1, 1, 1, 0, 1],
    ])
  })
  it('of empty text are the prompt alone', () => {
    expect(shown(joinPrompts(rows([[0]]), [two], V, 0))).toEqual([
      [1, 2],
      [V, V + 1],
      [1, 1],
    ])
    expect(shown(joinPrompts(rows([[0]]), [null], V, 0))).toEqual([[1, 1], [0], [0]])
  })
  it('want one prompt a row and a mask of the ids’ shape', () => {
    expect(codeOf(() => joinPrompts(rows([[1], [1]]), [null], V, 0))).toBe('prompt-count')
    const short = tensor('I64', [1, 1], new BigInt64Array(1))
    expect(codeOf(() => joinPrompts({ ids: rows([[1, 1]]).ids, mask: short }, [null], V, 0))).toBe('mask-shape')
  })

  it('any padding, any prompts: every unmasked token stays, in order, behind its prompt', () => {
    const cell = fc.tuple(fc.integer({ min: 1, max: V - 1 }), fc.integer({ min: 0, max: 1 }))
    const batch = fc.integer({ min: 1, max: 5 }).chain((width) =>
      fc.array(fc.tuple(fc.array(cell, { minLength: width, maxLength: width }), fc.integer({ min: 0, max: 4 })), {
        minLength: 1,
        maxLength: 4,
      }),
    )
    fc.assert(
      fc.property(batch, (given) => {
        const ids = given.map(([cells]) => cells.map(([id]) => id))
        const mask = given.map(([cells]) => cells.map(([, bit]) => bit))
        const joined = joinPrompts(
          rows(ids, mask),
          given.map(([, length]) => (length === 0 ? null : { start: 10, length })),
          V,
          0,
        )
        const width = joined.ids.shape[1] as number
        for (const [row, [cells, length]] of given.entries()) {
          const seen = plain(joined.ids.data)
            .slice(row * width, (row + 1) * width)
            .filter((_, at) => joined.mask.data[row * width + at] === 1n)
          const expected = [
            ...Array.from({ length }, (_, token) => V + 10 + token),
            ...cells.filter(([, bit]) => bit === 1).map(([id]) => id),
          ]
          expect(seen).toEqual(expected)
        }
      }),
    )
  })
})
