/** The cases of test/golden/step.json, and how far a vector is from another. */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { StepBatch } from '../../src/t5/step.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

export interface Case {
  model: string
  input_ids: number[][]
  attention_mask: number[][]
  labels: number[][]
  row_weight: number[]
  prompt_index: number[]
  prompts: number[][][]
  row_loss: number[]
  gradient: number[]
  z_row_loss: number[]
  z_gradient: number[]
}

export const golden = JSON.parse(readFileSync(new URL('../golden/step.json', import.meta.url), 'utf8')) as {
  cases: Case[]
  z_loss: number
  buckets: Record<'encoder' | 'decoder', number[]>
}

/** Rows of whole numbers as a tensor. */
export const ids = (rows: readonly (readonly number[])[]): Tensor<'I64'> =>
  tensor('I64', [rows.length, rows[0]!.length], BigInt64Array.from(rows.flat().map(BigInt)))

export function batchOf(given: Case): StepBatch {
  const { prompts } = given
  return {
    inputIds: ids(given.input_ids),
    attentionMask: ids(given.attention_mask),
    labels: ids(given.labels),
    rowWeight: tensor('F32', [given.row_weight.length], Float32Array.from(given.row_weight)),
    prompts: tensor('F32', [prompts.length, prompts[0]!.length, prompts[0]![0]!.length], Float32Array.from(prompts.flat(2))),
    promptIndex: tensor('I64', [given.prompt_index.length], BigInt64Array.from(given.prompt_index.map(BigInt))),
  }
}

const norm = (values: readonly number[]): number => Math.hypot(...values)

/** |got − expected| / |expected|, both as vectors. */
export function relativeError(got: ArrayLike<number>, expected: readonly number[]): number {
  expect(got.length).toBe(expected.length)
  return norm(expected.map((value, index) => value - got[index]!)) / norm(expected)
}
export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
