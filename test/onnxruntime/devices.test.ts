/** Devices of onnxruntime: what does not start says what it needs, and what the CPU runs in a device's place is found. */
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openProfile, readProfile, tinyFeeds } from '../../adapters/onnxruntime/placement.ts'
import { openEngine } from '../../adapters/compose/open-engine.ts'
import { createBuilder } from '../../src/graph/builder.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { add, mul, oneHot, range } from '../../src/graph/ops.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { buildStep } from '../../src/t5/step.ts'
import { ENGINES, WEBGPU } from '../engines.ts'
import { readCheckpoint } from '../t5/checkpoint.ts'

/** x·x + one-hot rows, with an axis that is the sum of two. */
function small(): Graph {
  const g = createBuilder('small')
  const x = g.input('x', 'F32', ['A', 'S'])
  g.input('y', 'I64', ['B'])
  const size = g.symbol('S', { sum: ['A', 'B'] })
  return g.finish({ z: add(g, mul(g, x, x), oneHot(g, range(g, size), 'A')) })
}

const load = (device: string): Promise<unknown> => createEngine(ort, { device }).load(small(), new Map())

describe('a device that does not start', () => {
  it.skipIf(process.platform === 'darwin')('coreml says where it is', async () => {
    await expect(load('coreml')).rejects.toMatchObject({ code: 'engine-device-missing', message: expect.stringContaining('macOS') })
  })

  it.skipIf(process.platform === 'win32')('dml says where it is', async () => {
    await expect(load('dml')).rejects.toMatchObject({ code: 'engine-device-missing', message: expect.stringContaining('Windows') })
  })

  it('cuda says which files it needs and how to get them, unless it runs', async () => {
    const failed = await openEngine({ device: 'cuda' })
      .then((engine) => engine.load(small(), new Map()))
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    if (failed === undefined) return
    const message = expect.stringMatching(/CUDA 12 and cuDNN 9 .* ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node/)
    expect(failed).toMatchObject({ name: 'UnsupportedError', code: 'engine-device-missing', message })
  })

  it('webgpu says what the runtime says, without the line of its source, unless it runs', async () => {
    const failed = await load('webgpu').then(
      () => undefined,
      (error: unknown) => error,
    )
    if (failed === undefined) return
    expect(failed).toMatchObject({ code: 'engine-device-missing', message: expect.stringMatching(/GPU driver.* onnxruntime says: \w/) })
    expect((failed as Error).message).not.toMatch(/\.cc:|was false/)
  })

  it('an unknown one names those there are', () => {
    expect(() => createEngine(ort, { device: 'gpu' })).toThrow(
      expect.objectContaining({ code: 'engine-device', message: expect.stringMatching(/cpu, wasm, webgpu, cuda, dml, coreml/) }),
    )
  })

  it('unknown engines, and options that an engine has not, are refused', async () => {
    await expect(openEngine({ engine: 'torch' })).rejects.toMatchObject({ code: 'engine-name' })
    await expect(openEngine({ engine: 'tfjs', threads: 2 })).rejects.toMatchObject({ code: 'engine-option' })
    await expect(openEngine({ engine: 'tfjs', device: 'webgpu' })).rejects.toMatchObject({ code: 'tfjs-device' })
  })

  it('auto starts something', async () => {
    const engine = await openEngine({ device: 'auto' })
    expect(engine.name).toMatch(/^onnxruntime-(cuda|webgpu|dml|cpu)$/)
  })
})

/** An event of a profile. */
const event = (op: string, type: string): object => ({
  cat: 'Node',
  args: { op_name: op, provider: 'CPUExecutionProvider', output_type_shape: [{ [type]: [2] }] },
})

describe('placement', () => {
  it('finds what the CPU runs on floats, and lets shapes and indices be', async () => {
    const profile = await openProfile()
    const model = emitModel(specialise(small(), { contrib: false, externalData: false }), new Map(), () => new Uint8Array())
    const session = await ort.InferenceSession.create(formatModel(model), { ...profile.options, graphOptimizationLevel: 'disabled' })
    await session.run({ x: new ort.Tensor('float32', new Float32Array(8), [2, 4]), y: new ort.Tensor('int64', new BigInt64Array(2), [2]) })
    session.endProfiling()
    await session.release()
    await expect(profile.check(small(), 'webgpu')).rejects.toMatchObject({
      code: 'engine-fallback',
      message: expect.stringContaining('The device webgpu left Add, Mul of the graph small to the CPU.'),
    })
    await profile.remove()
  })

  it('a profile without a word of the device is no proof', async () => {
    const profile = JSON.stringify([event('Shape', 'int64'), event('Cast', 'float'), { cat: 'Session', args: {} }])
    expect(readProfile(profile)).toEqual({ onCpu: [], elsewhere: false })
  })

  it('tiny feeds fit the step', async () => {
    const { config, weights } = await readCheckpoint('tiny-t5-v10')
    const step = buildStep(config)
    const feeds = tinyFeeds(step)
    expect(feeds['encoder_buckets']?.shape).toEqual([2, 2])
    const program = await ENGINES['onnxruntime']!.load(step, weights)
    expect((await program.run(feeds))['gradient_prompts']?.shape).toEqual([2, 2, config.width])
    await program.dispose()
  })
})

describe.skipIf(!WEBGPU)('WebGPU', () => {
  it('names the operators it lacks', async () => {
    const g = createBuilder('doubles')
    const x = g.input('x', 'F64', ['N'])
    await expect(createEngine(ort, { device: 'webgpu' }).load(g.finish({ y: mul(g, x, x) }), new Map())).rejects.toMatchObject({
      code: 'engine-fallback',
      message: expect.stringContaining('left Mul of the graph doubles to the CPU'),
    })
  })
})
