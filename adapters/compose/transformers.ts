/** Prompts on transformers.js pipelines. The entry point `soft-prompts/transformers`. */

export { loadPrompted, type LoadPromptedOptions } from './load-prompted.ts'
export { attachPrompts, type AttachPromptsOptions } from './attach-sources.ts'
export type { PromptSource, PromptSources, SourceOptions } from './open-sources.ts'
export type { CallOptions, LabelScore, PromptedInput, PromptedPipeline } from '../transformers/prompted-pipeline.ts'
