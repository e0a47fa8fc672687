/** What eval reads of its flags, and how it shows many labels. */
import { describe, expect, it } from 'vitest'
import type { EvaluateResult } from '../../adapters/compose/evaluate.ts'
import { parseLabelMap, readingsOf } from '../../scripts/cli/data-flags.ts'
import { showResult, showTransfer } from '../../scripts/cli/evaluation-view.ts'
import { formatTable, type Output } from '../../scripts/cli/output.ts'
import { classScores, confusionOf } from '../../src/train/classes.ts'

const progress = (): Promise<never> => Promise.reject(new RangeError('nothing takes long here'))

const shown = (show: (out: Output) => void): string[] => {
  const lines: string[] = []
  const line = (text: string): unknown => lines.push(...text.split('\n'))
  show({
    json: false,
    quiet: false,
    line,
    part: line,
    note: line,
    table: (header, rows) => line(formatTable(header, rows)),
    result: () => {},
    progress,
  })
  return lines
}

describe('flags of how files are read', () => {
  it('are meant for all files, or each for its own; an empty one leaves it to the prompt', () => {
    expect(readingsOf(['a.csv', 'b.csv'], { target: ['label'] })).toEqual([
      { file: 'a.csv', target: 'label' },
      { file: 'b.csv', target: 'label' },
    ])
    const each = { target: ['', 'mood'], labelMap: ['{"0":"no"}', ''], template: ['', '{text}'] }
    expect(readingsOf(['a.csv', 'b.csv'], each)).toEqual([
      { file: 'a.csv', labelMap: { '0': 'no' } },
      { file: 'b.csv', target: 'mood', template: '{text}' },
    ])
  })

  it('win over what a preset says', () => {
    expect(readingsOf(['a.csv'], { preset: ['sst2'], target: ['answer'] })).toEqual([
      { file: 'a.csv', template: 'sentence: {sentence}', target: 'answer', labelMap: { '0': 'negative', '1': 'positive' } },
    ])
    expect(() => readingsOf(['a.csv'], { preset: ['sst22'] })).toThrow(expect.objectContaining({ code: 'preset-unknown' }))
  })

  it('are refused where they are for some of the files', () => {
    expect(() => readingsOf(['a', 'b', 'c'], { target: ['x', 'y'] })).toThrow(/--target was given 2 times for 3 files of --data/)
  })

  it.each(['{', '[]', '7', '{"0": 1}'])('no label map: %s', (text) => {
    expect(() => parseLabelMap(text)).toThrow(expect.objectContaining({ code: 'label-map' }))
  })
})

const result = (said: readonly string[], wanted: readonly string[], labels: readonly string[]): EvaluateResult => ({
  prompt: 'p',
  data: 'd',
  metrics: [{ name: 'accuracy', split: 'd', value: 0.5, n: wanted.length }],
  truncatedInputs: 0,
  warnings: [],
  predictions: [],
  classes: classScores(said, wanted, labels),
  confusion: confusionOf(said, wanted, labels),
})

describe('a result', () => {
  const letters = [...'abcdefghijkl']
  it('of a few labels shows which was taken for which', () => {
    const lines = shown((out) => showResult(out, result(['a', 'b', 'b'], ['a', 'a', 'x'], ['a', 'b'])))
    expect(lines).toContain('wanted \\ answered  a  b')
    expect(lines).toContain('a                  1  1')
    expect(lines).toContain('(no label)         0  1')
  })

  it('of many labels shows the commonest mistakes', () => {
    const wanted = [...letters, 'a', 'b', 'b']
    const lines = shown((out) => showResult(out, result([...letters, 'l', 'c', 'c'], wanted, letters)))
    expect(lines.slice(lines.indexOf('wanted  answered  rows') + 2)).toEqual(['b       c         2', 'a       l         1', ''])
  })

  it('that is missing in the table of transfer is a dash', () => {
    const lines = shown((out) => showTransfer(out, { metric: 'accuracy', data: ['x', 'y'], rows: [{ prompt: 'p', values: [0.5, null] }] }))
    expect(lines[0]).toContain('- could not be measured')
    expect(lines.at(-1)).toBe('p       50.0  -')
  })
})
