/** Training in a page: base model, rows and runtime are the page's; nothing of Node's. The entry point `soft-prompts/browser-train`. */
import { digestRows } from '../../src/data/digest.ts'
import { encodeExamples, labelsOf, toExamples, type EncodedExample, type Example } from '../../src/data/examples.ts'
import { holdOut } from '../../src/data/split.ts'
import { DEFAULT_TEMPLATE, fillTemplate, parseTemplate } from '../../src/data/template.ts'
import { answerRows, type RowAnswer } from '../../src/decode/answer.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import { ConfigError } from '../../src/errors.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { fingerprintOf } from '../../src/prompt/fingerprint.ts'
import { initialise } from '../../src/prompt/initialise.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { finalNormWeight } from '../../src/t5/names.ts'
import { buildStep } from '../../src/t5/step.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { usualTargets } from '../../src/train/batches.ts'
import { adviseData } from '../../src/train/data-advice.ts'
import { evaluate, wrongRows } from '../../src/train/evaluate.ts'
import type { FinishReason, TrainEvent } from '../../src/train/events.ts'
import { gradientStep } from '../../src/train/gradient-step.ts'
import { trainLoop } from '../../src/train/loop.ts'
import { makeRecipe, type RecipeChoices } from '../../src/train/recipe.ts'
import { formatArtifact } from '../artifact/artifact.ts'
import { formatBundle } from '../tar/format.ts'
import { floatsOf, type BrowserBase } from './browser-base.ts'
import { layerFacts } from './layer-facts.ts'
import { webSha256 } from './browser-prompt.ts'

export type { RowAnswer } from '../../src/decode/answer.ts'
export type { RecipeChoices } from '../../src/train/recipe.ts'
export { fetchBase, openBase, type BaseFiles, type BrowserBase } from './browser-base.ts'
export { createEngine, type EngineOptions, type OnnxRuntime } from '../onnxruntime/engine.ts'

export interface BrowserTrainOptions {
  readonly base: BrowserBase
  /** `createEngine(ort, { device: 'wasm' })`, or `webgpu` where the browser has it. */
  readonly engine: Engine
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly template?: string
  /** The field with the answer; default `target`. */
  readonly target?: string
  /** What differs from the paper's recipe; `holdOut` rows are kept apart to evaluate on. */
  readonly recipe?: RecipeChoices
  /** Label words; default: the answers of the rows, where they repeat. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  readonly task?: string
  readonly signal?: AbortSignal
}

export interface BrowserTrained {
  readonly reason: FinishReason
  /** The best evaluated step's, or the last step's. A run that was stopped has one too. */
  readonly prompt: SoftPrompt
}

/**
 * Trains a prompt. Yields the events of training; a page that shows them should let the browser draw in between.
 * @throws {DataError} for rows that cannot be used; {ConfigError} `recipe-*` | `training-diverged`
 */
export async function* trainPrompt(options: BrowserTrainOptions): AsyncGenerator<TrainEvent, BrowserTrained> {
  const { base, engine, signal, task } = options
  const { config, weights, tokenizer } = base
  const { template = DEFAULT_TEMPLATE, target = 'target' } = options
  const given = options.rows.map((fields, index) => ({ fields, where: `row ${index + 1}` }))
  const parsed = parseTemplate(template)
  const all = toExamples(given, { template: parsed, target })
  const labels = options.labels === false ? undefined : (options.labels ?? labelsOf(all))
  const recipe = makeRecipe({ ...options.recipe, init: options.recipe?.init ?? (labels ? 'labels' : 'vocab'), engine: engine.name })
  if (recipe.init === 'text' || recipe.init === 'prompt') {
    throw new ConfigError('recipe-value', `The recipe's init must be labels, vocab or random in a page, got "${recipe.init}".`)
  }
  const { rest, held } = recipe.holdOut === 0 ? { rest: all, held: [] } : holdOut(all, recipe.holdOut, recipe.seed)
  const encode = (examples: readonly Example[]): readonly EncodedExample[] =>
    encodeExamples(examples, tokenizer, { maxInput: recipe.maxInputTokens, maxTarget: recipe.maxTargetTokens }).examples
  const examples = encode(rest)
  const rows = encode(held).map((row, index) =>
    Object.assign({}, row, { target: held[index]?.target ?? '', input: held[index]?.input ?? '' }),
  )
  const words = labels?.map((label) => tokenizer.encode(label).slice(0, -1)) ?? []
  const initial = initialise({
    kind: recipe.init as 'labels',
    length: recipe.length,
    table: base.embeddingTable(),
    words,
    seed: recipe.seed,
  }).data
  const described = await describe(base)
  const data = await digestRows(rest, webSha256)
  const identity = { recipe, data, base: await digest(JSON.stringify(described)), start: await webSha256(bytesOf(initial)) }

  for (const advice of adviseData(rest, held, parsed.frame)) yield { type: 'warning', step: 0, ...advice }

  const { zLoss, dropout: rate } = recipe
  const graph = buildStep(config, { targetTokens: usualTargets(examples, recipe), zLoss, dropout: rate })
  const program = await engine.load(graph, weights)
  const step = gradientStep(program, config, rate > 0 ? { dropout: { graph, rate } } : {})
  let model: Promise<Seq2Seq> | undefined
  try {
    const events = trainLoop({
      identity,
      initial,
      examples,
      padId: tokenizer.padId,
      now: () => performance.now(),
      ...(signal ? { signal } : {}),
      step: (batch, prompt) => step(batch, [prompt]),
      ...(rows.length === 0
        ? {}
        : {
            evaluate: async (prompt: Float32Array, at: number) => {
              model ??= emittedSeq2Seq(engine, config, weights)
              const asked = {
                model: await model,
                tokenizer,
                startId: config.startId,
                rows,
                split: 'dev',
                ...(labels ? { labels } : {}),
                ...(signal ? { signal } : {}),
              }
              const { metrics, warnings, predictions } = await evaluate(
                { ...asked, maxNewTokens: recipe.maxTargetTokens },
                { data: prompt, width: config.width },
              )
              const [wrong] = wrongRows(rows, predictions, 1)
              return { metrics: metrics.map((metric) => Object.assign(metric, { step: at })), warnings, ...(wrong ? { wrong } : {}) }
            },
            evaluationRows: rows.length,
          }),
    })
    for await (const event of events) {
      yield event
      if (event.type !== 'finished') continue
      const { state, reason } = event
      const best = state.best ?? { prompt: state.prompt, step: state.step, metrics: undefined }
      const manifest = {
        base: described,
        template,
        ...(task === undefined ? {} : { task }),
        ...(labels ? { labels } : {}),
        recipe: { ...recipe },
        data: { name: 'rows of a page', rows: rest.length, sha256: data },
        ...(held.length > 0 ? { dev: { rows: held.length, sha256: await digestRows(held, webSha256) } } : {}),
        bestStep: best.step,
        ...(best.metrics ? { metrics: best.metrics } : {}),
      }
      return { reason, prompt: softPrompt(tensor('F32', [recipe.length, config.width], best.prompt), manifest) }
    }
    throw new ConfigError('training-unfinished', 'The training loop ended without saying why.')
  } finally {
    await program.dispose()
    await (await model)?.dispose()
  }
}

/** A base and its prompts in a page, to ask. */
export interface Answerer {
  /** The prompt's label words with their probabilities, or generated text where it has none; without a prompt, generated text. */
  answer(text: string, prompt?: SoftPrompt): Promise<RowAnswer>
  dispose(): Promise<void>
}

export async function openAnswerer({ config, tokenizer, weights }: BrowserBase, engine: Engine): Promise<Answerer> {
  const model = await emittedSeq2Seq(engine, config, weights)
  return {
    answer: async (text, prompt) => {
      const { labels, template = DEFAULT_TEMPLATE } = prompt?.manifest ?? {}
      const rows = [
        { inputIds: tokenizer.encode(fillTemplate(parseTemplate(template), text)), ...(prompt ? { prompt: prompt.embeddings } : {}) },
      ]
      const [answer] = await answerRows({ model, tokenizer, startId: config.startId, rows, ...(labels ? { labels } : {}) })
      return answer as RowAnswer
    },
    dispose: () => model.dispose(),
  }
}

/** The artifact as one file, a `.tar.gz` that every command opens. */
export async function bundlePrompt(prompt: SoftPrompt, { config }: Pick<BrowserBase, 'config'>): Promise<Uint8Array> {
  const files = await formatArtifact(prompt, { sha256: webSha256, heads: config.heads, layers: config.encoderLayers })
  return formatBundle(new Map([['', files]]))
}

const digest = async (text: string): Promise<string> => webSha256(new TextEncoder().encode(text))
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** Id and fingerprint of a base. */
async function describe(base: BrowserBase): Promise<BaseModel> {
  const { id, config, tokenizer } = base
  const norm = base.weights.get(finalNormWeight('encoder'))
  const facts = {
    table: base.embeddingTable(),
    encoderLayers: config.encoderLayers,
    decoderLayers: config.decoderLayers,
    pieces: tokenizer.pieces,
    ...(norm ? { finalNorm: floatsOf(norm) } : {}),
    layers: layerFacts(config, base.weights),
  }
  return { id, fingerprint: await fingerprintOf(facts, webSha256) }
}
