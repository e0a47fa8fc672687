/** Training on a TensorFlow.js of the app's own (tfjs-node-gpu, tfjs-node, tfjs). The entry point `soft-prompts/tfjs`. */

export { createEngine, type EngineOptions } from './engine.ts'
export type { Tfjs } from './runtime.ts'
