/** A training run for people: what it is about to do, a bar with loss, metric and time left, warnings, and the result. */
import type { TrainPromptEvent, TrainPromptResult } from '../../adapters/compose/train.ts'
import type { Whose } from '../../adapters/compose/training-lanes.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import { formatDuration, type Output, type Progress } from './output.ts'

/** `91.2` */
export const percent = (share: number): string => (100 * share).toFixed(1)

/** `accuracy 91.2 % (89.1 to 92.9, n 872)` */
export function formatMetric({ name, value, n, interval }: Metric): string {
  return `${name} ${percent(value)} % (${interval ? `${percent(interval[0])} to ${percent(interval[1])}, ` : ''}n ${n})`
}

export interface TrainingView {
  /** Shows an event; given to the run. */
  readonly show: (event: TrainPromptEvent) => void
  finish(result: TrainPromptResult): void
  stop(): void
}

const WHY: Readonly<Record<TrainPromptResult['reason'], string>> = {
  steps: 'all steps done',
  patience: 'stopped early: no better evaluation',
  time: 'time limit reached',
  aborted: 'stopped',
}

const plain = ({ reason, step, bestStep, metrics }: TrainPromptResult): object => ({ reason, step, bestStep, metrics })

const who = ({ name = '', seed }: Whose): string => `${name} ${seed ?? ''}`

export function trainingView(out: Output, dir: string, resume = false): TrainingView {
  let bar: Progress | undefined
  let pending: Promise<void> | undefined
  const metrics = new Map<string, number>()
  let metric = ''
  let loss = 0
  let first: string | undefined // of prompts trained together, the one whose steps are shown
  const warned = new Set<string>()
  let recipeTold = false
  const show = (event: TrainPromptEvent): void => {
    if (event.type === 'prepared') {
      const { recipe } = event
      const whose = event.name === undefined ? '' : `${event.name}: `
      out.line(
        `${whose}${event.base}: ${event.rows} rows${event.devRows > 0 ? `, ${event.devRows} to evaluate on` : ''}${event.labels ? `; labels ${event.labels.join(', ')}` : ''}`,
      )
      if (!recipeTold)
        out.line(
          `${recipe.length} virtual tokens, ${recipe.steps} steps of ${recipe.batch * recipe.accumulate}, ${recipe.optimizer} at ${recipe.learningRate}, seed ${recipe.seed}${event.seeds > 1 ? ` to ${recipe.seed + event.seeds - 1} together` : ''}; about ${(event.memoryBytes / 1e9).toFixed(1)} GB of memory`,
        )
      if (event.resumedAt > 0 && !recipeTold) out.line(`going on after step ${event.resumedAt}`)
      else if (resume && !recipeTold) out.note(`nothing to resume in ${dir}: starting at step 0`)
      recipeTold = true
      if (event.truncatedInputs > 0)
        out.note(
          `warning: ${whose}${event.truncatedInputs} of ${event.rows} inputs are longer than ${recipe.maxInputTokens} tokens and were cut (--max-input)`,
        )
      if (event.truncatedTargets > 0)
        out.note(
          `warning: ${whose}${event.truncatedTargets} of ${event.rows} targets are longer than ${recipe.maxTargetTokens} tokens and were cut (--max-target)`,
        )
    } else if (event.type === 'started') {
      first ??= who(event)
      if (who(event) !== first) return
      out.line(
        `${event.stepMs.toFixed(0)} ms for the first step: about ${formatDuration(event.estimateMs)} in all; Ctrl-C saves, --resume goes on`,
      )
      pending = out.progress('train', event.steps).then((made) => {
        bar = made
      })
    } else if (event.type === 'step') {
      if (who(event) !== first) return
      loss = loss === 0 ? event.loss : 0.98 * loss + 0.02 * event.loss
      bar?.update(event.step, `loss ${loss.toFixed(3)}${metric} ${event.examplesPerSecond.toFixed(0)} rows/s,`, event.leftMs)
    } else if (event.type === 'evaluated') {
      const [main] = event.metrics
      if (!main) return
      metrics.set(who(event), main.value)
      metric = `, ${main.name} ${[...metrics.values()].map((value) => (100 * value).toFixed(1)).join(' ')}%`
    } else if (event.type === 'warning' && !warned.has(`${event.name} ${event.code}`)) {
      warned.add(`${event.name} ${event.code}`)
      const about = [...(event.name === undefined ? [] : [event.name]), ...(event.step > 0 ? [`step ${event.step}`] : [])]
      out.note(`warning${about.length > 0 ? ` (${about.join(', ')})` : ''}: ${event.message}`)
    }
  }
  return {
    show,
    finish: (result) => {
      bar?.stop()
      const { runs } = result
      for (const { dir: at, reason, step, bestStep, metrics: figures } of runs ?? [{ ...result, dir }]) {
        const what = runs ? `${at}: ` : ''
        out.line(`${what}${WHY[reason]} at step ${step}`)
        if (reason !== 'aborted')
          out.line(`${at}: the prompt of step ${bestStep}${figures ? `, ${figures.map(formatMetric).join(', ')}` : ''}`)
      }
      if ((runs ?? [result]).some(({ reason }) => reason === 'aborted')) out.line(`saved; go on with --resume --out ${dir}`)
      out.result({
        out: dir,
        ...plain(result),
        ...(runs ? { runs: runs.map((run) => ({ name: run.name, seed: run.seed, out: run.dir, ...plain(run) })) } : {}),
      })
    },
    stop: () => {
      void pending?.then(() => bar?.stop())
    },
  }
}
