import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import type { ModelProto } from '../../src/onnx/schema.ts'
import { compareFingerprint, fingerprintOf, type Digest, type ModelFacts } from '../../src/prompt/fingerprint.ts'
import { fromF16, toF16 } from '../../src/tensor/half.ts'
import { bf16ToF32OfF32 } from './rounding.ts'
import { VARIANTS } from '../attach/variants.ts'

const digest: Digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
const none = (): never => {
  throw new Error('these models keep their weights inside')
}
const factsOf = (name: string): ModelFacts => {
  const model = (VARIANTS[name] as () => ModelProto)()
  const finalNorm = onnxFinalNorm(model, none)
  return { table: onnxEmbeddingTable(model, none), encoderLayers: 2, pieces: ['<pad>', '</s>', '▁a'], ...(finalNorm ? { finalNorm } : {}) }
}
const base = await fingerprintOf(factsOf('float v1.1'), digest)

describe('fingerprint', () => {
  it('is small and survives JSON', async () => {
    expect(JSON.stringify(base).length).toBeLessThan(2500)
    const { answer, drift } = await compareFingerprint(JSON.parse(JSON.stringify(base)), factsOf('float v1.1'), digest)
    expect({ answer, drift }).toEqual({ answer: 'same', drift: 0 })
  })

  it.each(['transposed table', 'ids flattened before the lookup', 'int32 input_ids'])('%s: the same', async (name) => {
    expect((await compareFingerprint(base, factsOf(name), digest)).answer).toBe('same')
  })

  it.each([
    ['dynamically quantised v1.1', 0.1],
    ['int8 table, DequantizeLinear before the lookup', 0.1],
    ['int8 table, DequantizeLinear behind the lookup', 0.1],
    ['blocks of 4 bits', 0.3],
    ['blocks of 4 bits with zero points', 0.3],
    ['blocks of 8 bits with zero points', 0.02],
    ['float16 table', 0.001],
  ] as const)('%s: the same but quantised, drift below %f', async (name, most) => {
    const { answer, drift } = await compareFingerprint(base, factsOf(name), digest)
    expect(answer).toBe('quantised')
    expect(drift).toBeGreaterThan(0)
    expect(drift).toBeLessThan(most)
  })

  it('rounded to BF16: the same but quantised', async () => {
    const facts = factsOf('float v1.1')
    const { answer } = await compareFingerprint(base, { ...facts, table: bf16ToF32OfF32(facts.table) }, digest)
    expect(answer).toBe('quantised')
  })

  it('in 4 bits where each value is the largest of its block, by scales in F16: the same but quantised; two steps off: another', async () => {
    const { table, ...facts } = factsOf('float v1.1')
    const stepsOf = (ids: readonly number[]): Float32Array => table.rows(ids).map((value) => fromF16(toF16(Math.abs(value) / 8)))
    const rowsOf = (largest: number) => (ids: readonly number[]) => {
      const steps = stepsOf(ids)
      return table.rows(ids).map((value, index) => Math.sign(value) * largest * (steps[index] as number))
    }
    const quantised = (largest: number): ModelFacts => ({ ...facts, table: { ...table, rows: rowsOf(largest), steps: stepsOf } })
    expect((await compareFingerprint(base, quantised(7), digest)).answer).toBe('quantised')
    expect((await compareFingerprint(base, quantised(6), digest)).answer).toBe('other')
  })

  it.each(['float v1.0', 'dynamically quantised v1.0'])('%s: another model', async (name) => {
    const { answer, reasons } = await compareFingerprint(base, factsOf(name), digest)
    expect(answer).toBe('other')
    expect(reasons.join()).toMatch(/embedding rows/)
  })

  it.each([
    [
      'one changed embedding value of a common piece',
      (facts: ModelFacts): ModelFacts => ({ ...facts, table: changed(facts.table) }),
      /embedding rows/,
    ],
    [
      'another final norm',
      (facts: ModelFacts): ModelFacts => ({ ...facts, finalNorm: (facts.finalNorm as Float32Array).map((value) => value * 1.02) }),
      /final norm/,
    ],
    ['another tokenizer', (facts: ModelFacts): ModelFacts => ({ ...facts, pieces: ['<pad>', '</s>', '▁b'] }), /tokenizer/],
    ['more layers', (facts: ModelFacts): ModelFacts => ({ ...facts, encoderLayers: 3 }), /encoder layers/],
    ['a larger vocabulary', (facts: ModelFacts): ModelFacts => ({ ...facts, table: { ...facts.table, vocabSize: 513 } }), /vocabulary/],
  ] as const)('%s: another model', async (_, change, reason) => {
    const { answer, reasons } = await compareFingerprint(base, change(factsOf('float v1.1')), digest)
    expect(answer).toBe('other')
    expect(reasons.join()).toMatch(reason)
  })

  it('says what could not be compared', async () => {
    const { table } = factsOf('float v1.1')
    const { answer, reasons } = await compareFingerprint(base, { table }, digest)
    expect(answer).toBe('same')
    expect(reasons).toEqual([
      'the tokenizer was not compared',
      'the final norm was not compared',
      expect.stringMatching(/^the layers were not compared/),
    ])
  })

  it.each([
    { ids: [0, 1], rows: 'AAAA' },
    { ids: [0, 9999], rows: 'AAAAAAAAAAA=' },
    { ids: [], rows: '' },
  ])('a probe that fits no table is another model: %j', async (probe) => {
    expect((await compareFingerprint({ ...base, probe }, factsOf('float v1.1'), digest)).answer).toBe('other')
  })
})

function changed(table: ModelFacts['table']): ModelFacts['table'] {
  return {
    ...table,
    rows: (ids) => {
      const rows = table.rows(ids)
      rows[0] = (rows[0] as number) * 1.02 + 0.01
      return rows
    },
  }
}
