/** Prompts opened together with the one base model they share, ready to answer. */
import { ConfigError, HubError } from '../../src/errors.ts'
import type { Ensemble } from '../../src/decode/ensemble.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import { openAnsweringBase, type AnsweringBase, type AnsweringOptions, type NamedPrompt } from './answering-base.ts'
import { findPrompt } from './find-prompt.ts'
import { openEvery, packError } from './open-prompt.ts'

export interface PromptedOptions extends AnsweringOptions {
  /** Folders, bundles, files or Hub ids; with `ensemble` packs too, all of whose prompts are meant. */
  readonly prompts: readonly string[]
  /** Base model; default: the one the prompts name. A folder or Hub id of PyTorch weights or of ONNX files. */
  readonly model?: string
  /** Joins the prompts' answers into one: the majority, or the mean of their probabilities. */
  readonly ensemble?: Ensemble
  /** Told what to know before trusting answers: which ONNX files answer, a quantised base. */
  readonly onNote?: (note: string) => void
}

export interface Prompted extends AnsweringBase {
  readonly prompts: readonly NamedPrompt[]
  dispose(): Promise<void>
}

/**
 * Opens prompts and their base.
 * @throws {ConfigError} `prompts-none` | `prompts-bases` | `prompt-pack` | `base-missing`
 * @throws {MismatchError} `prompt-base` for a prompt of another base; {HubError} where the base cannot be had
 */
export async function openPrompted(options: PromptedOptions): Promise<Prompted> {
  const prompts = (await Promise.all(options.prompts.map((source) => promptsAt(source, options.ensemble)))).flat()
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
  const own = prompts[0]?.prompt.manifest.base
  const opening = openAnsweringBase(options.model === undefined && own ? own : { id }, prompts, options)
  const base = await opening.catch((error: unknown) => {
    throw options.model === undefined && error instanceof HubError ? namedBy(prompts[0]?.name ?? '', id, error) : error
  })
  for (const note of base.notes) options.onNote?.(note)
  return { ...base, prompts, dispose: () => base.model.dispose() }
}

/** An error of the Hub about a base that nobody asked for by name: where the name comes from, and what else would do. */
const namedBy = (prompt: string, base: string, error: HubError): HubError =>
  new HubError(
    error.code,
    `The base model ${base}, which ${prompt} names, could not be had. ${error.message} Where its files lie here, name their folder with --model (in code: model).`,
    { facts: error.facts, cause: error },
  )

/** The prompt at a place, or all of a pack where they are joined. @throws {ConfigError} `prompt-pack` for a pack and no `ensemble` */
async function promptsAt(source: string, ensemble: Ensemble | undefined): Promise<NamedPrompt[]> {
  const found = await openEvery(await findPrompt(source))
  const [only] = found
  if (only && found.length === 1) return [{ name: source, prompt: only.prompt }]
  if (ensemble !== undefined) return found.map(({ name, prompt }) => ({ name: `${source}#${name}`, prompt }))
  throw packError(source, found, ', or join the answers of all with --ensemble vote or --ensemble mean (in code: ensemble)')
}
