/** Trains a prompt from a base model and data files into a folder: the library's `train`. */
import { join } from 'node:path'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { lendModel, type LentModel } from '../../src/decode/lend.ts'
import { ConfigError } from '../../src/errors.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { buildStep } from '../../src/t5/step.ts'
import { adviseByAnswer } from '../../src/train/advice.ts'
import { usualTargets } from '../../src/train/batches.ts'
import { largestBatch, planMemory, type MemoryPlan } from '../../src/train/estimate.ts'
import { evaluate, wrongRows } from '../../src/train/evaluate.ts'
import type { TrainEvent } from '../../src/train/events.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import type { TrainOptions } from '../../src/train/loop.ts'
import { trainTogether } from '../../src/train/together.ts'
import { LOG_FILE } from '../artifact/artifact.ts'
import { writePromptFolder } from '../artifact/folder.ts'
import { adviceOnBase, announce } from './announce-run.ts'
import { writeCard } from './card.ts'
import { createdBy } from './created-by.ts'
import { gatherEvidence } from './evidence.ts'
import { openRun, type OpenedRun } from './open-run.ts'
import { openRunFolder, resumable, type RunFolder } from './run-folder.ts'
import type { TrainedRun, TrainPromptEvent, TrainPromptResult } from './train-events.ts'
import { wholeOptions, type ResumePromptOptions, type TrainPromptOptions } from './train-options.ts'
import { finishedPrompt, manifestOf } from './trained-prompt.ts'
import type { Lane } from './training-lanes.ts'
import type { PreparedTask } from './training-task.ts'

export type { TrainedRun, TrainPromptEvent, TrainPromptResult } from './train-events.ts'
export type { ResumePromptOptions, TrainPromptOptions } from './train-options.ts'

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
    return yield* trainInto(folder, yield* openRun(folder, wholeOptions(folder.kept, options)))
  } finally {
    await folder.close()
  }
}

async function* trainInto(folder: RunFolder, run: OpenedRun): AsyncGenerator<TrainPromptEvent, TrainPromptResult> {
  const { options, engine, base, lanes } = run
  const { graph, rate, plan } = planStep(run)
  yield* announce(folder, run, plan.bytes)

  const program = await engine.load(graph, base.weights)
  const gradients = gradientStep(program, base.config, { part: plan.part, ...(rate > 0 ? { dropout: { graph, rate } } : {}) })
  // Between two evaluations only the step's weights need to be in memory.
  const model = lendModel(() => emittedSeq2Seq(engine, base.config, base.weights), options.memory !== 'low')
  try {
    if (!adviceOnBase(run).some(({ code }) => code === 'base-spans-only')) {
      const initial = lanes.map((lane) => lane.initial)
      for (const advice of await adviseByAnswer(base.id, base.tokenizer, gradients, initial)) yield { type: 'warning', step: 0, ...advice }
    }
    await folder.begin(lanes.length, run.kept)
    const runs: TrainedRun[] = []
    const events = trainTogether({
      lanes: lanes.map(({ task, identity, initial }, index) => ({
        identity,
        initial,
        examples: task.encoded.examples,
        ...(task.devRows ? { evaluate: evaluationOf(task, run, model), evaluationRows: task.devRows.length } : {}),
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
      if (event.type === 'log') await folder.log(lane, event.line)
      yield { ...event, ...(lanes[lane] as Lane).whose }
      if (event.type === 'finished') runs.push(yield* writeTrained(folder, run, lane, event, model))
    }
    return resultOf(runs, lanes)
  } finally {
    await program.dispose()
    await model.dispose()
  }
}

/** The graph of a step, and in which parts it runs. */
function planStep({ options, engine, base, tasks, lanes }: OpenedRun): {
  readonly graph: Graph
  /** Of dropout. */
  readonly rate: number
  readonly plan: MemoryPlan
} {
  const { zLoss, dropout: rate, length } = (tasks[0] as PreparedTask).recipe
  const targetTokens = Math.max(...tasks.map(({ encoded, recipe }) => usualTargets(encoded.examples, recipe)))
  const graph = buildStep(base.config, { targetTokens, zLoss, dropout: rate })
  const plan = planMemory(
    graph,
    base.weights,
    engine.capabilities,
    lanes.map(({ task, identity }) => largestBatch(task.encoded.examples, identity.recipe)),
    { count: lanes.length, length },
    options.memory,
  )
  return { graph, rate, plan }
}

/** How a task's prompts are judged while they train. */
const evaluationOf =
  (
    { devRows = [], labels, recipe }: PreparedTask,
    { options: { signal }, base }: OpenedRun,
    model: LentModel,
  ): NonNullable<TrainOptions['evaluate']> =>
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
          ...(signal ? { signal } : {}),
        },
        { data: prompt, width: base.config.width },
      ),
    )
    const [wrong] = wrongRows(devRows, predictions, 1)
    return { metrics: metrics.map((metric) => Object.assign(metric, { step })), warnings, ...(wrong ? { wrong } : {}) }
  }

/** Writes the artifact of a prompt whose training has ended. */
async function* writeTrained(
  folder: RunFolder,
  { options, base, described, lanes }: OpenedRun,
  index: number,
  { reason, state }: Extract<TrainEvent, { type: 'finished' }>,
  model: LentModel,
): AsyncGenerator<TrainPromptEvent, TrainedRun> {
  const { task, whose, dir, seed, identity } = lanes[index] as Lane
  const run = { ...(task.name === undefined ? {} : { name: task.name }), seed, dir, reason, step: state.step }
  // Nothing was learnt: what would be written is what the run begins from.
  if (state.step === 0) return run
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
  await folder.publishLog(index, join(dir, LOG_FILE))
  const shape = { heads: base.config.heads, layers: base.config.encoderLayers }
  await resumable(writePromptFolder(prompt, dir, { log: LOG_FILE, ...shape }))
  await resumable(writeCard(dir))
  if (options.signal?.aborted) {
    const message = `Stopped before all that the card shows was measured; the prompt in ${dir} is whole.`
    yield { type: 'warning', code: 'evidence-stopped', message, step: state.step, ...whose }
  }
  yield { type: 'written', dir, ...whose }
  const { bestStep, metrics } = prompt.manifest
  return { ...run, prompt, ...(bestStep === undefined ? {} : { bestStep }), ...(metrics ? { metrics } : {}) }
}

/** What runs are compared by; higher is better. */
const figure = ({ metrics }: TrainPromptResult): number => metrics?.[0]?.value ?? -Infinity

/** Of the whole: the best seed of the first task, and each run where there are several. */
function resultOf(runs: readonly TrainedRun[], lanes: readonly Lane[]): TrainPromptResult {
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
