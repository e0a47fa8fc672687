/** Trains a prompt from a base model and data files into a folder: the library's `train`. */
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { lendModel } from '../../src/decode/lend.ts'
import { ConfigError, MismatchError } from '../../src/errors.ts'
import type { Engine } from '../../src/graph/engine.ts'
import type { BaseModel, Metric } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { buildStep } from '../../src/t5/step.ts'
import { adviseBase, adviseByAnswer, adviseMemory, adviseRecipe } from '../../src/train/advice.ts'
import { usualTargets } from '../../src/train/batches.ts'
import { checkResume } from '../../src/train/resume.ts'
import { largestBatch, planMemory } from '../../src/train/estimate.ts'
import { evaluate, wrongRows } from '../../src/train/evaluate.ts'
import type { FinishReason, TrainEvent } from '../../src/train/events.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import type { TrainOptions } from '../../src/train/loop.ts'
import type { RecipeChoices, TrainRecipe } from '../../src/train/recipe.ts'
import type { TrainState } from '../../src/train/state.ts'
import { trainTogether } from '../../src/train/together.ts'
import { LOG_FILE } from '../artifact/artifact.ts'
import { writePromptFolder } from '../artifact/folder.ts'
import { digestWeights, weightsDigest, type DigestProgress, type KnownFile } from '../checkpoint/weight-digests.ts'
import { adviseName } from './advise-name.ts'
import { baseModel } from './base-model.ts'
import { writeCard } from './card.ts'
import { gatherEvidence } from './evidence.ts'
import { createdBy } from './created-by.ts'
import type { DataSource } from './data.ts'
import { keepOptions, resumeOptions, type KeptRun } from './kept-run.ts'
import { openBase, type Base, type BaseOptions } from './open-base.ts'
import { openEngine, type OpenEngineOptions } from './open-engine.ts'
import { openRunFolder, resumable, type RunFolder } from './run-folder.ts'
import { finishedPrompt, manifestOf } from './trained-prompt.ts'
import { openLanes, type Lane, type Whose } from './training-lanes.ts'
import { prepareTask, tasksOf, type PreparedTask, type TrainTask } from './training-task.ts'

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
type Passing = 'out' | 'resume' | 'overwrite' | 'timeLimitMs' | 'checkpointMs' | 'signal' | 'onDownload'

export type TrainPromptEvent =
  | (TrainEvent & Whose)
  /** One for each task. */
  | {
      readonly type: 'prepared'
      readonly name?: string
      readonly base: string
      readonly rows: number
      readonly devRows: number
      readonly labels: readonly string[] | undefined
      readonly truncatedInputs: number
      readonly truncatedTargets: number
      readonly recipe: TrainRecipe
      readonly seeds: number
      /** The step the run goes on from. */
      readonly resumedAt: number
      /** About the most that the whole run's process will take. */
      readonly memoryBytes: number
    }
  | ({ readonly type: 'written'; readonly dir: string } & Whose)
  /** The base's weights are read for their digest, where they are large and not known yet. */
  | ({ readonly type: 'digesting' } & DigestProgress)

export interface TrainPromptResult {
  readonly reason: FinishReason
  readonly step: number
  /** Absent where the run was stopped before its first step. */
  readonly prompt?: SoftPrompt
  readonly bestStep?: number
  readonly metrics?: readonly Metric[]
  /** Where several prompts trained together: each of them; the fields above are those of the best seed of the first task. */
  readonly runs?: readonly TrainedRun[]
}

export interface TrainedRun extends TrainPromptResult {
  readonly name?: string
  readonly seed: number
  readonly dir: string
}

/** Of the machine or the container; older Nodes only know the machine. */
const availableBytes = (): number => process.availableMemory?.() ?? totalmem()

/**
 * Trains and writes a soft prompt, or several in one batch. Yields progress; returns the result.
 * @throws {ConfigError} `recipe-*`, `train-tasks`, `train-seeds`, `out-not-empty`, `out-busy`, `out-write`, `run-write`, `base-missing`, `base-id`, `training-diverged`;
 * of a run that goes on, `resume-none` where none is there, `resume-data` where its rows were not kept
 * @throws {FormatError} `checkpoint-damaged` | `checkpoint-old` | `checkpoint-format`
 * @throws {MismatchError} `resume-mismatch`
 * @throws {DataError} for rows that cannot be used
 * @example trainPrompt({ resume: true, out: 'my-prompt' }) // goes on with a run that was stopped
 */
export async function* trainPrompt(options: TrainPromptOptions | ResumePromptOptions): AsyncGenerator<TrainPromptEvent, TrainPromptResult> {
  const folder = await openRunFolder(options.out, options)
  try {
    return yield* trainInto(folder, yield* openRun(folder, wholeOptions(folder, options)))
  } finally {
    await folder.close()
  }
}

/** The options of a run, with those it was started with where it goes on. */
function wholeOptions({ kept }: RunFolder, given: TrainPromptOptions | ResumePromptOptions): TrainPromptOptions {
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

/** Rows under the run's signal: a split of a Hub dataset that was kept has none of its own. */
const watched = (source: DataSource, signal: AbortSignal): DataSource => (typeof source === 'string' ? source : { signal, ...source })

const watchedTask = <T extends Partial<TrainTask>>(task: T, signal: AbortSignal | undefined): T => ({
  ...task,
  ...(task.data === undefined || !signal ? {} : { data: watched(task.data, signal) }),
  ...(task.dev === undefined || !signal ? {} : { dev: watched(task.dev, signal) }),
})

/** Opens all that a run needs, and sees that it is the one whose state lies in the folder. */
async function* openRun(folder: RunFolder, options: TrainPromptOptions): AsyncGenerator<TrainPromptEvent, OpenedRun> {
  const { seeds = 1 } = options
  if (!Number.isSafeInteger(seeds) || seeds < 1) {
    throw new ConfigError('train-seeds', `The number of seeds must be a whole number of at least 1, got ${seeds}.`, {
      facts: { got: seeds },
    })
  }
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

/** Digests the base's weights, telling how far it is where it takes long. */
async function* digested(
  base: Base,
  known: readonly KnownFile[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<TrainPromptEvent, KnownFile[]> {
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

/** A run with all that it needs opened. */
interface OpenedRun {
  readonly options: TrainPromptOptions
  readonly engine: Engine
  readonly base: Base
  readonly tasks: readonly PreparedTask[]
  readonly described: BaseModel
  readonly lanes: readonly Lane[]
  readonly kept: KeptRun
}

async function* trainInto(
  folder: RunFolder,
  { options, engine, base, tasks, described, lanes, kept }: OpenedRun,
): AsyncGenerator<TrainPromptEvent, TrainPromptResult> {
  const { seeds = 1 } = options
  const targetTokens = Math.max(...tasks.map(({ encoded, recipe }) => usualTargets(encoded.examples, recipe)))
  const { zLoss, dropout: rate } = (tasks[0] as PreparedTask).recipe
  const graph = buildStep(base.config, { targetTokens, zLoss, dropout: rate })
  const { bytes: memoryBytes, part } = planMemory(
    graph,
    base.weights,
    engine.capabilities,
    lanes.map(({ task, identity }) => largestBatch(task.encoded.examples, identity.recipe)),
    { count: lanes.length, length: (tasks[0] as PreparedTask).recipe.length },
    options.memory,
  )
  for (const [index, { name, data, dev, labels, encoded }] of tasks.entries()) {
    yield {
      type: 'prepared',
      ...(name === undefined ? {} : { name }),
      base: base.id,
      rows: data.examples.length,
      devRows: dev?.examples.length ?? 0,
      labels,
      truncatedInputs: encoded.truncatedInputs,
      truncatedTargets: encoded.truncatedTargets,
      recipe: { ...(tasks[index] as PreparedTask).recipe, engine: engine.name },
      seeds,
      resumedAt: folder.saved?.[index * seeds]?.step ?? 0,
      memoryBytes,
    }
  }
  const onBase = adviseBase(base.id, base.config.width, {
    evaluates: tasks.every(({ dev }) => dev !== undefined),
    schedule: (tasks[0] as PreparedTask).recipe.schedule,
  })
  const onRecipe = adviseRecipe((tasks[0] as PreparedTask).recipe)
  for (const advice of [...adviseName(base), ...onBase, ...onRecipe, ...adviseMemory(memoryBytes, availableBytes())])
    yield { type: 'warning', step: 0, ...advice }
  const engines = (lanes[0] as Lane).identity.recipe.engine ?? engine.name
  if (engines !== engine.name) {
    const message = `This run's steps ran on ${engines}: each engine rounds in its own way, so the prompt is near the one that a single engine gives, not the same.`
    yield { type: 'warning', code: 'resume-engine', message, step: 0 }
  }
  for (const { name, advice: given } of tasks)
    for (const advice of given) yield { type: 'warning', step: 0, ...(name === undefined ? {} : { name }), ...advice }

  const program = await engine.load(graph, base.weights)
  const gradients = gradientStep(program, base.config, { part, ...(rate > 0 ? { dropout: { graph, rate } } : {}) })
  // Between two evaluations only the step's weights need to be in memory.
  const model = lendModel(() => emittedSeq2Seq(engine, base.config, base.weights), options.memory !== 'low')
  const evaluation =
    ({ devRows = [], labels, recipe }: PreparedTask): NonNullable<TrainOptions['evaluate']> =>
    async (prompt, step) => {
      const { metrics, warnings, predictions } = await model.use(async (get) =>
        evaluate(
          {
            model: await get(),
            tokenizer: base.tokenizer,
            startId: base.config.startId,
            rows: devRows,
            ...(labels ? { labels } : {}),
            split: 'dev',
            maxNewTokens: recipe.maxTargetTokens,
            ...(options.signal ? { signal: options.signal } : {}),
          },
          { data: prompt, width: base.config.width },
        ),
      )
      const [wrong] = wrongRows(devRows, predictions, 1)
      return { metrics: metrics.map((metric) => Object.assign(metric, { step })), warnings, ...(wrong ? { wrong } : {}) }
    }
  try {
    if (!onBase.some(({ code }) => code === 'base-spans-only')) {
      const initial = lanes.map((lane) => lane.initial)
      for (const advice of await adviseByAnswer(base.id, base.tokenizer, gradients, initial)) yield { type: 'warning', step: 0, ...advice }
    }
    await folder.begin(lanes.length, kept)
    const runs: TrainedRun[] = []
    const events = trainTogether({
      lanes: lanes.map(({ task, identity, initial }, index) => ({
        identity,
        initial,
        examples: task.encoded.examples,
        ...(task.devRows ? { evaluate: evaluation(task), evaluationRows: task.devRows.length } : {}),
        ...(folder.saved?.[index] ? { resume: folder.saved[index] } : {}),
      })),
      padId: base.tokenizer.padId,
      step: gradients,
      now: () => performance.now(),
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.timeLimitMs === undefined ? {} : { timeLimitMs: options.timeLimitMs }),
      ...(options.checkpointMs === undefined ? {} : { checkpointMs: options.checkpointMs }),
    })
    for await (const told of events) {
      if ('states' in told) {
        await folder.save(told.states)
        continue
      }
      const { lane, event } = told
      const { task, whose, dir, seed, identity } = lanes[lane] as Lane
      if (event.type === 'log') await folder.log(lane, event.line)
      yield { ...event, ...whose }
      if (event.type !== 'finished') continue
      const { reason, state } = event
      const run = { ...(task.name === undefined ? {} : { name: task.name }), seed, dir, reason, step: state.step }
      // Nothing was learnt: what would be written is what the run begins from.
      if (state.step === 0) {
        runs.push(run)
        continue
      }
      const { labels, devRows, recipe } = task
      const found = await model.use((get) =>
        gatherEvidence({
          base,
          prompt: state.best?.prompt ?? state.prompt,
          ...(devRows ? { rows: devRows } : {}),
          trained: task.data.examples.map(({ target }) => target),
          ...(labels ? { labels } : {}),
          maxNewTokens: recipe.maxTargetTokens,
          failures: options.failures ?? 0,
          model: get,
          ...(options.signal ? { signal: options.signal } : {}),
        }),
      )
      // A batch of several prompts rounds otherwise: its prompts are near those trained alone.
      const trained = lanes.length === 1 ? identity.recipe : { ...identity.recipe, together: lanes.length }
      const facts = { ...manifestOf(task, trained, options.createdBy ?? (await createdBy())), base: described }
      const prompt = finishedPrompt(state, base, facts, found)
      await folder.publishLog(lane, join(dir, LOG_FILE))
      const shape = { heads: base.config.heads, layers: base.config.encoderLayers }
      await resumable(writePromptFolder(prompt, dir, { log: LOG_FILE, ...shape }))
      await resumable(writeCard(dir))
      if (options.signal?.aborted) {
        const message = `Stopped before all that the card shows was measured; the prompt in ${dir} is whole.`
        yield { type: 'warning', code: 'evidence-stopped', message, step: state.step, ...whose }
      }
      yield { type: 'written', dir, ...whose }
      const { bestStep, metrics } = prompt.manifest
      runs.push({ ...run, prompt, ...(bestStep === undefined ? {} : { bestStep }), ...(metrics ? { metrics } : {}) })
    }
    return resultOf(runs, lanes)
  } finally {
    await program.dispose()
    await model.dispose()
  }
}

function resultOf(runs: readonly TrainedRun[], lanes: readonly Lane[]): TrainPromptResult {
  const figure = ({ metrics }: TrainPromptResult): number => metrics?.[0]?.value ?? -Infinity
  const order = (run: TrainedRun): number => lanes.findIndex(({ dir }) => dir === run.dir)
  const sorted = runs.toSorted((a, b) => order(a) - order(b))
  const [best] = sorted
    .filter(({ name }) => name === sorted[0]?.name)
    .toSorted((a, b) => (figure(b) > figure(a) ? 1 : figure(b) < figure(a) ? -1 : 0))
  if (!best) throw new ConfigError('training-unfinished', 'The training loop ended without saying why.')
  const { name: _, seed: __, dir: ___, ...result } = best
  return lanes.length === 1 ? result : { ...result, runs: sorted }
}

/** Runs a training to its end, handing each event to `onEvent`. */
export async function drainTraining(
  events: AsyncGenerator<TrainPromptEvent, TrainPromptResult>,
  onEvent: (event: TrainPromptEvent) => void = () => {},
): Promise<TrainPromptResult> {
  for (;;) {
    const next = await events.next()
    if (next.done) return next.value
    onEvent(next.value)
  }
}
