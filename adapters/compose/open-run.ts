/** Opening a run: its engine, its base, its rows and its prompts, held to the state that lies in its folder. */
import { ConfigError, MismatchError } from '../../src/errors.ts'
import type { Engine } from '../../src/graph/engine.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { checkResume } from '../../src/train/resume.ts'
import type { TrainState } from '../../src/train/state.ts'
import { digestWeights, weightsDigest, type DigestProgress, type KnownFile } from '../checkpoint/weight-digests.ts'
import { baseModel } from './base-model.ts'
import type { DataSource } from './data.ts'
import { keepOptions, type KeptRun } from './kept-run.ts'
import { openBase, type Base } from './open-base.ts'
import { openEngine } from './open-engine.ts'
import type { RunFolder } from './run-folder.ts'
import type { Passing, TrainPromptOptions } from './train-options.ts'
import { openLanes, type Lane } from './training-lanes.ts'
import { prepareTask, tasksOf, type PreparedTask, type TrainTask } from './training-task.ts'

/** The base's weights are read for their digest, where they are large and not known yet. */
export type Digesting = { readonly type: 'digesting' } & DigestProgress

/** A run with all that it needs. */
export interface OpenedRun {
  readonly options: TrainPromptOptions
  readonly engine: Engine
  readonly base: Base
  readonly tasks: readonly PreparedTask[]
  readonly described: BaseModel
  readonly lanes: readonly Lane[]
  readonly kept: KeptRun
}

/**
 * Opens all that a run needs, and sees that it is the one whose state lies in the folder.
 * @throws {ConfigError} `train-seeds`, `train-tasks`, `recipe-*`, `base-missing`, `base-id`
 * @throws {MismatchError} `resume-mismatch`
 * @throws {DataError} for rows that cannot be used
 */
export async function* openRun(folder: RunFolder, options: TrainPromptOptions): AsyncGenerator<Digesting, OpenedRun> {
  const { seeds = 1, signal } = options
  if (!Number.isSafeInteger(seeds) || seeds < 1) {
    throw new ConfigError('train-seeds', `The number of seeds must be a whole number of at least 1, got ${seeds}.`, {
      facts: { got: seeds },
    })
  }
  const { engine, base, tasks } = await openParts(options)
  const described = await baseModel(base)
  const files = yield* digested(base, folder.kept?.weights, signal)
  const saved = folder.saved ?? []
  const lanes = openLanes(tasks, seeds, base, {
    described,
    weights: weightsDigest(files),
    engine: enginesOf(saved[0]?.identity.recipe.engine, engine.name),
    out: options.out,
  })
  checkSaved(saved, lanes, options.out)
  const lasting: Omit<TrainPromptOptions, Passing> = { ...options, ...(base.revision === undefined ? {} : { revision: base.revision }) }
  return { options, engine, base, tasks, described, lanes, kept: { options: keepOptions(lasting), weights: files } }
}

/** Rows under the run's signal: a split of a Hub dataset that was kept has none of its own. */
const watched = (source: DataSource, signal: AbortSignal): DataSource => (typeof source === 'string' ? source : { signal, ...source })

const watchedTask = <T extends Partial<TrainTask>>(task: T, signal: AbortSignal | undefined): T => ({
  ...task,
  ...(task.data === undefined || !signal ? {} : { data: watched(task.data, signal) }),
  ...(task.dev === undefined || !signal ? {} : { dev: watched(task.dev, signal) }),
})

/** The engine, the base and the rows, side by side. */
async function openParts(options: TrainPromptOptions): Promise<Pick<OpenedRun, 'engine' | 'base' | 'tasks'>> {
  const { revision, baseId, signal, onDownload } = options
  const named = tasksOf(options, options.tasks).map((task) => ({ ...task, options: watchedTask(task.options, signal) }))
  const opening = openBase(options.model, {
    ...(revision === undefined ? {} : { revision }),
    ...(baseId === undefined ? {} : { baseId }),
    ...(signal ? { signal } : {}),
    ...(onDownload ? { onProgress: onDownload } : {}),
  })
  const [engine, base, tasks] = await Promise.all([
    openEngine(options),
    opening,
    Promise.all(named.map((task) => prepareTask(task, options.recipe ?? {}, opening))),
  ])
  return { engine, base, tasks }
}

/** Digests the base's weights, telling how far it is where it takes long. */
async function* digested(
  base: Base,
  known: readonly KnownFile[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Digesting, KnownFile[]> {
  const work = digestWeights(base.weights, known, signal)
  for (;;) {
    const next = await work.next()
    if (next.done) return next.value
    yield { type: 'digesting', ...next.value }
  }
}

/** The engines that ran a run's steps, in order. */
const enginesOf = (before: string | undefined, now: string): string =>
  before === undefined || before === now || before.endsWith(` then ${now}`) ? (before ?? now) : `${before} then ${now}`

/** @throws {MismatchError} `resume-mismatch` where the states are not those of these lanes */
function checkSaved(saved: readonly TrainState[], lanes: readonly Lane[], dir: string): void {
  if (saved.length > 0 && saved.length !== lanes.length) {
    throw new MismatchError(
      'resume-mismatch',
      `The checkpoint in ${dir} is of ${saved.length} prompts trained together, this run is of ${lanes.length}. Go on with as many seeds and tasks, or train anew into another folder.`,
      { facts: { names: ['seeds'], saved: saved.length, lanes: lanes.length } },
    )
  }
  for (const [index, { identity }] of saved.entries()) {
    const { identity: wanted, task } = lanes[index] as Lane
    checkResume(identity, wanted, `The checkpoint ${task.name === undefined ? '' : `of ${task.name} `}in ${dir}`)
  }
}
