/** The emitted encoder and decoder against PyTorch and PEFT (ref.json): hidden states and greedy tokens, with and without prompts. */
import * as ort from 'onnxruntime-node'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { greedy } from '../../src/decode/greedy.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { FIXTURES, readCheckpoint } from '../t5/checkpoint.ts'

interface Reference {
  input_ids: number[][]
  attention_mask: number[][]
  base_hidden: number[][][]
  base_greedy: number[][]
  adapters: Record<string, { prompt: number[][]; hidden: number[][][]; greedy: number[][] }>
}
const references = JSON.parse(readFileSync(`${FIXTURES}ref.json`, 'utf8')) as Record<string, Reference>

const ids = (rows: number[][]): Tensor<'I64'> => tensor('I64', [rows.length, rows[0]!.length], BigInt64Array.from(rows.flat().map(BigInt)))
const prompt = (rows: number[][]): Tensor<'F32'> => tensor('F32', [1, rows.length, rows[0]!.length], Float32Array.from(rows.flat()))

/** Error over the visible positions, relative to the largest value. */
function hiddenError(got: Tensor<'F32'>, expected: number[][][], mask: readonly bigint[]): number {
  const width = got.shape[2]!
  const flat = expected.flat()
  expect(got.data.length).toBe(flat.length * width)
  let worst = 0
  for (const [position, values] of flat.entries()) {
    if (mask[position] === 1n)
      values.forEach((value, axis) => (worst = Math.max(worst, Math.abs(value - got.data[position * width + axis]!))))
  }
  return worst / Math.max(...flat.flat().map(Math.abs))
}

for (const model of ['tiny-t5-v10', 'tiny-t5-v11']) {
  test(`${model}: hidden states and greedy tokens equal PyTorch's, bare and with each prompt`, async () => {
    const { config, weights } = await readCheckpoint(model)
    const { startId, eosId, padId } = config
    const reference = references[model]!
    const seq2seq = await emittedSeq2Seq(createEngine(ort, { threads: 1 }), config, weights)
    const input = { inputIds: ids(reference.input_ids), attentionMask: ids(reference.attention_mask) }
    const cases = [
      { hidden: reference.base_hidden, greedy: reference.base_greedy, input },
      ...Object.values(reference.adapters).map(({ prompt: rows, hidden, greedy: tokens }) => {
        return { hidden, greedy: tokens, input: Object.assign({ prompts: prompt(rows) }, input) }
      }),
    ]
    for (const each of cases) {
      const encoded = await seq2seq.encode(each.input)
      expect(hiddenError(encoded.hidden, each.hidden, [...encoded.mask.data])).toBeLessThan(1e-5)
      const made = await greedy(seq2seq, each.input, { startId, eosId, padId, maxNewTokens: each.greedy[0]!.length - 1 })
      const length = each.greedy[0]!.length - 1
      const padded = made.map((row) => [startId].concat(row, Array<number>(length - row.length).fill(padId)))
      expect(padded).toEqual(each.greedy)
    }
    await seq2seq.dispose()
  })
}
