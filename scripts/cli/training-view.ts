/** A training run for people: what it is about to do, a bar with the loss and the time left, a line for each evaluation, warnings, the result, and what to do with it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TrainPromptEvent, TrainPromptResult } from '../../adapters/compose/train.ts'
import type { Whose } from '../../adapters/compose/training-lanes.ts'
import { quoted } from '../../src/card/reproduce.ts'
import { parseTemplate } from '../../src/data/template.ts'
import { hubIdOf } from '../../src/prompt/base-name.ts'
import { formatMetric } from './figures.ts'
import { withFlags } from './option-flags.ts'
import { formatDuration, type Output, type Progress } from './output.ts'

type Told<T extends TrainPromptEvent['type']> = Extract<TrainPromptEvent, { readonly type: T }>

export interface TrainingView {
  /** Shows an event; given to the run. */
  readonly show: (event: TrainPromptEvent) => void
  /** Says something while it trains. */
  note(text: string): void
  finish(result: TrainPromptResult): void
  stop(): void
}

export interface TrainingPlace {
  /** Folder of the run. */
  readonly out: string
  /** The base model as it was named. */
  readonly model: string
  readonly resume?: boolean
}

const WHY: Readonly<Record<TrainPromptResult['reason'], string>> = {
  steps: 'all steps done',
  patience: 'stopped early: no better evaluation',
  time: 'time limit reached',
  aborted: 'stopped',
}

const plain = ({ reason, step, bestStep, metrics }: TrainPromptResult): object => ({ reason, step, bestStep, metrics })

/** `mood seed 3`; empty where one prompt is trained. */
const whose = ({ name, seed }: Whose): string =>
  [...(name === undefined ? [] : [name]), ...(seed === undefined ? [] : [`seed ${seed}`])].join(' ')

/** Steps whose losses are shown as one, at least: a batch alone says little. */
const LOSS_STEPS = 20

/** The mean loss of the last steps. */
function lossMean(): { add(loss: number): void; readonly text: string } {
  const last: number[] = []
  return {
    add: (loss) => {
      last.push(loss)
      if (last.length > LOSS_STEPS) last.shift()
    },
    get text() {
      const mean = last.reduce((sum, loss) => sum + loss, 0) / last.length
      return last.length === 0 ? '' : `loss ${mean.toFixed(3)} (mean of ${last.length === 1 ? '1 step' : `${last.length} steps`})`
    },
  }
}

function preparedLines(event: Told<'prepared'>): string {
  const { name, base, rows, devRows, labels } = event
  const evaluated = devRows > 0 ? `, ${devRows} to evaluate on` : ''
  return `${name === undefined ? '' : `${name}: `}${base}: ${rows} rows${evaluated}${labels ? `; labels ${labels.join(', ')}` : ''}`
}

function recipeLine({ recipe, seeds, memoryBytes }: Told<'prepared'>): string {
  const last = seeds > 1 ? ` to ${recipe.seed + seeds - 1} together` : ''
  const memory = `about ${(memoryBytes / 1e9).toFixed(1)} GB of memory`
  return `${recipe.length} virtual tokens, ${recipe.steps} steps of ${recipe.batch * recipe.accumulate}, ${recipe.optimizer} at ${recipe.learningRate}, seed ${recipe.seed}${last}; ${memory}`
}

function cutNotes({ name, rows, recipe, truncatedInputs, truncatedTargets }: Told<'prepared'>): string[] {
  const note = (count: number, what: string, most: number, flag: string): string[] =>
    count === 0
      ? []
      : [
          `warning: ${name === undefined ? '' : `${name}: `}${count} of ${rows} ${what} are longer than ${most} tokens and were cut (${flag})`,
        ]
  return [
    ...note(truncatedInputs, 'inputs', recipe.maxInputTokens, '--max-input'),
    ...note(truncatedTargets, 'targets', recipe.maxTargetTokens, '--max-target'),
  ]
}

function startedLine({ stepMs, estimateMs, evaluations }: Told<'started'>): string {
  const counted = evaluations === 0 ? '' : `, ${evaluations === 1 ? 'one evaluation' : `${evaluations} evaluations`} included`
  return `${stepMs.toFixed(0)} ms for the first step: about ${formatDuration(estimateMs)} in all${counted}; Ctrl-C saves, --resume goes on`
}

const evaluatedLine = ({ step, metrics, best, ...lane }: Told<'evaluated'>, loss: string): string =>
  [
    `${whose(lane)} step ${step}: ${metrics.map(formatMetric).join(', ')}${best ? ', best so far' : ''}`.trim(),
    ...(loss === '' ? [] : [loss]),
  ].join('; ')

/** How the prompt in a folder is asked, as a line for a shell. */
function askLine(dir: string, template: string | undefined, model: string, base: string | undefined): string {
  const { fields } = parseTemplate(template ?? '{input}')
  const input = fields.length > 1 ? fields.map((field) => `--field ${quoted(`${field}=…`)}`).join(' ') : '"…"'
  return `soft-prompts run ${quoted(dir)} ${input}${base === undefined || model === base ? '' : ` --model ${quoted(model)}`}`
}

/** What to do with what was trained. */
function nextLines({ prompt, runs }: TrainPromptResult, { out: dir, model }: TrainingPlace): string[] {
  const written = (runs ?? [{ prompt, dir, name: undefined }]).filter((run) => run.prompt !== undefined)
  // Of several, the one whose figures stand for the run.
  const first = written.find((run) => run.prompt === prompt) ?? written[0]
  if (first?.prompt === undefined) return []
  const ask = (at: string): string => askLine(at, first.prompt?.manifest.template, model, first.prompt?.manifest.base.id)
  const curve = join(first.dir, 'loss.svg')
  const sameTask = written.filter(({ name }) => name === first.name).length
  const ensemble =
    sameTask > 1 ? [`or all of its seeds as one: ${ask(first.name === undefined ? dir : join(dir, first.name))} --ensemble vote`] : []
  return [
    ...(existsSync(curve) ? [`its curve: ${curve}${written.length > 1 ? ', and so in each folder' : ''}`] : []),
    `ask it: ${ask(first.dir)}`,
    ...ensemble,
    `share it: soft-prompts push ${quoted(first.dir)} OWNER/NAME${hubIdOf(first.prompt.manifest.base.id) === undefined ? ' --base-id OWNER/BASE' : ''}`,
  ]
}

export function trainingView(out: Output, place: TrainingPlace): TrainingView {
  const { out: dir, resume = false } = place
  let bar: Progress | undefined
  let pending: Promise<void> | undefined
  const loss = lossMean()
  let first: string | undefined // of prompts trained together, the one whose steps are shown
  const warned = new Set<string>()
  let recipeTold = false
  /** A line that stays, above the bar where there is one. */
  const line = (text: string): void => (bar ? bar.above(() => out.line(text)) : out.line(text))
  const note = (text: string): void => (bar ? bar.above(() => out.note(text)) : out.note(text))
  const show = (event: TrainPromptEvent): void => {
    if (event.type === 'prepared') {
      out.line(preparedLines(event))
      if (!recipeTold) out.line(recipeLine(event))
      if (event.resumedAt > 0 && !recipeTold) out.line(`going on after step ${event.resumedAt}`)
      else if (resume && !recipeTold) out.note(`nothing to resume in ${dir}: starting at step 0`)
      recipeTold = true
      for (const text of cutNotes(event)) out.note(text)
    } else if (event.type === 'started') {
      first ??= whose(event)
      if (whose(event) !== first) return
      out.line(startedLine(event))
      pending = out.progress('train', event.steps).then((made) => {
        bar = made
      })
    } else if (event.type === 'step') {
      if (whose(event) !== first) return
      loss.add(event.loss)
      bar?.update(event.step, `${loss.text}, ${event.examplesPerSecond.toFixed(0)} rows/s,`, event.leftMs)
    } else if (event.type === 'evaluated') {
      line(evaluatedLine(event, whose(event) === first ? loss.text : ''))
    } else if (event.type === 'warning' && !warned.has(`${event.name} ${event.code}`)) {
      warned.add(`${event.name} ${event.code}`)
      const about = [...(event.name === undefined ? [] : [event.name]), ...(event.step > 0 ? [`step ${event.step}`] : [])]
      note(`warning${about.length > 0 ? ` (${about.join(', ')})` : ''}: ${withFlags(event.message, event.options)}`)
    }
  }
  return {
    show,
    note,
    finish: (result) => {
      bar?.stop()
      bar = undefined
      const { runs } = result
      for (const { dir: at, reason, step, bestStep, metrics: figures } of runs ?? [{ ...result, dir }]) {
        const what = runs ? `${at}: ` : ''
        out.line(`${what}${WHY[reason]} at step ${step}`)
        if (bestStep !== undefined)
          out.line(`${at}: the prompt of step ${bestStep}${figures ? `, ${figures.map(formatMetric).join(', ')}` : ''}`)
      }
      for (const text of nextLines(result, place)) out.line(text)
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
