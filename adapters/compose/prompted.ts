/** Prompts opened together with the one base model they share, ready to answer. */
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import { ConfigError } from '../../src/errors.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { checkBase } from './base-model.ts'
import { findPrompt } from './find-prompt.ts'
import { openBase, type Base, type BaseOptions } from './open-base.ts'
import { openEngine, type OpenEngineOptions } from './open-engine.ts'
import { openPrompt } from './open-prompt.ts'

export interface PromptedOptions extends OpenEngineOptions {
  /** Folders, bundles, files or Hub ids. */
  readonly prompts: readonly string[]
  /** Base model; default: the one the prompts name. */
  readonly model?: string
  /** Told what comes over the network, where the base is not in the cache yet. */
  readonly onDownload?: NonNullable<BaseOptions['onProgress']>
}

export interface Prompted {
  readonly base: Base
  readonly model: Seq2Seq
  readonly prompts: readonly { readonly name: string; readonly prompt: SoftPrompt }[]
  dispose(): Promise<void>
}

/**
 * Opens prompts and their base.
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `base-missing`
 * @throws {MismatchError} `prompt-base` for a prompt of another base.
 */
export async function openPrompted(options: PromptedOptions): Promise<Prompted> {
  const prompts = await Promise.all(options.prompts.map(async (name) => ({ name, prompt: await openPrompt(await findPrompt(name)) })))
  const named = [...new Set(prompts.map(({ prompt }) => canonicalBase(prompt.manifest.base.id)))]
  const id = options.model ?? prompts[0]?.prompt.manifest.base.id
  if (id === undefined || id === '') throw new ConfigError('prompts-none', 'Name a prompt, or a base model with --model.')
  if (options.model === undefined && named.length > 1) {
    throw new ConfigError(
      'prompts-bases',
      `The prompts are of different base models (${named.join(', ')}). Ask one base's prompts at a time, or say which base they all have with --model (in code: model).`,
      { facts: { named } },
    )
  }
  const base = await openBase(id, options.onDownload ? { onProgress: options.onDownload } : {})
  for (const { name, prompt } of prompts) await checkBase(base, prompt, name)
  const model = await emittedSeq2Seq(await openEngine(options), base.config, base.weights)
  return { base, model, prompts, dispose: () => model.dispose() }
}
