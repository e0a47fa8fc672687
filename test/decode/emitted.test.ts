/** The emitted encoder and decoder against PyTorch and PEFT (ref.json): hidden states and greedy tokens, with and without prompts. */
import * as ort from 'onnxruntime-node'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { generate } from '../../src/decode/beam.ts'
import { greedy } from '../../src/decode/greedy.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { FIXTURES, readCheckpoint } from '../t5/checkpoint.ts'

interface Reference {
  input_ids: number[][]
  attention_mask: number[][]
  base_hidden: number[][][]
  base_greedy: number[][]
  base_beam: number[][]
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
    const options = { startId, eosId, padId, maxNewTokens: reference.base_beam[0]!.length - 1 }
    expect((await generate(seq2seq, input, { ...options, beams: 3 })).map((row) => [startId, ...row])).toEqual(reference.base_beam)
    await seq2seq.dispose()
  })
}

interface BeamCase {
  model: string
  eos: number
  beams: number
  length_penalty: number
  tokens: number[][]
}
const beamCases = JSON.parse(readFileSync(new URL('../golden/beam.json', import.meta.url), 'utf8')) as BeamCase[]

for (const { model, eos, beams, length_penalty: lengthPenalty, tokens } of beamCases) {
  test(`${model}: ${beams} beams that end in ${eos}, penalty ${lengthPenalty}, equal PyTorch's (make_beam.py)`, async () => {
    const { config, weights } = await readCheckpoint(model)
    const { startId, padId } = config
    const seq2seq = await emittedSeq2Seq(createEngine(ort, { threads: 1 }), config, weights)
    const reference = references[model]!
    const input = { inputIds: ids(reference.input_ids), attentionMask: ids(reference.attention_mask) }
    const made = await generate(seq2seq, input, { startId, padId, eosId: eos, maxNewTokens: 10, beams, lengthPenalty })
    const width = tokens[0]!.length
    // transformers pads with the end token where the padding is 0
    expect(made.map((row) => [startId, ...row, ...Array<number>(width - 1 - row.length).fill(eos)])).toEqual(tokens)
    await seq2seq.dispose()
  })
}

test('a number of beams that is none is refused', async () => {
  const { config, weights } = await readCheckpoint('tiny-t5-v10')
  const seq2seq = await emittedSeq2Seq(createEngine(ort, { threads: 1 }), config, weights)
  const input = { inputIds: ids([[5, 1]]), attentionMask: ids([[1, 1]]) }
  const options = { startId: 0, padId: 0, eosId: 1, maxNewTokens: 2, beams: 1.5 }
  await expect(generate(seq2seq, input, options)).rejects.toThrow(expect.objectContaining({ code: 'beams' }))
  await seq2seq.dispose()
})
