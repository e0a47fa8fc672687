/** Which TensorFlow.js is opened, and what is said of one that is missing, broken, too old for Node, or without a GPU. */
import * as util from 'node:util'
import { describe, expect, it } from 'vitest'
import { checkVersion, openTfjs } from '../../adapters/tfjs/open.ts'
import { tf, TFJS_ENGINE } from '../engines.ts'

/** Node's own error for a package that is not there. */
const missing = async (name: string): Promise<unknown> => {
  throw Object.assign(new Error(`Cannot find package '${name}' imported from here`), { code: 'ERR_MODULE_NOT_FOUND' })
}
const broken = async (): Promise<unknown> => {
  throw Object.assign(new Error("Cannot find module '../lib/napi-v8/tfjs_binding.node'"), { code: 'MODULE_NOT_FOUND' })
}
/** The TensorFlow.js of the tests as a package of another name, of a version that takes every Node. */
const as =
  (wanted: string) =>
  async (name: string): Promise<unknown> =>
    name === wanted ? { ...tf, version: { 'tfjs-node': '4.23.0' } } : missing(name)

const withoutNative = (name: string): Promise<unknown> => (name.includes('tfjs-node') ? missing(name) : import(name))

describe('openTfjs', () => {
  it('names the packages where none is installed', async () => {
    await expect(openTfjs({ load: missing })).rejects.toMatchObject({
      code: 'tfjs-missing',
      message: expect.stringMatching(/tfjs-node-gpu, or .*tfjs-node, or .*tfjs-core with .*tfjs-backend-cpu to your project/),
    })
    await expect(openTfjs({ device: 'cuda', load: missing })).rejects.toMatchObject({
      message: 'TensorFlow.js is not installed. Add @tensorflow/tfjs-node-gpu to your project.',
    })
  })

  it('says how to mend one that is installed and does not load', async () => {
    await expect(openTfjs({ load: broken })).rejects.toMatchObject({ code: 'tfjs-broken', message: expect.stringContaining('npm rebuild') })
  })

  it('does not pass off a CPU as a GPU', async () => {
    await expect(openTfjs({ device: 'cuda', load: as('@tensorflow/tfjs-node-gpu') })).rejects.toMatchObject({
      code: 'tfjs-no-gpu',
      message: expect.stringMatching(/finds no GPU\. .*CUDA 11\.2 and cuDNN 8\.1.* older than Hopper .*--device webgpu/),
    })
    const engine = await openTfjs({ load: as('@tensorflow/tfjs-node') })
    expect(engine.name).toBe('tfjs-node')
  })

  it.runIf(TFJS_ENGINE === 'tfjs-cpu')('takes the one in JavaScript last', async () => {
    expect((await openTfjs({ load: withoutNative })).name).toBe('tfjs-cpu')
  })
})

describe('Node 23 and later', () => {
  it('is refused for tfjs-node 4.22, which calls what it took away', () => {
    const { isNullOrUndefined: _, ...newer } = util as typeof util & { isNullOrUndefined?: unknown }
    expect(() => checkVersion('@tensorflow/tfjs-node', '4.22.0', newer, '24.1.0')).toThrow(
      expect.objectContaining({
        code: 'tfjs-node-version',
        message: '@tensorflow/tfjs-node 4.22.0 fails on Node 24.1.0: use Node 20 or 22, or --engine onnxruntime.',
      }),
    )
  })

  it('is fine for a later one', () => {
    expect(() => checkVersion('@tensorflow/tfjs-node', '4.23.0', {})).not.toThrow()
    expect(() => checkVersion('@tensorflow/tfjs-node', '5.0.0', {})).not.toThrow()
  })
})
