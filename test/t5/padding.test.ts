/** Padded positions read copies of seen ones (src/t5/layout.ts): they must change nothing. */
import { describe, expect, it } from 'vitest'
import type { T5Config } from '../../src/t5/config.ts'
import { packRows } from '../../src/t5/layout.ts'
import { buildStep, stepFeeds, type StepBatch } from '../../src/t5/step.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { F64 } from '../graph/f64.ts'
import { ids, relativeError } from './cases.ts'
import { readCheckpoint, valuesOf } from './checkpoint.ts'

const LENGTHS = [30, 4, 1]
const LABELS = 3
const PROMPT = 5

/** Rows of these lengths, padded to the longest; row k's tokens are the same in every batch. */
function batchOf({ width, vocabSize }: T5Config, rows: readonly number[]): StepBatch {
  const longest = Math.max(...rows.map((row) => LENGTHS[row]!))
  const token = (row: number, column: number): number => 2 + ((row * 31 + column * 7) % (vocabSize - 2))
  const columns = Array.from({ length: longest }, (_, column) => column)
  return {
    inputIds: ids(rows.map((row) => columns.map((column) => (column < LENGTHS[row]! ? token(row, column) : 0)))),
    attentionMask: ids(rows.map((row) => columns.map((column) => Number(column < LENGTHS[row]!)))),
    labels: ids(rows.map((row) => Array.from({ length: LABELS }, (_, column) => token(row + 5, column)))),
    rowWeight: tensor('F32', [rows.length], new Float32Array(rows.length).fill(1)),
    prompts: tensor(
      'F32',
      [1, PROMPT, width],
      Float32Array.from({ length: PROMPT * width }, (_, index) => Math.sin(index)),
    ),
    promptIndex: tensor('I64', [rows.length], new BigInt64Array(rows.length)),
  }
}

const data = (value: Tensor | undefined): readonly number[] => [...(value as Tensor<'F32'>).data]

describe.each(['tiny-t5-v10', 'umt5'])('%s', (model) => {
  it.each([1, 30])('rows padded together are the rows alone, its position bias taken %i times', async (factor) => {
    const { config, weights } = await readCheckpoint(model)
    const names = [...weights.keys()].filter((name) => /^encoder.*relative_attention_bias/.test(name))
    const tables = valuesOf(weights, names)
    for (const { data: values } of Object.values(tables)) values.set(values.map((value) => value * factor))
    const program = await F64.load(buildStep(config, { trainables: names }), weights)
    const run = async (rows: readonly number[]): Promise<Record<string, Tensor>> =>
      program.run({ ...stepFeeds(config, batchOf(config, rows)), ...tables })
    const together = await run([0, 1, 2])
    const alone = [await run([0]), await run([1]), await run([2])]
    await program.dispose()
    expect(
      relativeError(
        data(together['row_loss']),
        alone.flatMap((each) => data(each['row_loss'])),
      ),
    ).toBeLessThan(1e-12)
    for (const name of ['gradient_prompts', ...names.map((table) => `gradient_${table}`)]) {
      const each = alone.map((out) => data(out[name]))
      const sums = each[0]!.map((_, index) => each.reduce((sum, values) => sum + values[index]!, 0))
      expect(relativeError(data(together[name]), sums)).toBeLessThan(1e-10)
    }
  })
})

it('a position that is not seen reads the first one that is, and gives its own row no gradient', async () => {
  const { config } = await readCheckpoint('tiny-t5-v10')
  const seen = ids([
    [1, 1],
    [0, 1],
    [0, 0],
  ])
  const inputs = ids([
    [7, 8],
    [7, 0],
    [0, 0],
  ])
  const mask = ids([
    [1, 1],
    [1, 0],
    [0, 0],
  ])
  const packed = packRows(config, inputs, mask, seen)
  // rows: the prompts' 0 to 5, tokens 6 and 7, token 8, the padding 9
  expect([...packed['token_ids']!.data]).toEqual([7n, 8n, 7n, BigInt(config.padId)])
  expect([...packed['padded_rows']!.data]).toEqual([0, 1, 6, 7, 3, 3, 8, 3, 4, 4, 4, 4])
  expect([...packed['packed_rows']!.data]).toEqual([0, 1, 4, 5, 8, 9, 2, 3, 6, 7])
  const { heads } = config
  const ownOfFirstHead = [...packed['own_heads']!.data].filter((_, index) => Math.floor(index / 4) % heads === 0)
  expect(ownOfFirstHead).toEqual([0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 9, 9].map((row) => row * heads))
})
