/** Prompts on transformers.js pipelines. The entry point `soft-prompts/transformers`. */

export { loadPrompted, type LoadPromptedOptions, type PromptSource } from './load-prompted.ts'
export { attachPrompts, type AttachPromptsOptions } from './attach-prompts.ts'
export type { CallOptions, LabelScore, PromptedInput, PromptedPipeline } from '../transformers/prompted-pipeline.ts'
