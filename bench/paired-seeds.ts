/**
 * Quality beside PEFT: both train a prompt of the same base on the same rows, from the same initial prompt and in the same batch order, once a seed
 * (bench/peers/peft_train.py), and are evaluated on the same development rows by label scoring.
 *
 * npx tsc && node dist/bench/paired-seeds.js --train sst2/train.jsonl --dev sst2/validation.jsonl [--seeds 5] [--first 0] [--steps 600]
 * Prints one JSON line a seed, with the largest difference of the first 20 losses, then the mean difference (ours − PEFT, points of accuracy) with its 95 % t-interval, at the last and at the best step.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { openBase } from '../adapters/compose/open-base.ts'
import { openData } from '../adapters/compose/data.ts'
import { trainPrompt } from '../adapters/compose/train.ts'
import { encodeExamples, labelsOf } from '../src/data/examples.ts'
import { initialise } from '../src/prompt/initialise.ts'
import { planBatches } from '../src/train/batches.ts'

const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value })
const { values: flags } = parseArgs({
  options: {
    model: text('models/t5-tiny-en'),
    train: { type: 'string' },
    dev: { type: 'string' },
    seeds: text('5'),
    first: text('0'),
    steps: text('600'),
    'eval-every': text('100'),
    length: text('20'),
    batch: text('32'),
    'max-input': text('96'),
    threads: text('2'),
    python: text('.peers/bin/python'),
  },
})
const { train, dev, model } = flags
if (train === undefined || dev === undefined) throw new Error('--train FILE and --dev FILE are needed')
const [seeds, first, steps, evalEvery, length, batch, maxInput, threads] = (
  ['seeds', 'first', 'steps', 'eval-every', 'length', 'batch', 'max-input', 'threads'] as const
).map((name) => Number(flags[name])) as [number, number, number, number, number, number, number, number]

interface Scores {
  readonly last: number
  readonly best: number
  /** Of the first 20 steps. */
  readonly losses: readonly number[]
}
const base = await openBase(model)
const { examples } = await openData(train, {})
const { examples: encoded } = encodeExamples(examples, base.tokenizer, { maxInput, maxTarget: 128 })
const words = (labelsOf(examples) ?? []).map((label) => base.tokenizer.encode(label).slice(0, -1))

async function ours(seed: number, out: string): Promise<Scores> {
  const scores: number[] = []
  const losses: number[] = []
  const recipe = { length, steps, batch, seed, evalEvery, maxInputTokens: maxInput }
  for await (const event of trainPrompt({ model, data: train as string, dev: dev as string, out, threads, recipe })) {
    if (event.type === 'step' && losses.length < 20) losses.push(event.loss)
    if (event.type === 'evaluated') scores.push(event.metrics[0]?.value ?? 0)
  }
  return { last: scores.at(-1) ?? 0, best: Math.max(...scores), losses }
}

async function theirs(seed: number, folder: string): Promise<Scores> {
  const initial = initialise({ kind: 'labels', length, table: base.embeddingTable(), words, seed })
  const plan = planBatches(encoded, { seed, batch, buckets: false })
  const [initialFile, orderFile] = [join(folder, 'initial.f32'), join(folder, 'order.json')]
  await writeFile(initialFile, initial.data)
  await writeFile(orderFile, JSON.stringify(Array.from({ length: steps }, (_, step) => plan.at(step))))
  const options = { model, train, dev, initial: initialFile, order: orderFile, prompt: length, steps, batch, threads }
  const more = { 'step-offset': 1_100_000, 'eval-every': evalEvery, 'max-input': maxInput }
  const args = Object.entries({ ...options, ...more }).flatMap(([name, value]) => [`--${name}`, String(value)])
  const peer = spawn(resolve(flags.python), ['bench/peers/peft_train.py', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const scores: number[] = []
  let losses: number[] = []
  for await (const line of createInterface({ input: peer.stdout })) {
    const made = JSON.parse(line) as { step: number; dev_accuracy: number; first_losses: number[] }
    if (made.step === 0) continue
    scores.push(made.dev_accuracy)
    losses = made.first_losses
  }
  return { last: scores.at(-1) ?? 0, best: Math.max(...scores), losses }
}

/** Student's t at 97.5 %, by degrees of freedom from 1. */
const T = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093,
]
function interval(differences: readonly number[]): { mean: string; interval: string[] } {
  const n = differences.length
  const mean = differences.reduce((sum, value) => sum + value, 0) / n
  const deviation = Math.sqrt(differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1))
  const half = ((T[n - 2] ?? 1.96) * deviation) / Math.sqrt(n)
  return { mean: mean.toFixed(2), interval: [mean - half, mean + half].map((value) => value.toFixed(2)) }
}

const folder = await mkdtemp(join(tmpdir(), 'paired-seeds-'))
const pairs: { ours: Scores; theirs: Scores }[] = []
for (let seed = first; seed < first + seeds; seed++) {
  const pair = { ours: await ours(seed, join(folder, String(seed))), theirs: await theirs(seed, folder) }
  pairs.push(pair)
  const [own, peer] = [pair.ours, pair.theirs].map(({ last, best }) => ({ last, best }))
  const apart = Math.max(...pair.ours.losses.map((loss, step) => Math.abs(loss - (pair.theirs.losses[step] ?? NaN))))
  process.stdout.write(`${JSON.stringify({ seed, ours: own, theirs: peer, first_losses_apart: apart })}\n`)
}
const summary = (['last', 'best'] as const).map((at) => [at, interval(pairs.map((pair) => 100 * (pair.ours[at] - pair.theirs[at])))])
process.stdout.write(`${JSON.stringify({ seeds, first, steps, ...Object.fromEntries(summary) })}\n`)
await rm(folder, { recursive: true })
