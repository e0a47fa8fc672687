/**
 * The engines present here: one list for every test that compares them. Always there: onnxruntime on the CPU and in WebAssembly, and
 * tfjs's own CPU backend. Native TensorFlow takes that one's place where SOFT_PROMPTS_TFJS names a folder that bench/peers/tfjs-node.sh has
 * made: tfjs has one engine a process, however many copies are loaded. WebGPU joins where SOFT_PROMPTS_WEBGPU is set (npm run test:webgpu).
 */
import type { memory } from '@tensorflow/tfjs-core'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import * as ort from 'onnxruntime-node'
import * as web from 'onnxruntime-web'
import { createEngine as createOnnx } from '../adapters/onnxruntime/engine.ts'
import { createEngine as createTfjs, type Tfjs } from '../adapters/tfjs/index.ts'
import type { Engine } from '../src/graph/engine.ts'

/** The folder of bench/peers/tfjs-node.sh. */
const TFJS: string | undefined = process.env['SOFT_PROMPTS_TFJS']

async function openTf(): Promise<Tfjs & { readonly memory: typeof memory }> {
  if (TFJS !== undefined) return createRequire(resolve(TFJS, 'package.json'))('@tensorflow/tfjs-node') as never
  const [tf] = await Promise.all([import('@tensorflow/tfjs-core'), import('@tensorflow/tfjs-backend-cpu')])
  await tf.setBackend('cpu')
  return tf
}

export const tf: Awaited<ReturnType<typeof openTf>> = await openTf()
export const TFJS_ENGINE: string = TFJS === undefined ? 'tfjs-cpu' : 'tfjs-tensorflow'

/** Asked for: where it does not start, its tests fail with the engine's own words. */
export const WEBGPU: boolean = process.env['SOFT_PROMPTS_WEBGPU'] !== undefined

export const ENGINES: Readonly<Record<string, Engine>> = {
  onnxruntime: createOnnx(ort, { threads: 1 }),
  'onnxruntime, standard operators': createOnnx(ort, { threads: 1, capabilities: { contrib: false } }),
  'onnxruntime-web': createOnnx(web, { device: 'wasm' }),
  [TFJS_ENGINE]: await createTfjs(tf),
  ...(WEBGPU ? { 'onnxruntime-webgpu': createOnnx(ort, { device: 'webgpu' }) } : {}),
}
