/** What is said of a run before its first step: what each task is about to do, and what speaks against it. */
import { totalmem } from 'node:os'
import { adviseBase, adviseMemory, adviseRecipe, type Advice } from '../../src/train/advice.ts'
import { adviseName } from './advise-name.ts'
import type { OpenedRun } from './open-run.ts'
import type { RunFolder } from './run-folder.ts'
import type { TrainPromptEvent } from './train-events.ts'
import type { Lane } from './training-lanes.ts'
import type { PreparedTask } from './training-task.ts'

/** Of the machine or the container; older Nodes only know the machine. */
const availableBytes = (): number => process.availableMemory?.() ?? totalmem()

/** Tells of each task, then warns. @param memoryBytes that the run will take */
export function* announce(folder: RunFolder, run: OpenedRun, memoryBytes: number): Generator<TrainPromptEvent, void> {
  yield* prepared(folder, run, memoryBytes)
  yield* warnings(folder, run, memoryBytes)
}

/** What each task is about to do. */
function* prepared(folder: RunFolder, { options, engine, base, tasks }: OpenedRun, memoryBytes: number): Generator<TrainPromptEvent, void> {
  const { seeds = 1 } = options
  for (const [index, { name, data, dev, labels, encoded, recipe }] of tasks.entries()) {
    yield {
      type: 'prepared',
      ...(name === undefined ? {} : { name }),
      base: base.id,
      rows: data.examples.length,
      devRows: dev?.examples.length ?? 0,
      labels,
      truncatedInputs: encoded.truncatedInputs,
      truncatedTargets: encoded.truncatedTargets,
      recipe: { ...recipe, engine: engine.name },
      seeds,
      resumedAt: folder.saved?.[index * seeds]?.step ?? 0,
      memoryBytes,
    }
  }
}

/** What the base speaks against. */
export const adviceOnBase = ({ base, tasks }: OpenedRun): Advice[] =>
  adviseBase(base.id, base.config.width, {
    evaluates: tasks.every(({ dev }) => dev !== undefined),
    schedule: (tasks[0] as PreparedTask).recipe.schedule,
  })

/** What is to be said before the first step. */
function* warnings(folder: RunFolder, run: OpenedRun, memoryBytes: number): Generator<TrainPromptEvent, void> {
  const { engine, base, tasks, lanes } = run
  const onRecipe = adviseRecipe((tasks[0] as PreparedTask).recipe)
  for (const advice of [...adviseName(base), ...adviceOnBase(run), ...onRecipe, ...adviseMemory(memoryBytes, availableBytes())])
    yield { type: 'warning', step: 0, ...advice }
  const engines = (lanes[0] as Lane).identity.recipe.engine ?? engine.name
  if (engines !== engine.name) {
    const message = `This run's steps ran on ${engines}: each engine rounds in its own way, so the prompt is near the one that a single engine gives, not the same.`
    yield { type: 'warning', code: 'resume-engine', message, step: 0 }
  }
  if (folder.lostLogs.length > 0) {
    const message = `What the run logged so far is not there (${folder.lostLogs.join(', ')}): the prompt will be the same, its log and its curve begin where the run stands.`
    yield { type: 'warning', code: 'resume-log', message, step: 0 }
  }
  for (const { name, advice: given } of tasks)
    for (const advice of given) yield { type: 'warning', step: 0, ...(name === undefined ? {} : { name }), ...advice }
}
