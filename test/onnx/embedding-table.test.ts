import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import type { ModelProto } from '../../src/onnx/schema.ts'
import { makeTensor } from '../../src/onnx/tensors.ts'
import { cut, embeddingOf, floatModel, VARIANTS, withGraph } from '../attach/variants.ts'

const IDS = [0, 1, 3, 7, 31, 200, 511]
const none = (): never => {
  throw new Error('these models keep their weights inside')
}

/** What onnxruntime looks up. */
async function looked(model: ModelProto): Promise<Float32Array> {
  const { name, dataType } = embeddingOf(model)
  const session = await ort.InferenceSession.create(cut(model, name, dataType).head)
  const int32 = model.graph?.inputs.find((input) => input.name === 'input_ids')?.type?.tensorType?.elemType === 6
  const ids = int32
    ? new ort.Tensor('int32', Int32Array.from(IDS), [1, IDS.length])
    : new ort.Tensor('int64', BigInt64Array.from(IDS, BigInt), [1, IDS.length])
  const mask = new ort.Tensor('int64', new BigInt64Array(IDS.length).fill(1n), [1, IDS.length])
  const feeds = Object.fromEntries(session.inputNames.map((input) => [input, input === 'input_ids' ? ids : mask]))
  const { cut_out: out } = await session.run(feeds)
  const rows = (out as ort.Tensor).data as Float32Array
  await session.release()
  return rows
}

describe('the embedding table of an ONNX encoder', () => {
  it.each(Object.keys(VARIANTS))('%s: the rows are those that onnxruntime looks up', async (name) => {
    const model = (VARIANTS[name] as () => ModelProto)()
    const table = onnxEmbeddingTable(model, none)
    const rows = table.rows(IDS)
    const expected = await looked(model)
    expect(rows.length).toBe(expected.length)
    const worst = rows.reduce((most, value, index) => Math.max(most, Math.abs(value - (expected[index] as number))), 0)
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(worst).toBeLessThanOrEqual(1e-6 * largest)
    expect(table.steps !== undefined).toBe(/quantised|int8|blocks/.test(name))
  })

  it('is the table of the safetensors it was exported from, and so is the final norm', async () => {
    const checkpoint = await openCheckpoint(fileURLToPath(new URL('../fixtures/onnx/tiny-t5-v11/hf', import.meta.url)))
    expect(onnxEmbeddingTable(floatModel(), none).rows(IDS)).toEqual(checkpoint.embeddingTable().rows(IDS))
    const ref = checkpoint.weights.get('encoder.final_layer_norm.weight')
    const file = readFileSync(ref?.source as string)
    const bytes = file.subarray(ref?.offsetBytes, (ref?.offsetBytes ?? 0) + (ref?.sizeBytes ?? 0))
    expect(onnxFinalNorm(floatModel(), none)).toEqual(new Float32Array(Uint8Array.from(bytes).buffer))
  })

  it('reads external data by ranges', () => {
    const inside = floatModel()
    const bytes = inside.graph?.initializers.find(({ name }) => name === 'embed_tokens.weight')?.rawData as Uint8Array
    const outside = withGraph(inside, ({ initializers }) => ({
      initializers: initializers.map((tensor) => {
        if (tensor.name !== 'embed_tokens.weight') return tensor
        const { rawData: _, ...rest } = tensor
        return {
          ...rest,
          dataLocation: 1,
          externalData: [
            { key: 'location', value: 'weights.bin' },
            { key: 'offset', value: '100' },
          ],
        }
      }),
    }))
    const reads: number[] = []
    const table = onnxEmbeddingTable(outside, (location, offset, length) => {
      expect(location).toBe('weights.bin')
      reads.push(length)
      return bytes.subarray(offset - 100, offset - 100 + length)
    })
    expect(table.rows(IDS)).toEqual(onnxEmbeddingTable(inside, none).rows(IDS))
    expect(Math.max(...reads)).toBe(64 * 4)
  })

  it.each([
    ['no lookup', (): ModelProto => withGraph(floatModel(), () => ({ nodes: [] })), 'onnx-table'],
    [
      'a table cut short',
      (): ModelProto =>
        withGraph(floatModel(), ({ initializers }) => ({
          initializers: initializers.map((tensor) =>
            tensor.name === 'embed_tokens.weight' ? makeTensor(tensor.name, 1, [512, 64], new Uint8Array(100)) : tensor,
          ),
        })),
      'onnx-table-size',
    ],
    ...[2 ** 45, -64].map((width): [string, () => ModelProto, string] => [
      `rows of ${width} values`,
      () =>
        withGraph(floatModel(), ({ initializers }) => ({
          initializers: initializers.map((tensor) =>
            tensor.name === 'embed_tokens.weight' ? makeTensor(tensor.name, 1, [512, width], new Uint8Array(100)) : tensor,
          ),
        })),
      'onnx-table',
    ]),
    [
      'whole numbers without a scale',
      (): ModelProto =>
        withGraph(floatModel(), ({ initializers }) => ({
          initializers: initializers.map((tensor) =>
            tensor.name === 'embed_tokens.weight' ? makeTensor(tensor.name, 3, [512, 64], new Uint8Array(512 * 64)) : tensor,
          ),
        })),
      'onnx-table',
    ],
  ])('refuses %s', (_, make, code) => {
    expect(() => onnxEmbeddingTable(make(), none).rows([1])).toThrow(expect.objectContaining({ code }))
  })
})
