/** The tiny T5s of test/fixtures/onnx and test/golden/variants as the builders want them. */
import { readFileSync } from 'node:fs'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'

const VARIANTS = new URL('../golden/variants/', import.meta.url).pathname
export const FIXTURES: string = new URL('../fixtures/onnx/', import.meta.url).pathname

export async function readCheckpoint(name: string): Promise<{ config: T5Config; weights: WeightTable }> {
  const { config, weights } = await openCheckpoint(name.startsWith('tiny') ? `${FIXTURES}${name}/hf` : `${VARIANTS}${name}`)
  return { config: parseT5Config(config), weights }
}

/** F32 weights as tensors, in copies. */
export const valuesOf = (weights: WeightTable, names: readonly string[]): Record<string, Tensor<'F32'>> =>
  Object.fromEntries(
    names.map((name) => {
      const { source, offsetBytes, sizeBytes, shape } = weights.get(name)!
      const bytes = new Uint8Array(readFileSync(source as string).subarray(offsetBytes, offsetBytes + sizeBytes))
      return [name, tensor('F32', shape, viewAs('F32', bytes))]
    }),
  )
