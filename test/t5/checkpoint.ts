/** The tiny T5s of test/fixtures/onnx as the builders want them. */
import { readFileSync } from 'node:fs'
import { parseT5Config, type T5Config } from '../../src/t5/config.ts'
import type { Dtype } from '../../src/tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'

export const FIXTURES: string = new URL('../fixtures/onnx/', import.meta.url).pathname

export function readCheckpoint(name: string): { config: T5Config; weights: WeightTable } {
  const folder = `${FIXTURES}${name}/hf/`
  return {
    config: parseT5Config(JSON.parse(readFileSync(`${folder}config.json`, 'utf8'))),
    weights: readWeights(`${folder}model.safetensors`),
  }
}

/** Reads a well-formed safetensors header. */
export function readWeights(file: string): WeightTable {
  const bytes = readFileSync(file)
  const headerBytes = Number(bytes.readBigUInt64LE(0))
  type Entry = { dtype: Dtype; shape: number[]; data_offsets: [number, number] }
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, Entry>
  const refs = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]): [string, WeightRef] => [name, { dtype, shape, source: file, offsetBytes: 8 + headerBytes + start, sizeBytes: end - start }],
    )
  return new Map(refs)
}
