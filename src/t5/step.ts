/** The training step as one graph: T5 forward, cross entropy, gradients to the prompts only (DESIGN: method of arXiv 2104.08691). */
import { ConfigError, ShapeError } from '../errors.ts'
import { createBuilder, type Builder } from '../graph/builder.ts'
import { times } from '../graph/dims.ts'
import { gradients } from '../graph/gradients.ts'
import type { Graph, Value } from '../graph/ir.ts'
import { apply, cast, greater, reduceSum, reshape, scale } from '../graph/ops.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import { areShort, head } from './blocks.ts'
import type { T5Config } from './config.ts'
import { dropout } from './dropout.ts'
import { packRows } from './layout.ts'
import { positionBuckets } from './positions.ts'
import { decoderStack, embedPrompted, encoderStack } from './stacks.ts'

/** Labels with this value are no tokens. */
export const IGNORED: bigint = -100n

/** Gradients are this much larger on their way, so that in F16 they do not vanish; a power of 2, so that in F32 no bit changes. */
const GRADIENT_SCALE = 2 ** 10

export interface StepOptions {
  /** Leave the gradients out: the loss of a development set costs a third. */
  readonly lossOnly?: boolean
  /** Longest target of a usual batch, in tokens: short ones (the default) are computed another way. Any length runs. */
  readonly targetTokens?: number
  /** Weight of the squared log of the softmax's sum, added to each token's loss. Default 0. */
  readonly zLoss?: number
  /** Share of activations dropped at each of T5's places; the masks are fed (`dropoutFeeds`). Default 0: none, and none fed. */
  readonly dropout?: number
  /** Weights, by PyTorch name (`shared.weight` for embeddings, and for a tied head), that are trained too: each is fed under its name, and its gradient returned as `gradient_NAME`. */
  readonly trainables?: readonly string[]
}

/** One batch, as the caller has it. */
export interface StepBatch {
  readonly inputIds: Tensor<'I64'> // [B, T]
  readonly attentionMask: Tensor<'I64'> // [B, T]
  readonly labels: Tensor<'I64'> // [B, U], -100 = ignored
  /** Weight of each row's summed loss in the gradient: 1 / tokens of the batch gives the mean. */
  readonly rowWeight: Tensor<'F32'> // [B]
  readonly prompts: Tensor<'F32'> // [K, P, D]
  /** Which prompt each row trains. */
  readonly promptIndex: Tensor<'I64'> // [B]
}

/**
 * Builds the step. Inputs are those of `stepFeeds`; outputs are `row_loss` [B], the summed loss of the row's tokens,
 * `row_tokens` [B], their number, and `gradient_prompts` [K, P, D], d(Σ row_weight·row_loss) / d prompts.
 * @throws {ConfigError} `step-trainable` for a weight that the step does not use
 */
export function buildStep(config: T5Config, options: StepOptions = {}): Graph {
  const { trainables = [], dropout: rate = 0 } = options
  const frozen = createBuilder('soft_prompt_step')
  const fed = new Map<string, Value>()
  const g: Builder = {
    ...frozen,
    weight: (names, shape) => {
      const name = typeof names === 'string' ? names : (names[0] as string)
      if (!trainables.includes(name)) return frozen.weight(names, shape)
      const value = fed.get(name) ?? frozen.input(name, 'F32', shape)
      fed.set(name, value)
      return value
    },
  }
  const short = { g, config, shortTargets: areShort(config, options.targetTokens ?? 1) }
  const context = rate > 0 ? { ...short, drop: dropout(g, rate) } : short
  const labels = g.input('labels', 'I64', ['B', 'U'])
  const decoderIds = g.input('decoder_input_ids', 'I64', ['B', 'U'])
  const rowWeight = g.input('row_weight', 'F32', ['B'])
  const encoderBuckets = g.input('encoder_buckets', 'I64', ['S', 'S'])
  const decoderBuckets = g.input('decoder_buckets', 'I64', ['U', 'U'])

  const embedded = embedPrompted(context)
  const memory = { ...embedded, hidden: encoderStack(context, embedded, encoderBuckets) }
  const logits = head(context, decoderStack(context, decoderIds, decoderBuckets, memory)) // [B·U, V]
  const flatLabels = reshape(g, labels, [times('B', 'U')])
  const tokenLoss = apply(g, 'CrossEntropy', [logits, flatLabels], { zLoss: options.zLoss ?? 0 })
  const rowLoss = reduceSum(g, reshape(g, tokenLoss, ['B', 'U']), [1], false)
  const isToken = cast(g, greater(g, labels, g.constant(tensor('I64', [], BigInt64Array.of(-1n)))), 'F32')
  const outputs = { row_loss: rowLoss, row_tokens: reduceSum(g, isToken, [1], false) }
  if (options.lossOnly) return g.finish(outputs)
  const missing = trainables.find((name) => !fed.has(name))
  if (missing !== undefined) {
    throw new ConfigError('step-trainable', `The step has no weight ${missing} to train.`, { facts: { name: missing } })
  }
  const weights = trainables.map((name) => fed.get(name) as Value)
  const scaled = gradients(g, rowLoss, scale(g, rowWeight, GRADIENT_SCALE), [embedded.parts.prompts, ...weights])
  const [gradient, ...more] = scaled.map((each) => scale(g, each, 1 / GRADIENT_SCALE))
  const named = trainables.map((name, index) => [`gradient_${name}`, more[index] as Value] as const)
  return g.finish({ ...outputs, gradient_prompts: gradient as Value, ...Object.fromEntries(named) })
}

/**
 * All feeds of the step: the batch, the decoder's input (labels shifted right) and the position buckets.
 * @throws {ShapeError} `step-batch` when the batch's axes disagree
 */
export function stepFeeds(config: T5Config, batch: StepBatch): Record<string, Tensor> {
  const [rows = 0, tokens = 0] = batch.inputIds.shape
  const targets = batch.labels.shape[1] ?? 0
  const [prompts = 0, length = 0] = batch.prompts.shape
  const expected: Record<keyof StepBatch, readonly number[]> = {
    inputIds: [rows, tokens],
    attentionMask: [rows, tokens],
    labels: [rows, targets],
    rowWeight: [rows],
    prompts: [prompts, length, config.width],
    promptIndex: [rows],
  }
  for (const [name, shape] of Object.entries(expected)) {
    const got = batch[name as keyof StepBatch].shape
    if (shape.join() !== got.join() || shape.includes(0)) {
      throw new ShapeError('step-batch', `${name} of a batch is [${got.join(', ')}], expected [${shape.join(', ')}] with no empty axis.`, {
        facts: { name, expected: shape, got },
      })
    }
  }
  const positions = length + tokens
  return {
    ...packRows(config, batch.inputIds, batch.attentionMask, tensor('I64', [rows, length], new BigInt64Array(rows * length).fill(1n))),
    labels: batch.labels,
    decoder_input_ids: shiftRight(config, batch.labels),
    row_weight: batch.rowWeight,
    prompts: batch.prompts,
    prompt_index: batch.promptIndex,
    encoder_buckets: positionBuckets(positions, positions, config, true),
    decoder_buckets: positionBuckets(targets, targets, config, false),
  }
}

/** Labels [B, U] as the decoder's input: the start token, then all but the last; ignored ones become padding. */
export function shiftRight(config: T5Config, labels: Tensor<'I64'>): Tensor<'I64'> {
  const targets = labels.shape[1] ?? 0
  const data = labels.data.map((_, index) => {
    if (index % targets === 0) return BigInt(config.startId)
    const before = labels.data[index - 1] as bigint
    return before < 0n ? BigInt(config.padId) : before
  })
  return tensor('I64', labels.shape, data)
}
