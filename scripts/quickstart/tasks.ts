/** The example tasks: their untuned base, their prompt, and their control, a prompt trained the same way on shuffled answers. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { evaluatePrompts } from '../../adapters/compose/evaluate.ts'
import { trainPrompt, type TrainPromptResult } from '../../adapters/compose/train.ts'
import { makeFolder } from '../../adapters/disk/make-folder.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import { differenceInterval } from '../../src/train/metrics.ts'
import { createRandom } from '../../src/tensor/random.ts'
import type { Output } from '../cli/output.ts'
import { expectThat } from './stage.ts'

export interface Row {
  readonly input: string
  readonly target: string
}

export interface ExampleTask {
  readonly name: string
  readonly trainFile: string
  readonly devFile: string
}

export interface Place {
  readonly model: string
  readonly out: string
  readonly threads?: number
}

/** Found by trying: see README.md beside the rows. */
export const RECIPE = { length: 20, steps: 300, batch: 16, learningRate: 0.3, schedule: 'linear', evalEvery: 50, seed: 1 } as const

export async function readRows(file: string): Promise<Row[]> {
  const text = await readFile(file, 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
}

const accuracyOf = (metrics: readonly Metric[] | undefined, of: string): Metric => {
  const found = metrics?.find(({ name }) => name === 'accuracy')
  expectThat(found?.interval !== undefined, `accuracy of ${of}`, 'a figure with its interval', JSON.stringify(metrics))
  return found as Metric
}

/** Accuracy of the bare base on the development rows. */
export async function untuned(task: ExampleTask, { model, threads }: Place): Promise<Metric> {
  const results = evaluatePrompts({ prompts: [], model, data: [task.devFile], bare: true, ...(threads ? { threads } : {}) })
  for await (const { metrics } of results) return accuracyOf(metrics, `the untuned base on ${task.name}`)
  return accuracyOf(undefined, `the untuned base on ${task.name}`)
}

export interface Trained {
  readonly dir: string
  readonly accuracy: Metric
  readonly bestStep: number
  readonly stepsPerSecond: number
  readonly result: TrainPromptResult
}

/** Trains a prompt on the task's rows, or on `rows` in their place. */
export async function trained(
  task: ExampleTask,
  name: string,
  place: Place,
  out: Output,
  trainFile: string = task.trainFile,
): Promise<Trained> {
  const dir = join(place.out, name)
  const bar = await out.progress(`train ${name}`, RECIPE.steps)
  const events = trainPrompt({
    model: place.model,
    baseId: 'quickstart/t5-tiny-en',
    data: trainFile,
    dev: task.devFile,
    out: dir,
    overwrite: true,
    // Only the prompt's own step is chosen on the development rows: choosing the control's too would let the base's own leaning look like learning.
    recipe: trainFile === task.trainFile ? RECIPE : { ...RECIPE, evalEvery: RECIPE.steps },
    task: `Example task: ${task.name}`,
    ...(place.threads ? { threads: place.threads } : {}),
  })
  // Steps only: evaluations and checkpoints between them are not the training's speed.
  let stepMs = 0
  let steps = 0
  let last = performance.now()
  try {
    for (;;) {
      const next = await events.next()
      const now = performance.now()
      if (next.done) {
        const { metrics, bestStep = 0 } = next.value
        return { dir, accuracy: accuracyOf(metrics, name), bestStep, stepsPerSecond: (1000 * steps) / stepMs, result: next.value }
      }
      if (next.value.type === 'step') {
        stepMs += now - last
        steps += 1
        bar.update(next.value.step, `loss ${next.value.loss.toFixed(2)}`)
      }
      last = now
    }
  } finally {
    bar.stop()
  }
}

/** The same rows with their answers shuffled among them: what a prompt can get from answers alone. */
export async function shuffledRows(task: ExampleTask, { out }: Place): Promise<string> {
  const rows = await readRows(task.trainFile)
  const targets = rows.map(({ target }) => target)
  const random = createRandom(RECIPE.seed)
  for (let last = targets.length - 1; last > 0; last--) {
    const other = random.int(last + 1)
    ;[targets[last], targets[other]] = [targets[other] as string, targets[last] as string]
  }
  await makeFolder(join(out, 'shuffled'))
  const file = join(out, 'shuffled', `${task.name}.jsonl`)
  await writeFile(file, rows.map(({ input }, row) => `${JSON.stringify({ input, target: targets[row] })}\n`).join(''))
  return file
}

const percent = (share: number): string => (100 * share).toFixed(1)

/** `91.2 % (87.0 to 94.1)` */
export function formatAccuracy({ value, interval }: Metric): string {
  return `${percent(value)} %${interval ? ` (${percent(interval[0])} to ${percent(interval[1])})` : ''}`
}

/** The prompt must beat both by more than chance explains: the 95 % interval of the difference lies above 0. */
export function expectLearned(task: string, after: Metric, before: Metric, control: Metric): void {
  for (const [what, other] of [
    ['the untuned base', before],
    ['the control with shuffled answers', control],
  ] as const) {
    const [low] = differenceInterval(after as Counted, other as Counted)
    expectThat(
      low > 0,
      `accuracy of the ${task} prompt against ${what}`,
      `surely more than ${formatAccuracy(other)}`,
      formatAccuracy(after),
    )
  }
}

type Counted = Metric & Required<Pick<Metric, 'interval'>>
