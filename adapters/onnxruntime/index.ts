/** Prompts and training on an onnxruntime of the app's own (node or web). The entry point `soft-prompts/onnxruntime`. */

export { createEngine, type EngineOptions, type OnnxRuntime } from './engine.ts'
export { openPromptedSession, type PromptedSession, type PromptedSessionOptions, type Runtime } from './attach.ts'
export type { ExternalFile, ModelSource } from './source.ts'
export { createPromptBank, type PromptBank } from '../../src/prompt/bank.ts'
