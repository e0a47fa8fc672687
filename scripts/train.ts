/** `soft-prompts train`: trains a prompt for a frozen T5. */
import { PRESETS } from '../src/data/presets.ts'
import { OPTIMIZERS } from '../src/prompt/manifest.ts'
import { SCHEDULES } from '../src/train/recipe.ts'
import { command, type Command, type Values } from './cli/command.ts'
import { DEVICE, RUN_ENGINE } from './cli/engine-flags.ts'
import type { TrainPromptEvent } from '../adapters/compose/train.ts'

const FLAGS = {
  model: { kind: 'string', value: 'id|dir', help: 'base model: a folder, or a Hub id', requiredUnless: 'resume' },
  revision: { kind: 'string', value: 'commit', help: 'commit or branch of the base model on the Hub' },
  baseId: {
    kind: 'string',
    value: 'owner/name',
    help: "the base model's Hub id, where --model is a folder: by it others who load the prompt find the base",
  },
  data: {
    kind: 'string',
    value: 'file',
    help: 'training rows: .jsonl, .csv, .tsv, .parquet, or - for JSON Lines on standard input',
  },
  tasks: {
    kind: 'string',
    value: 'file',
    help: 'several tasks in one batch, a prompt each: JSON such as {"mood": {"data": "mood.jsonl", "template": "…"}, …}',
  },
  dataset: { kind: 'string', value: 'owner/name', help: 'train on a Hub dataset instead of --data' },
  config: { kind: 'string', value: 'name', help: 'configuration of the dataset, where it has several' },
  split: { kind: 'string', value: 'name', help: 'its split to train on', default: 'train' },
  devSplit: { kind: 'string', value: 'name', help: 'split of --dataset to evaluate on, as validation' },
  dev: { kind: 'string', value: 'file', help: 'development rows: the step that does best on them is kept' },
  holdOut: { kind: 'number', value: 'N', help: 'training rows kept apart to evaluate on, where there is no --dev' },
  out: { kind: 'string', value: 'dir', help: 'folder of the artifact and the checkpoint', required: true },
  preset: {
    kind: 'string',
    value: 'task',
    help: "template, target and label words of a known task's rows",
    choices: Object.keys(PRESETS) as readonly string[],
  },
  template: { kind: 'string', value: 't', help: 'input text with {field} names (default {input})' },
  target: { kind: 'string', value: 'field', help: 'field with the answer (default target); answers.text.0 reaches inside' },
  labelMap: { kind: 'string', value: 'json', help: 'raw answer to label word, as {"0": "negative", "1": "positive"}' },
  labels: { kind: 'strings', value: 'word', help: 'label words (default: the answers, where they repeat)' },
  generate: { kind: 'boolean', help: 'evaluate by generated text even where the answers look like labels' },
  length: { kind: 'number', value: 'P', help: 'virtual tokens (default 100; 20 is nearly as good and faster)' },
  quick: {
    kind: 'boolean',
    help: 'a recipe for a CPU: --length 20 --steps 1000 --batch 16 --schedule linear --eval-every 100 --max-input 128; the same flags beside it win',
  },
  init: {
    kind: 'string',
    value: 'how',
    help: 'labels (default), vocab, random, text, or a prompt to begin from: folder, bundle, file or Hub id',
  },
  initText: { kind: 'string', value: 'text', help: 'words to begin from; with --init text alone, those of --task' },
  steps: { kind: 'number', value: 'N', help: 'updates (default 30000)' },
  batch: { kind: 'number', value: 'N', help: 'rows a batch (default 32)' },
  accumulate: { kind: 'number', value: 'N', help: 'batches an update (default 1)' },
  lr: { kind: 'number', value: 'X', help: 'learning rate (default 0.3)' },
  optimizer: {
    kind: 'string',
    value: 'name',
    help: "what moves the prompt (default: adafactor, the paper's)",
    choices: OPTIMIZERS as typeof OPTIMIZERS,
  },
  schedule: {
    kind: 'string',
    value: 'name',
    help: 'the rate after its warmup (default: constant)',
    choices: SCHEDULES as typeof SCHEDULES,
  },
  warmup: { kind: 'number', value: 'N', help: 'steps over which the rate rises (default 0)' },
  weightDecay: { kind: 'number', value: 'X', help: 'weight decay (default 1e-5)' },
  stepOffset: { kind: 'number', value: 'N', help: 'steps Adafactor counts before the first (default 1100000, as the paper ran it)' },
  clip: { kind: 'number', value: 'X', help: 'largest norm of the gradient (default: none)' },
  seed: { kind: 'number', value: 'N', help: 'seed of the order and the initial prompt (default 0)' },
  seeds: {
    kind: 'number',
    value: 'K',
    help: 'prompts trained together, with the seeds from --seed on, for an ensemble: one folder each in --out',
  },
  zLoss: { kind: 'number', value: 'X', help: "weight of T5X's z-loss (default 0; T5X trained with 1e-4)" },
  dropout: { kind: 'number', value: 'X', help: "share of activations dropped at each of T5's places (default 0; the paper's demo: 0.1)" },
  evalEvery: { kind: 'number', value: 'N', help: 'steps between evaluations (default 1000)' },
  patience: { kind: 'number', value: 'N', help: 'evaluations without a better one before the run ends (default: never)' },
  maxInput: { kind: 'number', value: 'T', help: 'input tokens kept (default 512)' },
  maxTarget: { kind: 'number', value: 'U', help: 'target tokens kept (default 128)' },
  buckets: { kind: 'boolean', help: 'batch rows of like length together: less padding and faster steps, in an order less random' },
  engine: RUN_ENGINE as typeof RUN_ENGINE,
  device: DEVICE as typeof DEVICE,
  threads: { kind: 'number', value: 'N', help: 'threads (default: all cores)' },
  lowMemory: {
    kind: 'boolean',
    help: 'map the weights instead of packing them, and run each batch a few rows at a time: less than half of the memory, slower',
  },
  resume: {
    kind: 'boolean',
    help: 'go on with the run in --out, as it was started; flags beside it may add --steps, --time-limit, --device, …',
  },
  overwrite: { kind: 'boolean', help: 'replace a run that lies in --out' },
  timeLimit: { kind: 'number', value: 'min', help: 'stop, saved, after this many minutes' },
  failures: {
    kind: 'number',
    value: 'N',
    help: 'show N development rows that it got wrong, in the manifest and the card, for all to read',
  },
  task: { kind: 'string', value: 'text', help: 'one line on what the prompt does, for its card' },
} as const

export type TrainFlags = Values<typeof FLAGS>

export const train: Command = command({
  name: 'train',
  summary: 'Train a soft prompt for a frozen T5 on rows of your own.',
  flags: FLAGS,
  groups: {
    Model: ['model', 'revision', 'baseId'],
    Data: ['data', 'dataset', 'config', 'split', 'tasks', 'preset', 'template', 'target', 'labelMap', 'labels', 'maxInput', 'maxTarget'],
    Evaluation: ['dev', 'devSplit', 'holdOut', 'evalEvery', 'patience', 'generate', 'failures'],
    Prompt: ['length', 'init', 'initText'],
    Optimisation: [
      'quick',
      'steps',
      'batch',
      'accumulate',
      'lr',
      'schedule',
      'warmup',
      'optimizer',
      'weightDecay',
      'stepOffset',
      'clip',
      'zLoss',
      'dropout',
      'buckets',
      'seed',
      'seeds',
    ],
    Run: ['engine', 'device', 'threads', 'lowMemory', 'timeLimit', 'resume'],
    Output: ['out', 'overwrite', 'task'],
  },
  examples: [
    'soft-prompts train --model ./t5 --data reviews.jsonl --hold-out 200 --out my-prompt --quick',
    'soft-prompts train --model google-t5/t5-small --data reviews.jsonl --dev dev.jsonl --out my-prompt',
    'soft-prompts train --model google/t5-base-lm-adapt --dataset nyu-mll/glue --config sst2 --dev-split validation --preset sst2 --out sst2',
    'soft-prompts train --model ./t5 --data mail.csv --template "subject: {subject} text: {body}" --target folder --out mail',
    'soft-prompts train --resume --out my-prompt',
    'soft-prompts train --resume --out my-prompt --steps 60000',
    'soft-prompts train --model ./t5 --data reviews.jsonl --hold-out 200 --out five --seeds 5',
    'soft-prompts train --model ./t5 --tasks tasks.json --out prompts --quick',
  ],
  run: async (_, flags, out) => {
    const { drainTraining, trainPrompt } = await import('../adapters/compose/train.ts')
    const { stopOnSignals } = await import('./cli/signals.ts')
    const { trainingOptions } = await import('./cli/training-options.ts')
    const { trainingView } = await import('./cli/training-view.ts')
    const { explainResume, keptModel, resumeCommand } = await import('./cli/train-command.ts')
    const { transferView } = await import('./cli/transfer.ts')
    let started = false
    const download = transferView(out, 'base model')
    const digest = transferView(out, 'reading the base model')
    const view = trainingView(out, { ...flags, model: flags.model ?? (await keptModel(flags.out)) })
    const stop = stopOnSignals(() =>
      view.note(`Stopping${started ? ' after this step; the best prompt so far is written' : ''}. A second time ends at once.`),
    )
    const show = (event: TrainPromptEvent): void => {
      if (event.type === 'digesting') return digest.onProgress(event)
      if (!started) for (const each of [download, digest]) void each.stop()
      started = true
      view.show(event)
    }
    try {
      const options = await trainingOptions(flags, stop.signal)
      const result = await drainTraining(trainPrompt({ ...options, onDownload: download.onProgress }), show)
      view.finish(result)
      const isCut = stop.signal.aborted || (result.runs ?? [result]).some(({ reason }) => reason === 'time')
      if (isCut) out.line(`saved; to go on:\n  ${await resumeCommand(flags.out)}`)
    } catch (error) {
      if (!stop.isStop(error)) throw await explainResume(error, flags)
      out.note(`Stopped before the first step; ${flags.resume ? 'the run is as it was' : 'nothing was trained'}.`)
    } finally {
      for (const each of [download, digest]) await each.stop()
      view.stop()
      stop.end()
    }
  },
})
