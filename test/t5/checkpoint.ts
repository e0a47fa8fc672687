/** The tiny T5s of test/fixtures/onnx as the builders want them. */
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'

export const FIXTURES: string = new URL('../fixtures/onnx/', import.meta.url).pathname

export async function readCheckpoint(name: string): Promise<{ config: T5Config; weights: WeightTable }> {
  const { config, weights } = await openCheckpoint(`${FIXTURES}${name}/hf`)
  return { config: parseT5Config(config), weights }
}
