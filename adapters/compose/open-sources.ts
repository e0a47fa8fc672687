/** Prompts as an app names them: folders, bundles, Hub ids or values, one or several; and how the Hub is reached for them. */
import { basename } from 'node:path'
import type { ProgressCallback } from '@huggingface/transformers'
import { ConfigError } from '../../src/errors.ts'
import { isSoftPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tellFiles } from '../transformers/progress.ts'
import { findPrompt } from './find-prompt.ts'
import type { HubAccessOptions } from './onnx-folder.ts'
import { openPrompt } from './open-prompt.ts'
import { noPrompt } from './prompt-kind.ts'

/** A prompt: a folder, bundle or Hub id, or the value. */
export type PromptSource = string | SoftPrompt

/** One, several by the last part of their names, or several by names of the app's own. */
export type PromptSources = PromptSource | readonly PromptSource[] | Readonly<Record<string, PromptSource>>

export interface SourceOptions {
  /** How the Hub is reached; default: the environment's. */
  readonly hub?: HubAccessOptions
  /** Commit, branch or tag of prompts on the Hub. Default main; the base model's commit is what a prompt names. */
  readonly revision?: string
  /** Folder of the Hub cache, shared with Python; default: the environment's. */
  readonly cache_dir?: string
  /** Ask nobody: what is not in the cache is missing. */
  readonly local_files_only?: boolean
  /** Told of each file that comes over the network, in transformers.js' events. */
  readonly progress_callback?: ProgressCallback
}

/** The Hub as these options reach it. */
export const hubOf = ({ hub, cache_dir, local_files_only, progress_callback }: SourceOptions): HubAccessOptions => ({
  ...hub,
  ...(cache_dir === undefined ? {} : { cacheDir: cache_dir }),
  ...(local_files_only === undefined ? {} : { offline: local_files_only }),
  ...(progress_callback ? { onProgress: tellFiles(progress_callback) } : {}),
})

/**
 * Opens prompts by name.
 * @throws {ConfigError} `prompt-name` | `prompt-kind`; what a folder, bundle or the Hub says
 */
export async function openSources(given: PromptSources, options: SourceOptions = {}): Promise<Record<string, SoftPrompt>> {
  const hub = hubOf(options)
  const access = { ...hub, ...(options.revision === undefined ? {} : { revision: options.revision }) }
  const open = async (source: unknown, name: string): Promise<SoftPrompt> => {
    if (typeof source === 'string') return openPrompt(await findPrompt(source, access))
    if (isSoftPrompt(source)) return source
    throw noPrompt(source, TAKES, name)
  }
  const named = namesOf(given)
  const names = named.map(([name]) => name)
  if (new Set(names).size < names.length) {
    throw new ConfigError('prompt-name', `Two prompts are called the same (${names.join(', ')}); give them as { name: prompt, … }.`)
  }
  return Object.fromEntries(await Promise.all(named.map(async ([name, source]) => [name, await open(source, name)] as const)))
}

const TAKES = 'a folder, a bundle or a Hub id as text, a prompt that openPrompt gave, or several of these: a list, or { name: prompt, … }'

function namesOf(given: PromptSources): [string, PromptSource][] {
  if (typeof given === 'string' || isSoftPrompt(given)) return [[nameOf(given, 0), given]]
  if (typeof given !== 'object' || given === null) throw noPrompt(given, TAKES)
  return Array.isArray(given)
    ? (given as readonly PromptSource[]).map((source, index) => [nameOf(source, index), source])
    : Object.entries(given as Readonly<Record<string, PromptSource>>)
}

/** Last part of a folder, file or Hub id, or the name of a pack's prompt; values are numbered. */
const nameOf = (source: PromptSource, index: number): string =>
  typeof source === 'string'
    ? basename(source)
        .replace(/^.*#/, '')
        .replace(/\.(tar\.gz|tgz|npy|safetensors)$/, '')
    : index === 0
      ? 'prompt'
      : `prompt${index + 1}`
