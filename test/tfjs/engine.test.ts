/** The tfjs engine beyond results: memory, weights, feeds, backends. Results are compared in test/graph and test/t5. */
import { equal } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { createEngine, type Tfjs } from '../../adapters/tfjs/index.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { createBuilder } from '../../src/graph/builder.ts'
import { mul, range } from '../../src/graph/ops.ts'
import { buildStep, stepFeeds } from '../../src/t5/step.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { ENGINES, tf, TFJS_ENGINE } from '../engines.ts'
import { readCheckpoint } from '../t5/checkpoint.ts'

const engine = ENGINES[TFJS_ENGINE]!
const { config, weights } = await readCheckpoint('tiny-t5-v11')
const ints = (shape: number[], values: number[]): Tensor<'I64'> => tensor('I64', shape, BigInt64Array.from(values, BigInt))

const feeds = stepFeeds(config, {
  inputIds: ints([2, 3], [5, 9, 1, 7, 1, 0]),
  attentionMask: ints([2, 3], [1, 1, 1, 1, 1, 0]),
  labels: ints([2, 2], [4, 1, 1, -100]),
  rowWeight: tensor('F32', [2], Float32Array.of(0.5, 0.5)),
  prompts: tensor('F32', [1, 2, config.width], new Float32Array(2 * config.width).fill(0.1)),
  promptIndex: ints([2], [0, 0]),
})

/** Tensors alive between tests. */
const before = tf.memory().numTensors
afterEach(() => {
  equal(tf.memory().numTensors, before, 'tensors alive')
})

test('the engine runs on the backend it names', () => {
  expect(engine.name).toBe(TFJS_ENGINE)
  expect(tf.getBackend()).toBe(TFJS_ENGINE.replace('tfjs-', ''))
})

test('ten steps leave as many tensors as one, and give the same bits', async () => {
  const program = await engine.load(buildStep(config), weights)
  const first = await program.run(feeds)
  const after = tf.memory().numTensors
  for (let step = 0; step < 10; step++) expect(await program.run(feeds)).toEqual(first)
  expect(tf.memory().numTensors).toBe(after)
  await program.dispose()
  await program.dispose()
  await expect(program.run(feeds)).rejects.toMatchObject({ code: 'engine-disposed' })
})

test('programs of one engine share their weights', async () => {
  const step = await engine.load(buildStep(config), weights)
  const alone = tf.memory().numTensors - before
  const model = await emittedSeq2Seq(engine, config, weights)
  expect(tf.memory().numTensors - before).toBe(alone)
  await step.dispose()
  expect(tf.memory().numTensors).toBeGreaterThan(before) // the model still has them
  await model.dispose()
})

test('a step that fails leaves nothing behind', async () => {
  const program = await engine.load(buildStep(config), weights)
  const beyond = { ...feeds, token_ids: ints([6], [5, 9, 1, 7, 1, 2 ** 33]) }
  await expect(program.run(beyond)).rejects.toMatchObject({ code: 'engine-int64', message: expect.stringContaining('token_ids') })
  await expect(program.run({ ...feeds, labels: ints([1, 2], [4, 1]) })).rejects.toMatchObject({ code: 'engine-shape' })
  const { labels: _, ...rest } = feeds
  await expect(program.run({ ...rest, label: feeds['labels']! })).rejects.toMatchObject({
    code: 'engine-feeds',
    message: 'Feeds and inputs differ: missing labels, unknown label.',
  })
  await program.dispose()
})

test('an operator that fails is named, and leaves nothing behind', async () => {
  const program = await engine.load(buildStep(config), weights)
  const beyond = { ...feeds, token_ids: ints([6], [5, 9, 1, 7, 1, 2 ** 20]) }
  await expect(program.run(beyond)).rejects.toMatchObject({ code: 'engine-run', message: expect.stringContaining('Gather') })
  const short = { ...feeds, row_weight: { ...feeds['row_weight']!, data: Float32Array.of(1) } }
  await expect(program.run(short)).rejects.toMatchObject({ code: 'tensor-size' })
  await program.dispose()
})

test('what is an input or a weight may be an output too', async () => {
  const g = createBuilder('through')
  const x = g.input('x', 'I64', ['N'])
  const graph = g.finish({ x, again: x, w: g.weight('w', [2]), numbers: range(g, 'N') })
  const source = new Uint8Array(Float32Array.of(1, 2).buffer)
  const program = await engine.load(graph, new Map([['w', { dtype: 'F32', shape: [2], source, offsetBytes: 0, sizeBytes: 8 } as const]]))
  for (let run = 0; run < 2; run++) {
    const given = ints([3], [3, -1, 2])
    const w = tensor('F32', [2], Float32Array.of(1, 2))
    expect(await program.run({ x: given })).toEqual({ x: given, again: given, w, numbers: ints([3], [0, 1, 2]) })
  }
  await program.dispose()
})

const bytesOf = ({ source, offsetBytes, sizeBytes }: WeightRef): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(source as string).subarray(offsetBytes, offsetBytes + sizeBytes))
const gradient = async (given: WeightTable): Promise<unknown> => {
  const program = await engine.load(buildStep(config), given)
  const out = await program.run(feeds)
  await program.dispose()
  return out
}

test('weights in memory and in 16 bits are those of the file', async () => {
  const table = (change: (ref: WeightRef) => WeightRef): WeightTable => new Map([...weights].map(([name, ref]) => [name, change(ref)]))
  expect(await gradient(table((ref) => ({ ...ref, source: bytesOf(ref), offsetBytes: 0 })))).toEqual(await gradient(weights))
  // BF16 is the upper half of an F32
  const half = table((ref) => {
    const words = new Uint16Array(bytesOf(ref).buffer).filter((_, index) => index % 2 === 1)
    return { ...ref, dtype: 'BF16', source: new Uint8Array(words.buffer), offsetBytes: 0, sizeBytes: words.byteLength }
  })
  const cut = table((ref) => {
    const words = new Uint16Array(bytesOf(ref).buffer).map((word, index) => (index % 2 === 0 ? 0 : word))
    return { ...ref, source: new Uint8Array(words.buffer), offsetBytes: 0 }
  })
  expect(await gradient(half)).toEqual(await gradient(cut))
})

test('weights that cannot be read are named, and leave nothing behind', async () => {
  const name = 'encoder.final_layer_norm.weight'
  const changed = (change: Partial<WeightRef>): WeightTable => new Map([...weights, [name, { ...weights.get(name)!, ...change }]])
  await expect(engine.load(buildStep(config), changed({ offsetBytes: 1e9 }))).rejects.toMatchObject({ code: 'weights-truncated' })
  await expect(engine.load(buildStep(config), changed({ dtype: 'I8' }))).rejects.toMatchObject({
    code: 'engine-dtype',
    message: expect.stringContaining(`${name} is stored as I8`),
  })
})

test('an old tfjs, and another backend than at the start, are refused', async () => {
  await expect(createEngine({ ...tf, version_core: '3.21.0' } as Tfjs)).rejects.toMatchObject({ code: 'tfjs-version' })
  let backend = tf.getBackend()
  const moved = await createEngine({ ...tf, getBackend: () => backend } as Tfjs)
  const g = createBuilder('moved')
  const x = g.input('x', 'F32', ['N'])
  const program = await moved.load(g.finish({ y: mul(g, x, x) }), new Map())
  backend = 'webgl'
  await expect(program.run({ x: tensor('F32', [1], Float32Array.of(1)) })).rejects.toMatchObject({ code: 'engine-backend' })
})
