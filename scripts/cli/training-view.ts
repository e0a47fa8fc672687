/** A training run for people: what it is about to do, a bar with loss, metric and time left, warnings, and the result. */
import type { TrainPromptEvent, TrainPromptResult } from '../../adapters/compose/train.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import type { Output, Progress } from './output.ts'

const percent = (share: number): string => (100 * share).toFixed(1)

/** `accuracy 91.2 % (89.1 to 92.9, n 872)` */
export function formatMetric({ name, value, n, interval }: Metric): string {
  return `${name} ${percent(value)} % (${interval ? `${percent(interval[0])} to ${percent(interval[1])}, ` : ''}n ${n})`
}

/** `45 s`, `12 min`, `3.4 h` */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 90) return `${seconds.toFixed(0)} s`
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`
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

export function trainingView(out: Output, dir: string): TrainingView {
  let bar: Progress | undefined
  let pending: Promise<void> | undefined
  let metric = ''
  let loss = 0
  const warned = new Set<string>()
  const show = (event: TrainPromptEvent): void => {
    if (event.type === 'prepared') {
      const { recipe } = event
      out.line(
        `${event.base}: ${event.rows} rows${event.devRows > 0 ? `, ${event.devRows} to evaluate on` : ''}${event.labels ? `; labels ${event.labels.join(', ')}` : ''}`,
      )
      out.line(
        `${recipe.length} virtual tokens, ${recipe.steps} steps of ${recipe.batch * recipe.accumulate}, ${recipe.optimizer} at ${recipe.learningRate}, seed ${recipe.seed}`,
      )
      if (event.resumedAt > 0) out.line(`going on after step ${event.resumedAt}`)
      if (event.truncatedInputs > 0)
        out.note(
          `warning: ${event.truncatedInputs} of ${event.rows} inputs are longer than ${recipe.maxInputTokens} tokens and were cut (--max-input)`,
        )
      if (event.truncatedTargets > 0)
        out.note(
          `warning: ${event.truncatedTargets} of ${event.rows} targets are longer than ${recipe.maxTargetTokens} tokens and were cut (--max-target)`,
        )
    } else if (event.type === 'started') {
      out.line(
        `${event.stepMs.toFixed(0)} ms for the first step: about ${formatDuration(event.estimateMs)} in all; Ctrl-C saves, --resume goes on`,
      )
      pending = out.progress('train', event.steps).then((made) => {
        bar = made
      })
    } else if (event.type === 'step') {
      loss = loss === 0 ? event.loss : 0.98 * loss + 0.02 * event.loss
      bar?.update(
        event.step,
        `loss ${loss.toFixed(3)}${metric} ${event.examplesPerSecond.toFixed(0)} rows/s, ${formatDuration(event.leftMs)} left`,
      )
    } else if (event.type === 'evaluated') {
      const [first] = event.metrics
      if (first) metric = `, ${first.name} ${(100 * first.value).toFixed(1)}%`
    } else if (event.type === 'warning' && !warned.has(event.code)) {
      warned.add(event.code)
      out.note(`warning${event.step > 0 ? ` (step ${event.step})` : ''}: ${event.message}`)
    }
  }
  return {
    show,
    finish: ({ reason, step, bestStep, metrics }) => {
      bar?.stop()
      out.line(`${WHY[reason]} at step ${step}`)
      if (reason === 'aborted') out.line(`saved; go on with --resume --out ${dir}`)
      else out.line(`${dir}: the prompt of step ${bestStep}${metrics ? `, ${metrics.map(formatMetric).join(', ')}` : ''}`)
      out.result({ out: dir, reason, step, bestStep, metrics })
    },
    stop: () => {
      void pending?.then(() => bar?.stop())
    },
  }
}
