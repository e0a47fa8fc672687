/**
 * Training step: this library on onnxruntime's CPU against PyTorch + PEFT (bench/peers/peft_step.py), in turn, on the same random weights.
 *
 * npx tsc && node dist/bench/train-step.js --model small --batch 8 --input 64 --target 8 --prompt 100 --rounds 12
 * Needs .peers/bin/python with torch, transformers and peft (`--python PATH` for another). PEFT runs eager with sdpa, dropout 0.
 * Batches are cut as `train` cuts them, with `--memory low` as `train --low-memory` does.
 * `gemm_share`: the time that the step's matrix products would take at the rate of its largest one, run over and over in the same round, as a share of the step's.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-node'
import { createEngine } from '../adapters/onnxruntime/engine.ts'
import { openCheckpoint } from '../adapters/checkpoint/open-checkpoint.ts'
import { createBuilder } from '../src/graph/builder.ts'
import { evaluateDim } from '../src/graph/dims.ts'
import { apply, linear } from '../src/graph/ops.ts'
import { specialise } from '../src/graph/passes.ts'
import { symbolValues } from '../src/graph/symbols.ts'
import { parseT5Config } from '../src/t5/config.ts'
import { buildStep, stepFeeds } from '../src/t5/step.ts'
import { tensor, type Tensor } from '../src/tensor/tensor.ts'
import { adafactor } from '../src/train/adafactor.ts'
import { planMemory } from '../src/train/estimate.ts'
import { gradientStep } from '../src/train/gradient-step.ts'

const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value })
const { values: flags } = parseArgs({
  options: {
    model: text('small'),
    batch: text('8'),
    input: text('64'),
    target: text('8'),
    prompt: text('100'),
    rounds: text('12'),
    threads: text('2'),
    memory: text('fast'),
    python: text('.peers/bin/python'),
    alone: { type: 'boolean', default: false },
  },
})
const [batch, input, target, length, rounds, threads] = (['batch', 'input', 'target', 'prompt', 'rounds', 'threads'] as const).map((name) =>
  Number(flags[name]),
) as [number, number, number, number, number, number]

const folder = await mkdtemp(join(tmpdir(), 'train-step-'))
const asked = {
  model: flags.model,
  batch: flags.batch,
  input: flags.input,
  target: flags.target,
  prompt: flags.prompt,
  threads: flags.threads,
}
const given = Object.entries(asked).flatMap(([name, value]) => [`--${name}`, value])
const peer = spawn(resolve(flags.python), ['bench/peers/peft_step.py', ...given, '--write-weights', folder], {
  stdio: ['pipe', 'pipe', 'ignore'],
})
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
const answer = async (): Promise<{ ms?: number[]; rss_mb?: number }> => JSON.parse((await lines.next()).value as string)
await answer() // ready

const { config: json, weights } = await openCheckpoint(folder)
const config = parseT5Config(json)
const before = performance.now()
const engine = createEngine(ort, { threads, memory: flags.memory as 'fast' | 'low' })
const graph = buildStep(config, { targetTokens: target })
const program = await engine.load(graph, weights)
const loadMs = performance.now() - before

const random = (shape: readonly number[], most: number): Tensor<'I64'> =>
  tensor(
    'I64',
    shape,
    BigInt64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => BigInt(2 + Math.floor(Math.random() * most))),
  )
const prompts = Float32Array.from({ length: length * config.width }, () => Math.random() - 0.5)
const rows = {
  inputIds: random([batch, input], config.vocabSize - 2),
  attentionMask: tensor('I64', [batch, input], new BigInt64Array(batch * input).fill(1n)),
  labels: random([batch, target], config.vocabSize - 2),
  rowWeight: tensor('F32', [batch], new Float32Array(batch).fill(1 / (batch * target))),
  promptIndex: tensor('I64', [batch], new BigInt64Array(batch)),
}
const symbols = symbolValues(graph, stepFeeds(config, { ...rows, prompts: tensor('F32', [1, length, config.width], prompts) }))
const size = (shape: readonly (number | string)[]): number => shape.reduce<number>((product, dim) => product * evaluateDim(dim, symbols), 1)
/** Multiplications and additions of every product of the step. */
const operations = specialise(graph, engine.capabilities).nodes.reduce((sum, { op, inputs: [a], outputs: [y], attributes }) => {
  if ((op !== 'Gemm' && op !== 'MatMul') || !a || !y) return sum
  const inner = a.shape.at(op === 'Gemm' && attributes.transA ? 0 : -1) ?? 1
  return sum + 2 * size(y.shape) * size([inner])
}, 0)
const largestBatch = { rows: batch, inputTokens: input, targetTokens: target, tokens: batch * input }
const memory = flags.memory as 'fast' | 'low'
const { part } = planMemory(graph, weights, engine.capabilities, [largestBatch], { count: 1, length }, memory)
const gradients = gradientStep(program, config, { part })
const optimizer = adafactor({ stepOffset: 0, weightDecay: 1e-5 })
const state = optimizer.create(prompts.length)
const step = async (): Promise<void> => {
  const { gradient } = await gradients(rows, [prompts])
  optimizer.update(state, prompts, gradient, 0.3)
}
await step()

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number
const ours: number[] = []
const theirs: number[] = []
let theirRss = 0
for (let round = 0; round < rounds; round++) {
  const start = performance.now()
  await step()
  ours.push(performance.now() - start)
  if (flags.alone) continue
  peer.stdin.write('1\n')
  const { ms = [], rss_mb: rss = 0 } = await answer()
  theirs.push(ms[0] as number)
  theirRss = rss
}
peer.kill()

const rssMb = process.memoryUsage.rss() / 1e6

/** Products there and back through one matrix, so that what the runtime hands out is small beside the work. */
const PRODUCTS = 16
const product = createBuilder('product')
const inner = ['wi', 'wi_0'].map((name) => `encoder.block.0.layer.1.DenseReluDense.${name}.weight`)
const matrix = product.weight(inner, [config.innerWidth, config.width])
let y = product.input('x', 'F32', ['N', config.width])
for (let times = 0; times < PRODUCTS / 2; times++) {
  y = apply(product, 'Gemm', [linear(product, y, matrix), matrix], { transA: false, transB: false })
}
const largest = await engine.load(product.finish({ y }), weights)
const positions = batch * (length + input)
const x = tensor('F32', [positions, config.width], Float32Array.from({ length: positions * config.width }, Math.random))
/** Milliseconds that the step's products take at the rate of its largest. */
async function productsMs(): Promise<number> {
  const start = performance.now()
  await largest.run({ x })
  return ((performance.now() - start) * operations) / (PRODUCTS * 2 * positions * config.width * config.innerWidth)
}
await productsMs()
const shares: number[] = []
for (let round = 0; round < rounds; round++) {
  const start = performance.now()
  await step()
  const ms = performance.now() - start
  shares.push(Math.min(await productsMs(), await productsMs()) / ms)
}
await rm(folder, { recursive: true })

/** Median over the rounds, and its 95 % bootstrap interval. */
function summary(each: readonly number[]): { readonly middle: string; readonly interval: readonly string[] } {
  const resample = (): number => median(each.map(() => each[Math.floor(Math.random() * each.length)] as number))
  const spread = Array.from({ length: 2000 }, resample).toSorted((a, b) => a - b)
  return { middle: median(each).toFixed(2), interval: [spread[50], spread[1949]].map((value) => (value as number).toFixed(2)) }
}
const share = summary(shares)
const compared = (): Record<string, unknown> => {
  const ratio = summary(theirs.map((ms, round) => ms / (ours[round] as number)))
  return { peft_ms: Math.round(median(theirs)), peft_rss_mb: Math.round(theirRss), ratio: ratio.middle, interval: ratio.interval }
}
const result = {
  ...flags,
  load_ms: Math.round(loadMs),
  ours_ms: Math.round(median(ours)),
  gemm_share: share.middle,
  gemm_share_interval: share.interval,
  ours_rss_mb: Math.round(rssMb),
  ...(flags.alone ? {} : compared()),
}
process.stdout.write(`${JSON.stringify(result)}\n`)
