/** Scores by label as scikit-learn's precision_recall_fscore_support(zero_division=0) and confusion_matrix give them, worked out by hand. */
import { expect, it } from 'vitest'
import { classScores, confusionOf } from '../../src/train/classes.ts'
import { measure } from '../../src/train/evaluate.ts'
import { adviseTargets, checkTargets, outsideLabels } from '../../src/train/outside.ts'

const wanted = ['a', 'a', 'a', 'a', 'b', 'b', 'c', 'x']
const said = ['a', 'a', 'b', 'a', 'b', 'a', 'b', 'b']

it('precision, recall, F1 and rows by label; what was never said or asked for is 0', () => {
  expect(classScores(said, wanted, ['a', 'b', 'c', 'd'])).toEqual([
    { label: 'a', precision: 3 / 4, recall: 3 / 4, f1: 6 / 8, support: 4 },
    { label: 'b', precision: 1 / 4, recall: 1 / 2, f1: 2 / 6, support: 2 },
    { label: 'c', precision: 0, recall: 0, f1: 0, support: 1 },
    { label: 'd', precision: 0, recall: 0, f1: 0, support: 0 },
  ])
})

it('the confusion table has a line for what is no label, and no column where nothing else was said', () => {
  expect(confusionOf(said, wanted, ['a', 'b', 'c'])).toEqual({
    expected: ['a', 'b', 'c', null],
    answered: ['a', 'b', 'c'],
    counts: [
      [3, 1, 0],
      [1, 1, 0],
      [0, 1, 0],
      [0, 1, 0],
    ],
  })
  expect(confusionOf(['a', 'well'], ['a', 'a'], ['a'])).toEqual({ expected: ['a'], answered: ['a', null], counts: [[1, 1]] })
})

it('answers that are no label are counted, with examples', () => {
  expect(outsideLabels(wanted, ['a', 'b', 'c', 'x'])).toBeUndefined()
  expect(outsideLabels(wanted, ['a', 'b'])).toEqual({ count: 2, of: 8, examples: ['c', 'x'] })
})

it('rows that no label answers are told with their number', () => {
  expect(adviseTargets(wanted, ['a', 'b', 'c', 'x'])).toEqual([])
  expect(adviseTargets(wanted, ['a', 'b'])).toEqual([
    {
      code: 'targets-not-labels',
      message: expect.stringMatching(/^2 of 8 rows ask for .* none of the labels \("a", "b"\), as "c", "x"; they count as wrong/),
    },
  ])
  expect(() => checkTargets(wanted, ['a', 'b'], 'dev', 'Mend it')).not.toThrow()
  expect(() => checkTargets(wanted, ['good'], 'dev', 'Mend it')).toThrow(
    /^dev: none of 8 rows asks for .*; they ask for "a", "b", "c", "x"\. Mend it\.$/,
  )
})

it('a measurement warns of generated answers that are no label of the prompt', () => {
  const rows = wanted.map((target) => ({ inputIds: [1], targetIds: [1], target }))
  expect(measure(said, { rows, split: 'dev', words: ['a', 'c'] }).warnings).toMatchObject([
    {
      code: 'answers-not-labels',
      message: expect.stringMatching(/^4 of 8 generated answers are none of the prompt's labels \("a", "c"\), as "b"/),
    },
  ])
})
