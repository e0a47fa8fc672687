/** Advice before a run: said where it helps, silent elsewhere. */
import * as ort from 'onnxruntime-node'
import { expect, it } from 'vitest'
import { openBase } from '../../adapters/compose/open-base.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import type { Example } from '../../src/data/examples.ts'
import { adviseBase, adviseByAnswer, adviseEnd, adviseLabels, adviseMemory, adviseRecipe } from '../../src/train/advice.ts'
import { adviseData } from '../../src/train/data-advice.ts'
import { buildStep } from '../../src/t5/step.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { measure } from '../../src/train/evaluate.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'

const changed = (name: string, { shape, data }: Tensor<'F32'>): [string, WeightRef] => [
  name,
  { dtype: 'F32', shape, source: new Uint8Array(data.buffer), offsetBytes: 0, sizeBytes: data.byteLength },
]

const codes = (advice: readonly { code: string }[]): string[] => advice.map(({ code }) => code)

it.each([
  ['google/t5-v1_1-base', 768, ['base-spans-only']],
  ['google/mt5-small', 512, ['base-spans-only']],
  ['google-t5/t5-small', 512, ['base-not-adapted']],
  ['google/t5-base-lm-adapt', 768, []],
  ['google/t5-v1_1-xl-lm-adapt', 2048, []],
  ['google/flan-t5-base', 768, []],
  ['t5-tiny-en', 192, ['base-very-small']],
])('%s', (id, width, want) => {
  expect(codes(adviseBase(id, width, { evaluates: false, schedule: 'constant' }))).toEqual(want)
})

it.each([
  [false, 'constant', ['dev', 'holdOut', 'schedule']],
  [true, 'constant', ['schedule']],
  [false, 'cosine', ['dev', 'holdOut']],
  [true, 'linear', undefined],
] as const)('a small base, evaluated: %s, rate %s: advises what the run has not', (evaluates, schedule, options) => {
  expect(adviseBase('t5-tiny-en', 192, { evaluates, schedule })[0]?.options).toEqual(options)
})

const example = (input: string, target: string, line = 1): Example => ({ input, target, where: `rows.jsonl:${line}` })

it.each([
  ['rows of several answers', [example('a', 'x'), example('b', 'y')], [example('c', 'x')], []],
  ['one answer', [example('a', 'x'), example('b', 'x')], [], [['data-one-answer', '2 rows has the answer "x"']]],
  ['a single row', [example('a', 'x')], [], []],
  [
    'the same input with different answers',
    [example('a', 'x', 3), example('b', 'y', 4), example('a', 'y', 5), example('a', 'z', 6)],
    [],
    [['data-contradicts', 'One input stands in the rows with different answers, as "a": "x" at rows.jsonl:3, "y" at rows.jsonl:5']],
  ],
  ['the same row twice', [example('a', 'x'), example('a', 'x'), example('b', 'y')], [], []],
  [
    'empty inputs',
    [example(' ', 'x', 7), example('text: ', 'y', 8), example('text: a', 'y')],
    [],
    [['input-empty', '2 of 3 inputs are empty, the first at rows.jsonl:7']],
  ],
  [
    'inputs of white space, as JavaScript and as Unicode has it',
    [example('text: \t\u00a0', 'x', 3), example('text:\u0085 ', 'y', 4), example('text: te xt:', 'y')],
    [],
    [['input-empty', '2 of 3 inputs are empty, the first at rows.jsonl:3']],
  ],
  [
    'development rows of training',
    [example('a', 'x'), example('b', 'y')],
    [example('b', 'y', 9), example('c', 'x')],
    [['dev-leak', '1 of 2 development inputs stand in the training rows too, as "b" at rows.jsonl:9']],
  ],
  [
    'the training rows as development rows',
    [example('a', 'x'), example('b', 'y')],
    [example('a', 'x'), example('b', 'y')],
    [['dev-leak', 'All 2']],
  ],
] as const)('%s', (_, rows, dev, want) => {
  const advice = adviseData(rows, dev, 'text: ')
  expect(codes(advice)).toEqual(want.map(([code]) => code))
  for (const [index, [, words]] of want.entries()) expect(advice[index]?.message).toContain(words)
})

it('a run that never gave a right answer, with one of its answers', () => {
  const metric = { name: 'exact_match', split: 'dev', n: 20, by: 'generation' } as const
  const wrong = { input: 'a', expected: 'Paris', answered: 'the' }
  expect(adviseEnd({ metrics: [{ ...metric, value: 0 }] }, wrong)).toMatchObject([
    { code: 'never-right', message: expect.stringMatching(/0 of 20 rows, as "the" where "Paris" was wanted/) },
  ])
  expect(adviseEnd({ metrics: [{ ...metric, value: 0.05 }] }, wrong)).toEqual([])
  expect(adviseEnd({ metrics: [{ ...metric, value: 0, by: 'labels' }] }, wrong)).toEqual([])
  expect(adviseEnd(undefined, undefined)).toEqual([])
})

it('labels that cannot be told apart, unknown characters, answers outside them', async () => {
  const tokenizer = await openTokenizer(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
  expect(codes(adviseLabels(['negative', 'positive'], tokenizer, ['positive']))).toEqual([])
  expect(codes(adviseLabels(['yes', ' yes '], tokenizer))).toEqual(['labels-same'])
  expect(codes(adviseLabels(['yes'], tokenizer))).toEqual(['labels-one'])
  expect(adviseLabels(['yes', 'no'], tokenizer, [], ['yes', 'ja', 'nein'])).toMatchObject([
    { code: 'train-labels', message: expect.stringContaining('2 of 3 training rows have an answer that is no label ("ja")') },
  ])
  expect(codes(adviseLabels(['ja', '否'], tokenizer, ['nein', 'ja']))).toEqual(['label-unknown-piece', 'dev-labels'])
})

it('a rate that never gets where it should', () => {
  expect(codes(adviseRecipe(makeRecipe({ steps: 10, warmup: 10 })))).toEqual([])
  expect(codes(adviseRecipe(makeRecipe({ steps: 10, warmup: 11 })))).toEqual(['warmup-long'])
})

it('a run that takes more memory than there is', () => {
  expect(adviseMemory(2e9, 3e9)).toEqual([])
  expect(adviseMemory(2.56e9, 1e9)).toMatchObject([
    { code: 'memory-short', message: expect.stringContaining('2.6 GB of memory, and 1.0 GB') },
  ])
})

it('a base that answers a plain text with the mark of a gap', async () => {
  const folder = new URL('../../models/t5-tiny-en', import.meta.url).pathname
  const { config, weights, tokenizer } = await openBase(folder)
  const prompt = new Float32Array(2 * config.width).fill(0.1)
  const adviceOn = async (given: WeightTable): Promise<string[]> => {
    const program = await createEngine(ort, { threads: 1 }).load(buildStep(config), given)
    const advice = await adviseByAnswer('x', tokenizer, gradientStep(program, config), [prompt])
    await program.dispose()
    return codes(advice)
  }
  expect(await adviceOn(weights)).toEqual([])
  // the same model, its last norm and embeddings such that one piece wins everywhere
  const norm = tensor('F32', [config.width], new Float32Array(config.width))
  norm.data[0] = 100
  const sentinel = tokenizer.pieces.indexOf('<extra_id_0>')
  const table = tensor('F32', [config.vocabSize, config.width], new Float32Array(config.vocabSize * config.width))
  for (let row = 0; row < config.vocabSize; row++) table.data[row * config.width] = row === sentinel ? 100 : 50
  const single = new Map([...weights, changed('decoder.final_layer_norm.weight', norm), changed('shared.weight', table)])
  expect(await adviceOn(single)).toEqual(['base-spans-only'])
})

it('generated answers that are none of the labels', () => {
  const rows = Array.from({ length: 20 }, (_, index) => ({ inputIds: [1], targetIds: [1], target: index % 2 === 0 ? 'yes' : 'no' }))
  const given = (answers: readonly string[], labels?: readonly string[]): string[] =>
    codes(
      measure(
        rows.map((_, index) => answers[index % answers.length]!),
        { rows, split: 'dev', ...(labels ? { labels } : {}) },
      ).warnings,
    )
  expect(given(['yes', 'no '])).toEqual([])
  expect(given(['yes', 'well', 'no'])).toEqual(['answers-not-labels'])
  expect(given(['yes', 'yes'])).toEqual(['one-answer'])
  // free text has no labels
  const free = rows.map((row, index) => ({ ...row, target: `answer ${index}` }))
  expect(
    measure(
      free.map(() => 'a b'),
      { rows: free, split: 'dev' },
    ).warnings.map(({ code }) => code),
  ).toEqual(['one-answer'])
})
