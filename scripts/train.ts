/** `soft-prompts train`: trains a prompt for a frozen T5. */
import { command, type Command } from './cli/command.ts'
import type { TrainPromptEvent, TrainPromptOptions } from '../adapters/compose/train.ts'

const INITS = new Set(['labels', 'vocab', 'random', 'text'])

export const train: Command = command({
  name: 'train',
  summary: 'Train a soft prompt for a frozen T5 on rows of your own.',
  flags: {
    model: { kind: 'string', value: 'id|dir', help: 'base model: a folder, or a Hub id', required: true },
    revision: { kind: 'string', value: 'commit', help: 'commit or branch of the base model on the Hub' },
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
    devSplit: { kind: 'string', value: 'name', help: 'its split to evaluate on, as validation' },
    dev: { kind: 'string', value: 'file', help: 'development rows: the step that does best on them is kept' },
    holdOut: { kind: 'number', value: 'N', help: 'training rows kept apart to evaluate on, where there is no --dev' },
    out: { kind: 'string', value: 'dir', help: 'folder of the artifact and the checkpoint', required: true },
    preset: { kind: 'string', value: 'task', help: "template, target and label words of a known task's rows: sst2, rte, squad, …" },
    template: { kind: 'string', value: 't', help: 'input text with {field} names (default {input})' },
    target: { kind: 'string', value: 'field', help: 'field with the answer (default target); answers.text.0 reaches inside' },
    labelMap: { kind: 'string', value: 'json', help: 'raw answer to label word, as {"0": "negative", "1": "positive"}' },
    labels: { kind: 'strings', value: 'word', help: 'label words (default: the answers, where they repeat)' },
    generate: { kind: 'boolean', help: 'evaluate by generated text even where the answers look like labels' },
    length: { kind: 'number', value: 'P', help: 'virtual tokens (default 100; 20 is nearly as good and faster)' },
    quick: { kind: 'boolean', help: 'a recipe for a CPU: length 20, 1000 steps of 16, a rate that falls to 0; other flags change it' },
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
      help: "adafactor (the paper's, default), adamw or sgd",
      choices: ['adafactor', 'adamw', 'sgd'],
    },
    schedule: { kind: 'string', value: 'name', help: 'constant (default), linear or cosine', choices: ['constant', 'linear', 'cosine'] },
    warmup: { kind: 'number', value: 'N', help: 'steps over which the rate rises (default 0)' },
    weightDecay: { kind: 'number', value: 'X', help: 'weight decay (default 1e-5)' },
    stepOffset: { kind: 'number', value: 'N', help: 'steps Adafactor counts before the first (default 1100000, as the paper ran it)' },
    clip: { kind: 'number', value: 'X', help: 'largest norm of the gradient (default: none)' },
    seed: { kind: 'number', value: 'N', help: 'seed of the order and the initial prompt (default 0)' },
    seeds: {
      kind: 'number',
      value: 'K',
      help: 'prompts trained together, of this seed and the next, for an ensemble: one folder each in --out',
    },
    zLoss: { kind: 'number', value: 'X', help: "weight of T5X's z-loss (default 0; T5X trained with 1e-4)" },
    dropout: { kind: 'number', value: 'X', help: "share of activations dropped at each of T5's places (default 0; the paper's demo: 0.1)" },
    evalEvery: { kind: 'number', value: 'N', help: 'steps between evaluations (default 1000)' },
    patience: { kind: 'number', value: 'N', help: 'evaluations without a better one before the run ends (default: never)' },
    maxInput: { kind: 'number', value: 'T', help: 'input tokens kept (default 512)' },
    maxTarget: { kind: 'number', value: 'U', help: 'target tokens kept (default 128)' },
    buckets: { kind: 'boolean', help: 'batch rows of like length together: less padding and faster steps, in an order less random' },
    engine: { kind: 'string', value: 'name', help: 'what runs the graph', choices: ['onnxruntime', 'tfjs'], default: 'onnxruntime' },
    device: { kind: 'string', value: 'd', help: 'cpu (default), webgpu, cuda, dml, coreml or auto; of tfjs: auto (default), cuda or cpu' },
    threads: { kind: 'number', value: 'N', help: 'threads (default: all cores)' },
    lowMemory: {
      kind: 'boolean',
      help: 'map the weights instead of packing them, and run each batch a few rows at a time: less than half of the memory, slower',
    },
    resume: { kind: 'boolean', help: 'go on from the checkpoint in --out, where there is one' },
    overwrite: { kind: 'boolean', help: 'replace a run that lies in --out' },
    timeLimit: { kind: 'number', value: 'min', help: 'stop, saved, after this many minutes' },
    failures: {
      kind: 'number',
      value: 'N',
      help: 'show N development rows that it got wrong, in the manifest and the card, for all to read',
    },
    task: { kind: 'string', value: 'text', help: 'one line on what the prompt does, for its card' },
  },
  examples: [
    'soft-prompts train --model google-t5/t5-small --data reviews.jsonl --dev dev.jsonl --out my-prompt',
    'soft-prompts train --model ./t5 --data reviews.jsonl --hold-out 200 --out my-prompt --quick',
    'soft-prompts train --model google/t5-base-lm-adapt --dataset nyu-mll/glue --config sst2 --dev-split validation --preset sst2 --out sst2',
    'soft-prompts train --model ./t5 --data mail.csv --template "subject: {subject} text: {body}" --target folder --out mail',
    'soft-prompts train --model ./t5 --data reviews.jsonl --out my-prompt --steps 60000 --resume',
    'soft-prompts train --model ./t5 --data reviews.jsonl --hold-out 200 --out five --seeds 5',
    'soft-prompts train --model ./t5 --tasks tasks.json --out prompts --quick',
  ],
  run: async (_, flags, out) => {
    const { drainTraining, trainPrompt } = await import('../adapters/compose/train.ts')
    const { ConfigError } = await import('../src/errors.ts')
    const { presetOf } = await import('../src/data/presets.ts')
    const { QUICK } = await import('../src/train/recipe.ts')
    const { trainingView } = await import('./cli/training-view.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const { labelMap, labels, init, preset, data, dev, tasks, dataset, config, split, devSplit, ...rest } = flags
    const fromPrompt = init !== undefined && !INITS.has(init)
    let map: Record<string, string> | undefined
    try {
      map = labelMap === undefined ? undefined : (JSON.parse(labelMap) as Record<string, string>)
    } catch (cause) {
      throw new ConfigError(
        'label-map',
        `--label-map is not JSON: ${(cause as Error).message}. Write {"0": "negative", "1": "positive"}.`,
        { cause },
      )
    }
    const recipe = {
      length: flags.length,
      init: fromPrompt ? 'prompt' : init,
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
    if ([data, dataset, tasks].filter((each) => each !== undefined).length !== 1) {
      throw new ConfigError('data-none', 'Name the rows to train on: either --data FILE, --dataset owner/name or --tasks FILE.')
    }
    if (dataset === undefined && (config ?? devSplit) !== undefined) {
      throw new ConfigError('data-none', '--config and --dev-split are parts of a --dataset. Name it, or give files by --data and --dev.')
    }
    const evaluates = [dev, devSplit, tasks, flags.holdOut].some((each) => each !== undefined)
    const idle = (['patience', 'failures'] as const).find((name) => flags[name])
    if (!evaluates && idle !== undefined) {
      throw new ConfigError(
        'dev-none',
        `--${idle} is about evaluations, and there are no rows for them. Name some by --dev FILE (or --dev-split NAME of a --dataset), or keep some apart by --hold-out N.`,
      )
    }
    const stop = new AbortController()
    const ofDataset = (name: string): object => ({ repo: dataset, split: name, signal: stop.signal, ...said({ config }) })
    let started = false
    const interrupt = (): void => {
      if (started) out.note('Stopping after this step; the run can go on with --resume.')
      stop.abort()
    }
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
    const download = transferView(out, 'base model')
    const view = trainingView(out, flags.out, flags.resume)
    const show = (event: TrainPromptEvent): void => {
      if (!started) void download.stop()
      started = true
      view.show(event)
    }
    try {
      const task = preset === undefined ? {} : presetOf(preset)
      const options = said({
        ...task,
        ...said(rest),
        ...said({ labelMap: map }),
        data: data ?? (dataset === undefined ? undefined : ofDataset(split)),
        tasks: tasks === undefined ? undefined : await (await import('../adapters/compose/read-tasks.ts')).readTasks(tasks),
        dev: dev ?? (dataset === undefined || devSplit === undefined ? undefined : ofDataset(devSplit)),
        recipe: flags.quick ? { ...QUICK, ...said(recipe) } : recipe,
        labels: flags.generate ? false : labels,
        initPrompt: fromPrompt ? init : undefined,
        memory: flags.lowMemory ? 'low' : undefined,
        timeLimitMs: flags.timeLimit === undefined ? undefined : flags.timeLimit * 60_000,
        signal: stop.signal,
        onDownload: download.onProgress,
      }) as unknown as TrainPromptOptions
      view.finish(await drainTraining(trainPrompt(options), show))
    } finally {
      await download.stop()
      view.stop()
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
    }
  },
})

/** Leaves out what was not said. */
const said = (options: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
