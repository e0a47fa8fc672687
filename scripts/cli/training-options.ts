/** The flags of `train` as the options of a training: one table each for the run, its rows and its recipe. */
import type { DataSource } from '../../adapters/compose/data.ts'
import type { ResumePromptOptions, TrainPromptOptions } from '../../adapters/compose/train.ts'
import { presetOf } from '../../src/data/presets.ts'
import { ConfigError } from '../../src/errors.ts'
import { INITS, type Recipe } from '../../src/prompt/manifest.ts'
import { QUICK, type RecipeChoices } from '../../src/train/recipe.ts'
import type { TrainFlags } from '../train.ts'
import { said } from './command.ts'
import { parseLabelMap } from './data-flags.ts'

type Init = Recipe['init']

/** A kind of beginning; undefined where `--init` names a prompt to begin from. */
const kindOf = (init: string): Init | undefined => INITS.find((kind) => kind === init && kind !== 'prompt')

/** Every choice of a recipe with the flag that makes it. */
function choicesOf(flags: TrainFlags): RecipeChoices {
  const choices: { readonly [K in keyof RecipeChoices]-?: RecipeChoices[K] | undefined } = {
    length: flags.length,
    init: flags.init === undefined ? undefined : (kindOf(flags.init) ?? 'prompt'),
    steps: flags.steps,
    batch: flags.batch,
    accumulate: flags.accumulate,
    learningRate: flags.lr,
    optimizer: flags.optimizer,
    schedule: flags.schedule,
    warmup: flags.warmup,
    weightDecay: flags.weightDecay,
    stepOffset: flags.stepOffset,
    clipNorm: flags.clip,
    zLoss: flags.zLoss,
    dropout: flags.dropout,
    seed: flags.seed,
    evalEvery: flags.evalEvery,
    patience: flags.patience,
    maxInputTokens: flags.maxInput,
    maxTargetTokens: flags.maxTarget,
    buckets: flags.buckets,
    holdOut: flags.holdOut,
  }
  return { ...(flags.quick ? QUICK : {}), ...said(choices) }
}

const refuse = (code: string, what: string): never => {
  throw new ConfigError(code, what)
}

/** Refuses flags that say nothing together, or too much. @throws {ConfigError} `data-none` | `data-twice` | `dev-none` | `dev-twice` */
function checkFlags(flags: TrainFlags): void {
  const named = (['data', 'dataset', 'tasks'] as const).filter((name) => flags[name] !== undefined)
  // A run that goes on knows its rows.
  if (named.length === 0 && !flags.resume)
    refuse('data-none', 'Name the rows to train on: --data FILE, --dataset owner/name or --tasks FILE.')
  if (named.length > 1) {
    const given = named.map((name) => `--${name}`).join(' and ')
    refuse('data-twice', `The rows to train on are named ${named.length === 2 ? 'twice' : 'three times'}, by ${given}. Keep one of them.`)
  }
  if (flags.dataset === undefined && (flags.config ?? flags.devSplit) !== undefined)
    refuse('data-none', '--config and --dev-split are parts of a --dataset. Name it, or give files by --data and --dev.')
  const sources = [
    ['dev', flags.dev],
    ['dev-split', flags.devSplit],
    ['hold-out', flags.holdOut || undefined],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`]))
  if (sources.length > 1 && flags.tasks === undefined)
    refuse('dev-twice', `The rows to evaluate on are named twice, by ${sources.join(' and ')}. Keep one of them.`)
  const idle = (['patience', 'failures'] as const).find((name) => flags[name])
  if (sources.length === 0 && flags.tasks === undefined && idle !== undefined && !flags.resume) {
    refuse(
      'dev-none',
      `--${idle} is about evaluations, and there are no rows for them. Name some by --dev FILE (or --dev-split NAME of a --dataset), or keep some apart by --hold-out N.`,
    )
  }
}

/** The rows to train and to evaluate on: files, or splits of one dataset. */
function sourcesOf(
  { data, dev, dataset, config, split, devSplit }: TrainFlags,
  signal: AbortSignal,
): { data?: DataSource; dev?: DataSource } {
  const splitOf = (name: string | undefined): DataSource | undefined =>
    dataset === undefined || name === undefined ? undefined : { repo: dataset, split: name, signal, ...said({ config }) }
  return said({ data: data ?? splitOf(split), dev: dev ?? splitOf(devSplit) })
}

/**
 * The options that the flags of `train` ask for; reads the file of tasks, where there is one.
 * @throws {ConfigError} `data-none` | `data-twice` | `dev-none` | `dev-twice` | `label-map` | `preset-unknown` | `tasks-file`
 */
export async function trainingOptions(flags: TrainFlags, signal: AbortSignal): Promise<TrainPromptOptions | ResumePromptOptions> {
  checkFlags(flags)
  const {
    model,
    out,
    revision,
    baseId,
    preset,
    template,
    target,
    task,
    initText,
    init,
    seeds,
    engine,
    device,
    threads,
    resume,
    overwrite,
  } = flags
  const options = {
    out,
    recipe: choicesOf(flags),
    signal,
    ...(preset === undefined ? {} : presetOf(preset)),
    ...sourcesOf(flags, signal),
    ...said({ revision, baseId, template, target, task, initText, seeds, engine, device, threads, overwrite, failures: flags.failures }),
    ...said({
      tasks: flags.tasks === undefined ? undefined : await (await import('../../adapters/compose/read-tasks.ts')).readTasks(flags.tasks),
      labelMap: flags.labelMap === undefined ? undefined : parseLabelMap(flags.labelMap),
      labels: flags.generate ? (false as const) : flags.labels,
      initPrompt: init !== undefined && kindOf(init) === undefined ? init : undefined,
      memory: flags.lowMemory ? ('low' as const) : undefined,
      timeLimitMs: flags.timeLimit === undefined ? undefined : flags.timeLimit * 60_000,
    }),
  }
  return resume ? { ...options, ...said({ model }), resume } : { ...options, model: model ?? '' }
}
