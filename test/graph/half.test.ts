/** Products in F16: which they are, and what they cost in exactness on real weights, with all else in F32. */
import * as ort from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { halveProducts, wideWeights } from '../../src/graph/half.ts'
import { buildStep, stepFeeds } from '../../src/t5/step.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { WEBGPU } from '../engines.ts'
import { F64 } from './f64.ts'

const { config, weights, tokenizer, embeddingTable } = await openBase(new URL('../../models/t5-tiny-en', import.meta.url).pathname)
const graph = buildStep(config)

test('the head and the feed-forward outputs stay in F32, and all that is no product', () => {
  const wide = wideWeights(graph)
  const layers = [...Array(4).keys()]
  const outputs = layers.flatMap((layer) => [`encoder.block.${layer}.layer.1`, `decoder.block.${layer}.layer.2`])
  expect([...wide].toSorted()).toEqual(['shared.weight', ...outputs.map((name) => `${name}.DenseReluDense.wo.weight`)].toSorted())
  const { nodes } = halveProducts(graph, wide)
  const inHalf = nodes.filter(({ inputs }) => inputs.some(({ dtype }) => dtype === 'F16'))
  expect(new Set(inHalf.map(({ op }) => op))).toEqual(new Set(['Gemm', 'MatMul', 'Cast']))
  const inWhole = nodes.filter(({ op, inputs }) => (op === 'Gemm' || op === 'MatMul') && inputs[0]?.dtype === 'F32')
  // forward and backward
  expect(inWhole).toHaveLength(2 * wide.size)
})

const text = ['The singer forgot the second verse.', 'Soup.'].map((each) => tokenizer.encode(each))
const longest = Math.max(...text.map((ids) => ids.length))
const padded = (filler: number, of: (id: number) => number): Tensor<'I64'> =>
  tensor(
    'I64',
    [2, longest],
    BigInt64Array.from(
      text.flatMap((ids) => Array.from({ length: longest }, (_, at) => BigInt(at < ids.length ? of(ids[at] as number) : filler))),
    ),
  )
const feeds = (rowWeight: number): Record<string, Tensor> =>
  stepFeeds(config, {
    inputIds: padded(0, (id) => id),
    attentionMask: padded(0, () => 1),
    labels: tensor('I64', [2, 2], BigInt64Array.of(1961n, 1n, 3187n, 1n)),
    rowWeight: tensor('F32', [2], Float32Array.of(rowWeight, rowWeight)),
    prompts: tensor('F32', [1, 20, config.width], embeddingTable().rows(Array.from({ length: 20 }, (_, row) => 100 + row))),
    promptIndex: tensor('I64', [2], new BigInt64Array(2)),
  })

const gradient = async (engine: Engine, rowWeight: number): Promise<number[]> => {
  const program = await engine.load(graph, weights)
  const { gradient_prompts: found } = await program.run(feeds(rowWeight))
  await program.dispose()
  return [...(found as Tensor<'F32'>).data]
}
const half = { contrib: false, half: true }
const engines: Record<string, Engine> = {
  'onnxruntime-cpu': createEngine(ort, { threads: 1, capabilities: half }),
  ...(WEBGPU ? { 'onnxruntime-webgpu': createEngine(ort, { device: 'webgpu', capabilities: half }) } : {}),
}

// a batch of one token, and of ten thousand
for (const [name, engine] of Object.entries(engines)) {
  test.each([1, 1e-4])(`the gradient keeps its direction on ${name} at row weight %d`, async (rowWeight) => {
    const [exact, got] = [await gradient(F64, rowWeight), await gradient(engine, rowWeight)]
    const error = Math.hypot(...exact.map((value, index) => value - (got[index] as number))) / Math.hypot(...exact)
    expect(error).toBeGreaterThan(1e-6) // it is in F16
    // WebGPU sums in F16 too
    expect(error).toBeLessThan(name === 'onnxruntime-webgpu' ? 1e-2 : 1e-3)
  })
}
