/** The road's figures for people. */
import type { Output } from '../cli/output.ts'
import type { RoadReport } from './road.ts'
import { formatBytes, formatSeconds } from './stage.ts'
import { formatAccuracy } from './tasks.ts'

export function showRoad({ tasks, answers, stages, ms }: RoadReport, out: Output): void {
  out.line('')
  out.table(
    ['task', 'dev rows', 'untuned base', 'shuffled answers', 'soft prompt', 'step'],
    tasks.map(({ task, rows, before, control, after, bestStep }) => [
      task,
      rows,
      formatAccuracy(before),
      formatAccuracy(control),
      formatAccuracy(after),
      bestStep,
    ]),
  )
  out.line('')
  out.table(
    ['text', 'prompt', 'answer'],
    answers.map(({ text, prompt, answer }) => [text, prompt ?? '(none)', answer]),
  )
  out.line('')
  out.table(
    ['stage', 'time', 'size'],
    [
      ...stages.map(({ stage, ms: took, sizeBytes }) => [
        stage,
        formatSeconds(took),
        sizeBytes === undefined ? '' : formatBytes(sizeBytes),
      ]),
      ['all', formatSeconds(ms), ''],
    ],
  )
}
