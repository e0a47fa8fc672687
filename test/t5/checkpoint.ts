/** The tiny T5s of test/fixtures/onnx and test/golden/variants as the builders want them. */
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'

const VARIANTS = new URL('../golden/variants/', import.meta.url).pathname
export const FIXTURES: string = new URL('../fixtures/onnx/', import.meta.url).pathname

export async function readCheckpoint(name: string): Promise<{ config: T5Config; weights: WeightTable }> {
  const { config, weights } = await openCheckpoint(name.startsWith('tiny') ? `${FIXTURES}${name}/hf` : `${VARIANTS}${name}`)
  return { config: parseT5Config(config), weights }
}
