/** Trains a prompt from a base model and data files into a folder: the library's `train`. */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeExamples, labelsOf, type EncodedExample } from '../../src/data/examples.ts'
import { holdOut } from '../../src/data/split.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import { ConfigError } from '../../src/errors.ts'
import { initialise } from '../../src/prompt/initialise.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { buildStep } from '../../src/t5/step.ts'
import { adviseBase, adviseLabels } from '../../src/train/advice.ts'
import { usualTargets } from '../../src/train/batches.ts'
import { checkResume } from '../../src/train/checkpoint.ts'
import { evaluate } from '../../src/train/evaluate.ts'
import type { FinishReason, TrainEvent } from '../../src/train/events.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import type { Evaluation } from '../../src/train/loop.ts'
import { makeRecipe, type TrainRecipe } from '../../src/train/recipe.ts'
import type { RunIdentity } from '../../src/train/state.ts'
import { trainTogether } from '../../src/train/together.ts'
import { LOG_FILE } from '../artifact/artifact.ts'
import { writePromptFolder } from '../artifact/folder.ts'
import { writeCard } from './card.ts'
import { gatherEvidence } from './evidence.ts'
import { openBase, type Base } from './open-base.ts'
import { openData, type Data, type DataOptions, type DataSource } from './data.ts'
import { openEngine, type OpenEngineOptions } from './open-engine.ts'
import { openPrompt } from './open-prompt.ts'
import { openRunFolder } from './run-folder.ts'
import { finishedPrompt, initTextOf, manifestOf } from './trained-prompt.ts'
import { baseModel } from './base-model.ts'

export interface TrainPromptOptions extends DataOptions, OpenEngineOptions {
  /** Base model: folder, or Hub id in the Hub cache. */
  readonly model: string
  readonly revision?: string
  /** Rows to train on: a file, or a split of a Hub dataset. */
  readonly data: DataSource
  /** Development rows; without them the last step is kept. */
  readonly dev?: DataSource
  /** Folder of the artifact and the run's checkpoint. */
  readonly out: string
  /** Prompts trained together, of the recipe's seed and those that follow it; each gets a folder `seed-…` in `out`. Default 1, in `out` itself. */
  readonly seeds?: number
  /** What differs from the paper's recipe. */
  readonly recipe?: Readonly<Partial<Record<keyof TrainRecipe, unknown>>>
  /** Label words; default: the answers of the data, where they repeat. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  /** Words to begin from, with `init: 'text'`. */
  readonly initText?: string
  /** Prompt to begin from, with `init: 'prompt'`. */
  readonly initPrompt?: string
  /** One line on what the prompt does. */
  readonly task?: string
  readonly resume?: boolean
  readonly overwrite?: boolean
  readonly timeLimitMs?: number
  readonly checkpointMs?: number
  readonly signal?: AbortSignal
  readonly createdBy?: string
  /** Development rows answered wrongly that go into the manifest and the card, for all to read. Default 0: rows may be private. */
  readonly failures?: number
}

/** Where several prompts train together, `seed` says whose event it is. */
export type TrainPromptEvent =
  | (TrainEvent & { readonly seed?: number })
  | {
      readonly type: 'prepared'
      readonly base: string
      readonly rows: number
      readonly devRows: number
      readonly labels: readonly string[] | undefined
      readonly truncatedInputs: number
      readonly truncatedTargets: number
      readonly recipe: TrainRecipe
      readonly seeds: number
      /** The step the run goes on from. */
      readonly resumedAt: number
    }
  | { readonly type: 'written'; readonly dir: string; readonly seed?: number }

export interface TrainPromptResult {
  readonly reason: FinishReason
  readonly step: number
  /** Absent where the run was stopped before its end: its checkpoint is there, the artifact is not. */
  readonly prompt?: SoftPrompt
  readonly bestStep?: number
  readonly metrics?: readonly Metric[]
  /** Where several prompts trained together: each of them; the fields above are those of the best. */
  readonly runs?: readonly (TrainPromptResult & { readonly seed: number; readonly dir: string })[]
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/**
 * Trains and writes a soft prompt. Yields progress; returns the result.
 * @throws {ConfigError} `recipe-*`, `out-not-empty`, `base-missing`, `training-diverged`
 * @throws {MismatchError} `resume-mismatch`
 * @throws {DataError} for rows that cannot be used
 */
export async function* trainPrompt(options: TrainPromptOptions): AsyncGenerator<TrainPromptEvent, TrainPromptResult> {
  const [engine, base, whole, given] = await Promise.all([
    openEngine(options),
    openBase(options.model, options.revision === undefined ? {} : { revision: options.revision }),
    openData(options.data, options),
    options.dev === undefined ? undefined : openData(options.dev, options),
  ])
  const labels = options.labels === false ? undefined : (options.labels ?? labelsOf(whole.examples))
  // Label words are the best beginning where there are any (paper, figure 3b); free text has none.
  const recipe = makeRecipe({ ...options.recipe, init: options.recipe?.init ?? (labels ? 'labels' : 'vocab'), engine: engine.name })
  const { data, dev } = split(whole, given, recipe)
  const limits = { maxInput: recipe.maxInputTokens, maxTarget: recipe.maxTargetTokens }
  const encoded = encodeExamples(data.examples, base.tokenizer, limits)
  const described = await baseModel(base)
  const { seeds = 1 } = options
  if (!Number.isSafeInteger(seeds) || seeds < 1) {
    throw new ConfigError('train-seeds', `The number of seeds must be a whole number of at least 1, got ${seeds}.`, {
      facts: { got: seeds },
    })
  }
  const lanes = await Promise.all(
    Array.from({ length: seeds }, async (_, index) => {
      const own = { ...recipe, seed: recipe.seed + index }
      const initial = await initialPrompt(options, own, base, labels)
      const identity: RunIdentity = {
        recipe: own,
        data: data.sha256,
        ...(dev ? { dev: dev.sha256 } : {}),
        base: sha256(JSON.stringify(described.fingerprint ?? described.id)),
        start: sha256(bytesOf(initial)),
      }
      return { identity, initial, seed: own.seed, dir: seeds === 1 ? options.out : join(options.out, `seed-${own.seed}`) }
    }),
  )
  const folder = await openRunFolder(options.out, seeds, options)
  for (const [index, saved] of (folder.saved ?? []).entries())
    checkResume(saved.identity, (lanes[index] as (typeof lanes)[number]).identity)
  yield {
    type: 'prepared',
    base: base.id,
    rows: data.examples.length,
    devRows: dev?.examples.length ?? 0,
    labels,
    truncatedInputs: encoded.truncatedInputs,
    truncatedTargets: encoded.truncatedTargets,
    recipe,
    seeds,
    resumedAt: folder.saved?.[0]?.step ?? 0,
  }
  const devTargets = dev?.examples.map(({ target }) => target)
  for (const advice of [...adviseBase(base.id, base.config.width), ...(labels ? adviseLabels(labels, base.tokenizer, devTargets) : [])]) {
    yield { type: 'warning', step: 0, ...advice }
  }

  const targetTokens = usualTargets(encoded.examples, recipe)
  const program = await engine.load(buildStep(base.config, { targetTokens, zLoss: recipe.zLoss }), base.weights)
  let model: Promise<Seq2Seq> | undefined
  const devRows = dev && withTargets(dev, encodeExamples(dev.examples, base.tokenizer, limits).examples)
  const seq2seq = (): Promise<Seq2Seq> => (model ??= emittedSeq2Seq(engine, base.config, base.weights))
  const evaluateAt = async (prompt: Float32Array, step: number): Promise<Evaluation> => {
    const { metrics, warnings } = await evaluate(
      {
        model: await seq2seq(),
        tokenizer: base.tokenizer,
        startId: base.config.startId,
        rows: devRows ?? [],
        ...(labels ? { labels } : {}),
        split: 'dev',
        maxNewTokens: recipe.maxTargetTokens,
        ...(options.signal ? { signal: options.signal } : {}),
      },
      { data: prompt, width: base.config.width },
    )
    return { metrics: metrics.map((metric) => Object.assign(metric, { step })), warnings }
  }
  try {
    const runs: NonNullable<TrainPromptResult['runs']>[number][] = []
    const events = trainTogether({
      lanes: lanes.map(({ identity, initial }, index) => ({
        identity,
        initial,
        ...(folder.saved?.[index] ? { resume: folder.saved[index] } : {}),
      })),
      examples: encoded.examples,
      padId: base.tokenizer.padId,
      step: gradientStep(program, base.config),
      now: () => performance.now(),
      ...(devRows ? { evaluate: evaluateAt } : {}),
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
      const { dir, seed, identity } = lanes[lane] as (typeof lanes)[number]
      if (event.type === 'log') await folder.log(lane, event.line)
      const whose = seeds === 1 ? {} : { seed }
      yield { ...event, ...whose }
      if (event.type !== 'finished') continue
      const { reason, state } = event
      if (reason === 'aborted') {
        runs.push({ seed, dir, reason, step: state.step })
        continue
      }
      const found = await gatherEvidence({
        base,
        prompt: state.best?.prompt ?? state.prompt,
        ...(devRows ? { rows: devRows } : {}),
        trained: data.examples.map(({ target }) => target),
        ...(labels ? { labels } : {}),
        maxNewTokens: recipe.maxTargetTokens,
        failures: options.failures ?? 0,
        model: seq2seq,
      })
      const facts = { ...manifestOf(options, identity.recipe, data, given, labels), base: described }
      const prompt = finishedPrompt(state, base, facts, found)
      await mkdir(dir, { recursive: true })
      await folder.publishLog(lane, join(dir, LOG_FILE))
      await writePromptFolder(prompt, dir, { log: LOG_FILE, heads: base.config.heads, layers: base.config.encoderLayers })
      await writeCard(dir)
      yield { type: 'written', dir, ...whose }
      const { bestStep, metrics } = prompt.manifest
      runs.push({
        seed,
        dir,
        reason,
        step: state.step,
        prompt,
        ...(bestStep === undefined ? {} : { bestStep }),
        ...(metrics ? { metrics } : {}),
      })
    }
    const [best] = runs.toSorted((a, b) => (figure(b) > figure(a) ? 1 : figure(b) < figure(a) ? -1 : 0) || a.seed - b.seed)
    if (best) {
      const { seed: _, dir: __, ...result } = best
      return seeds === 1 ? result : { ...result, runs: runs.toSorted((a, b) => a.seed - b.seed) }
    }
    throw new ConfigError('training-unfinished', 'The training loop ended without saying why.')
  } finally {
    await program.dispose()
    await (await model)?.dispose()
  }
}

const figure = ({ metrics }: TrainPromptResult): number => metrics?.[0]?.value ?? -Infinity

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

/** The rows to train and to evaluate on; both digests name the file they come from, the recipe says how it was split. */
function split(whole: Data, given: Data | undefined, { holdOut: count, seed }: TrainRecipe): { data: Data; dev: Data | undefined } {
  if (given !== undefined || count === 0) return { data: whole, dev: given }
  const { rest, held } = holdOut(whole.examples, count, seed)
  return { data: { ...whole, examples: rest }, dev: { ...whole, examples: held } }
}

const withTargets = (
  { examples }: Data,
  encoded: readonly EncodedExample[],
): (EncodedExample & { readonly target: string; readonly input: string })[] =>
  encoded.map(({ inputIds, targetIds }, index) => {
    const { input = '', target = '' } = examples[index] ?? {}
    return { inputIds, targetIds, input, target }
  })

async function initialPrompt(
  options: TrainPromptOptions,
  { init, length, seed }: TrainRecipe,
  base: Base,
  labels: readonly string[] = [],
): Promise<Float32Array> {
  const from = init === 'prompt' ? { prompt: (await openPrompt(options.initPrompt ?? '')).embeddings } : {}
  const texts = init === 'text' ? [initTextOf(options)] : labels
  const words = texts.map((text) => base.tokenizer.encode(text).slice(0, -1))
  return initialise({ kind: init, length, table: base.embeddingTable(), words, seed, ...from }).data
}
