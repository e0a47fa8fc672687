/** What a training takes; where a run goes on, with what it was started with. */
import { ConfigError } from '../../src/errors.ts'
import type { RecipeChoices } from '../../src/train/recipe.ts'
import { resumeOptions, type KeptRun } from './kept-run.ts'
import type { BaseOptions } from './open-base.ts'
import type { OpenEngineOptions } from './open-engine.ts'
import type { TrainTask } from './training-task.ts'

/** `data` and the rest of a task stand here, or in `tasks`; what stands here holds for every task that does not say otherwise. */
export interface TrainPromptOptions extends Partial<TrainTask>, OpenEngineOptions {
  /** Base model: folder, or Hub id in the Hub cache. */
  readonly model: string
  readonly revision?: string
  /** Hub id of the base, where `model` is a folder: recorded in the prompt, for all who load it. Default: the folder's name, which others cannot find. */
  readonly baseId?: string
  /** Told what comes over the network, where the base is not in the cache yet. */
  readonly onDownload?: NonNullable<BaseOptions['onProgress']>
  /** Folder of the artifact and the run's checkpoint. */
  readonly out: string
  /** Tasks trained together, by name: a prompt each, from its own rows, in a folder of its name in `out`. */
  readonly tasks?: Readonly<Record<string, Partial<TrainTask>>>
  /** Prompts trained together, of the recipe's seed and those that follow it; each gets a folder `seed-…`. Default 1, without such a folder. */
  readonly seeds?: number
  /** What differs from the paper's recipe. */
  readonly recipe?: RecipeChoices
  /** Goes on with the run in `out`; what is not given is as it was started with. */
  readonly resume?: boolean
  readonly overwrite?: boolean
  readonly timeLimitMs?: number
  readonly checkpointMs?: number
  /** Ends the run after the step it is at, saved: the best prompt so far is written, and `resume` goes on. */
  readonly signal?: AbortSignal
  /** What the manifest says made the prompt; default this package and its version. */
  readonly createdBy?: string
  /** Development rows answered wrongly that go into the manifest and the card, for all to read. Default 0: rows may be private. */
  readonly failures?: number
}

/** A run that goes on: nothing but its folder is needed, and what is given must not change what it is. */
export type ResumePromptOptions = Partial<TrainPromptOptions> & { readonly out: string; readonly resume: true }

/** Options of one call, which are not kept with the run. */
export type Passing = 'out' | 'resume' | 'overwrite' | 'timeLimitMs' | 'checkpointMs' | 'signal' | 'onDownload'

/** The options of a run, with those it was started with where it goes on. @throws {ConfigError} `model-none` | `resume-none` | `resume-data` */
export function wholeOptions(kept: KeptRun | undefined, given: TrainPromptOptions | ResumePromptOptions): TrainPromptOptions {
  const { model, ...rest } = kept === undefined ? given : resumeOptions(kept.options, given)
  if (model !== undefined) return { ...rest, model }
  const { out } = given
  if (!given.resume) throw new ConfigError('model-none', 'Name the base model to train on: a folder or a Hub id.')
  throw new ConfigError(
    'resume-none',
    `${out} holds no run to go on with: it has no checkpoint/run.json. Is it the folder that the run was started with? To start one there, name a model and rows.`,
    { facts: { out } },
  )
}
