/** The engine a device names; the runtime is loaded only here, when it is needed. */
import { UnsupportedError } from '../../src/errors.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { createEngine, type OnnxRuntime } from '../onnxruntime/engine.ts'

export interface OpenEngineOptions {
  readonly device?: string
  readonly threads?: number
  readonly memory?: 'fast' | 'low'
}

/** @throws {UnsupportedError} `engine-missing` where onnxruntime-node is not installed. */
export async function openEngine(options: OpenEngineOptions = {}): Promise<Engine> {
  const ort = await import('onnxruntime-node').catch((cause: unknown) => {
    throw new UnsupportedError(
      'engine-missing',
      'onnxruntime-node is not installed. Add it to your project: npm install onnxruntime-node',
      { cause },
    )
  })
  // A CommonJS package: its exports may stand under `default`.
  return createEngine(('InferenceSession' in ort ? ort : (ort as { default: OnnxRuntime }).default) as OnnxRuntime, options)
}
