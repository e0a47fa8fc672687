/** Metrics on cases worked out by statsmodels (proportion_confint, method="wilson") and scikit-learn (f1_score, average="macro"). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { accuracy, differenceInterval, exactMatch, macroF1, squad, wilson } from '../../src/train/metrics.ts'

describe('metrics', () => {
  it.each([
    [50, 100, 0.4038, 0.5962],
    [0, 10, 0, 0.2775],
    [10, 10, 0.7225, 1],
    [1, 1, 0.2065, 1],
    [800, 872, 0.8974, 0.934],
  ])('Wilson %i of %i', (right, n, low, high) => {
    const [from, to] = wilson(right, n)
    expect(from).toBeCloseTo(low, 3)
    expect(to).toBeCloseTo(high, 3)
  })

  it.each(Array.from({ length: 300 }, (_, index) => index + 1))('none and all of %i have an end of exactly 0 and 1', (n) => {
    expect(wilson(0, n)[0]).toBe(0)
    expect(wilson(n, n)[1]).toBe(1)
    const [low, high] = wilson(1, n)
    expect([low > 0, high <= 1]).toEqual([true, true])
  })

  it('accuracy counts equal labels', () => {
    expect(accuracy(['a', 'b', 'b'], ['a', 'a', 'b'])).toMatchObject({ name: 'accuracy', value: 2 / 3, n: 3 })
  })

  it('macro F1 is the mean over labels, predicted ones included', () => {
    expect(macroF1(['a', 'b', 'b', 'b'], ['a', 'a', 'b', 'b']).value).toBeCloseTo((2 / 3 + 0.8) / 2, 12)
    expect(macroF1(['c', 'b'], ['a', 'b']).value).toBeCloseTo(1 / 3, 12)
    expect(macroF1(['a', 'a'], ['a', 'a']).value).toBe(1)
  })

  it('exact match forgives surrounding space and nothing else', () => {
    expect(exactMatch([' yes ', 'Yes', 'no.'], ['yes', 'yes', 'no']).value).toBeCloseTo(1 / 3)
  })

  it("SQuAD's F1 and exact match are the official script's (test/golden/make_squad.py)", () => {
    const rows = JSON.parse(readFileSync(new URL('../golden/squad.json', import.meta.url), 'utf8')) as {
      prediction: string
      expected: string
      f1: number
      exact: boolean
    }[]
    for (const { prediction, expected, f1, exact } of rows) {
      const [word, whole] = squad([prediction], [expected])
      expect([prediction, word?.value, whole?.value]).toEqual([prediction, expect.closeTo(f1, 12), exact ? 1 : 0])
    }
    expect(
      squad(
        rows.map(({ prediction }) => prediction),
        rows.map(({ expected }) => expected),
      )[0]?.value,
    ).toBeCloseTo(rows.reduce((sum, { f1 }) => sum + f1, 0) / rows.length, 12)
  })
})

describe('differenceInterval', () => {
  // Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10.
  it.each([
    [56, 70, 48, 80, 0.0524, 0.3339],
    [9, 10, 3, 10, 0.1705, 0.809],
    [5, 56, 0, 29, -0.0381, 0.1926],
  ])('equals the published interval of %i/%i − %i/%i', (a, m, b, n, low, high) => {
    const got = differenceInterval({ value: a / m, interval: wilson(a, m) }, { value: b / n, interval: wilson(b, n) })
    expect(got[0]).toBeCloseTo(low, 3)
    expect(got[1]).toBeCloseTo(high, 3)
  })
})
