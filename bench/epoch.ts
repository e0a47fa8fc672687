/**
 * An epoch of SST-2's sentences on a CPU: this library against PyTorch + PEFT (bench/peers/peft_step.py), batch by batch in turn, on the same random weights and rows of SST-2's lengths.
 * PEFT pads each batch of its random order to the batch's longest row; this library computes padding in attention only (`--buckets` also puts rows of like length together, as `train --buckets`).
 *
 * npx tsc && node dist/bench/epoch.js --batches 32 [--buckets] [--memory low]
 * Run it on a quiet machine. Prints one JSON line: the epoch's time of each (6,920 sentences), the ratio ours / PEFT with the 95 % bootstrap interval over batches, and the resident memory of each.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-node'
import { openCheckpoint } from '../adapters/checkpoint/open-checkpoint.ts'
import { createEngine } from '../adapters/onnxruntime/engine.ts'
import { collate } from '../src/data/collate.ts'
import { parseT5Config } from '../src/t5/config.ts'
import { buildStep } from '../src/t5/step.ts'
import { createRandom } from '../src/tensor/random.ts'
import { adafactor } from '../src/train/adafactor.ts'
import { largestBatch, planMemory } from '../src/train/estimate.ts'
import { planBatches } from '../src/train/batches.ts'
import { gradientStep } from '../src/train/gradient-step.ts'

const EPOCH_ROWS = 6_920
/** Tokens of SST-2's training sentences with `</s>` (t5-tiny-en's pieces), at the middles of 40 equal shares. */
const LENGTHS = [
  5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 21, 22, 23, 24, 25, 26, 27, 27, 28, 29, 30, 31, 32, 33, 35, 36, 37, 38, 40, 41,
  43, 46, 49, 53, 59,
]

const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value })
const { values: flags } = parseArgs({
  options: {
    model: text('small'),
    batch: text('32'),
    prompt: text('20'),
    target: text('2'),
    batches: text('32'),
    threads: text('2'),
    memory: text('fast'),
    python: text('.peers/bin/python'),
    buckets: { type: 'boolean', default: false },
  },
})
const [batch, length, target, batches, threads] = (['batch', 'prompt', 'target', 'batches', 'threads'] as const).map((name) =>
  Number(flags[name]),
) as [number, number, number, number, number]

const folder = await mkdtemp(join(tmpdir(), 'epoch-'))
const asked = ['model', 'batch', 'prompt', 'target', 'threads'] as const
const given = asked.flatMap((name) => [`--${name}`, flags[name]])
const peer = spawn(resolve(flags.python), ['bench/peers/peft_step.py', ...given, '--write-weights', folder], {
  stdio: ['pipe', 'pipe', 'ignore'],
})
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
const answer = async (): Promise<{ ms: number[]; rss_mb: number }> => JSON.parse((await lines.next()).value as string)
await answer() // ready

const { config: json, weights } = await openCheckpoint(folder)
const config = parseT5Config(json)
const engine = createEngine(ort, { threads, memory: flags.memory as 'fast' | 'low' })
const graph = buildStep(config, { targetTokens: target })
const program = await engine.load(graph, weights)

const random = createRandom(1)
const ids = (count: number): number[] => Array.from({ length: count }, () => 2 + random.int(config.vocabSize - 2))
// Pools of 32 batches are sorted together, so whole pools stand for the epoch.
const rows = Array.from({ length: Math.ceil(batches / 32) * 32 * batch }, () => ({
  inputIds: ids(LENGTHS[random.int(LENGTHS.length)] as number),
  targetIds: ids(target),
}))
const usual = { seed: 1, batch, buckets: flags.buckets }
const memory = flags.memory as 'fast' | 'low'
const { part } = planMemory(graph, weights, engine.capabilities, [largestBatch(rows, usual)], { count: 1, length }, memory)
const step = gradientStep(program, config, { part })
const ours = planBatches(rows, { seed: 1, batch, buckets: flags.buckets })
const theirs = planBatches(rows, { seed: 1, batch, buckets: false })
const pools = Math.ceil(batches / 32) * 32

const prompt = Float32Array.from({ length: length * config.width }, () => random.uniform() - 0.5)
const optimizer = adafactor({ stepOffset: 0, weightDecay: 1e-5 })
const state = optimizer.create(prompt.length)
const run = async (index: number): Promise<number> => {
  const start = performance.now()
  const made = collate(
    ours.at(index).map((row) => rows[row] as (typeof rows)[number]),
    config.padId,
  )
  const { gradient } = await step(made, [prompt])
  optimizer.update(state, prompt, gradient, 0.3)
  return performance.now() - start
}
await run(0)

const times: { readonly ours: number; readonly theirs: number }[] = []
let theirRss = 0
for (let round = 0; round < batches; round++) {
  const index = Math.floor((round * pools) / batches)
  const mine = await run(index)
  peer.stdin.write(`${JSON.stringify(theirs.at(index).map((row) => rows[row]?.inputIds.length))}\n`)
  const { ms, rss_mb: rss } = await answer()
  times.push({ ours: mine, theirs: ms[0] as number })
  theirRss = rss
}
const rssMb = process.memoryUsage.rss() / 1e6
peer.kill()
await rm(folder, { recursive: true })

type Times = readonly (typeof times)[number][]
const mean = (all: Times, of: 'ours' | 'theirs'): number => all.reduce((sum, each) => sum + each[of], 0) / all.length
const ratio = (all: Times): number => mean(all, 'ours') / mean(all, 'theirs')
const spread = Array.from({ length: 2000 }, () =>
  ratio(times.map(() => times[Math.floor(Math.random() * times.length)] as (typeof times)[number])),
).toSorted((a, b) => a - b)
const minutes = (ms: number): string => ((ms * EPOCH_ROWS) / batch / 60_000).toFixed(2)
const result = {
  ...flags,
  ours_ms: Math.round(mean(times, 'ours')),
  peft_ms: Math.round(mean(times, 'theirs')),
  ours_epoch_minutes: minutes(mean(times, 'ours')),
  peft_epoch_minutes: minutes(mean(times, 'theirs')),
  ratio: ratio(times).toFixed(3),
  interval: [spread[50], spread[1949]].map((value) => value?.toFixed(3)),
  ours_rss_mb: Math.round(rssMb),
  peft_rss_mb: Math.round(theirRss),
}
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit(0)
