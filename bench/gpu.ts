/**
 * The training step on a GPU: gradients against F64 on the CPU, ms a step, examples a second and memory, beside PyTorch + PEFT in fp32 (TF32 off) and bf16 on CUDA, and this
 * library on the same machine's CPU. In turn, on the same random weights; medians.
 *
 * npm ci && npx tsc && node dist/bench/gpu.js                       a physical GPU: WebGPU, shapes small, base and large, B 32, P 100
 * node dist/bench/gpu.js --device cpu --shapes tiny --batch 4       a smoke test anywhere
 * PyTorch runs where `--python` (default .peers/bin/python, else python3) has torch, transformers and peft; `--peers cuda|cpu|none` says where (default: cuda where torch has it).
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-node'
import { openCheckpoint } from '../adapters/checkpoint/open-checkpoint.ts'
import { openEngine } from '../adapters/compose/open-engine.ts'
import { createEngine } from '../adapters/onnxruntime/engine.ts'
import type { Engine } from '../src/graph/engine.ts'
import { parseT5Config, type T5Config } from '../src/t5/config.ts'
import { buildStep, stepFeeds } from '../src/t5/step.ts'
import { createRandom } from '../src/tensor/random.ts'
import { tensor, type Tensor } from '../src/tensor/tensor.ts'
import type { WeightTable } from '../src/tensor/weights.ts'
import { adafactor } from '../src/train/adafactor.ts'
import { F64 } from '../test/graph/f64.ts'
import { SHAPES, writeRandomT5 } from './random-t5.ts'

const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value })
const { values: flags } = parseArgs({
  options: {
    device: text('webgpu'),
    shapes: text('small,base,large'),
    batch: text('32'),
    input: text('64'),
    target: text('8'),
    prompt: text('100'),
    rounds: text('12'),
    /** Steps of a side before the other's turn. */
    steps: text('3'),
    python: text(existsSync('.peers/bin/python') ? '.peers/bin/python' : 'python3'),
    peers: text('auto'),
  },
})
const [batch, input, target, length, rounds, steps] = (['batch', 'input', 'target', 'prompt', 'rounds', 'steps'] as const).map((name) =>
  Number(flags[name]),
) as [number, number, number, number, number, number]
/** Rows whose gradients are compared: F64 on a CPU is slow. */
const COMPARED_ROWS = 2

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number
const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
const round = (value: number, digits = 3): number => Number(value.toPrecision(digits))

/** MB in use on all GPUs, by the driver; undefined where there is no nvidia-smi. */
function gpuMb(): number | undefined {
  const { status, stdout } = spawnSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], { encoding: 'utf8' })
  return status === 0
    ? stdout
        .trim()
        .split('\n')
        .reduce((sum, line) => sum + Number(line), 0)
    : undefined
}

function pythonDevice(): string | undefined {
  if (flags.peers === 'none') return undefined
  const asked = 'import torch, transformers, peft; print("cuda" if torch.cuda.is_available() else "cpu")'
  const { status, stdout } = spawnSync(flags.python, ['-c', asked], { encoding: 'utf8' })
  const found = status === 0 ? stdout.trim() : undefined
  // unasked, PyTorch on a CPU is no peer of a GPU
  if (flags.peers === 'auto') return found === 'cuda' ? found : undefined
  return found && flags.peers
}

function feedsOf(config: T5Config, rows: number): { readonly feeds: Record<string, Tensor>; readonly prompts: Float32Array } {
  const random = createRandom(2)
  const ids = (columns: number): Tensor<'I64'> =>
    tensor(
      'I64',
      [rows, columns],
      BigInt64Array.from({ length: rows * columns }, () => BigInt(2 + random.int(config.vocabSize - 2))),
    )
  const prompts = Float32Array.from({ length: length * config.width }, () => random.uniform() - 0.5)
  const feeds = stepFeeds(config, {
    inputIds: ids(input),
    attentionMask: tensor('I64', [rows, input], new BigInt64Array(rows * input).fill(1n)),
    labels: ids(target),
    rowWeight: tensor('F32', [rows], new Float32Array(rows).fill(1 / (rows * target))),
    prompts: tensor('F32', [1, length, config.width], prompts),
    promptIndex: tensor('I64', [rows], new BigInt64Array(rows)),
  })
  return { feeds, prompts }
}

interface Side {
  /** Times of some steps, optimizer included, in ms. */
  run(count: number): Promise<readonly number[]>
  close(): Promise<void>
  readonly memory: Record<string, number>
}

async function ours(engine: Engine, config: T5Config, weights: WeightTable): Promise<Side> {
  const before = gpuMb()
  const began = performance.now()
  const program = await engine.load(buildStep(config, { targetTokens: target }), weights)
  const loadMs = performance.now() - began
  const { feeds, prompts } = feedsOf(config, batch)
  const optimizer = adafactor({ stepOffset: 0, weightDecay: 1e-5 })
  const state = optimizer.create(prompts.length)
  const step = async (): Promise<void> => {
    const { gradient_prompts: gradient } = await program.run(feeds)
    optimizer.update(state, prompts, (gradient as Tensor<'F32'>).data, 0.3)
  }
  const run = async (count: number): Promise<readonly number[]> => {
    const ms: number[] = []
    for (let done = 0; done < count; done++) {
      const start = performance.now()
      await step() // its gradient is in memory of the host: the device has finished
      ms.push(performance.now() - start)
    }
    return ms
  }
  await run(2)
  const after = gpuMb()
  const memory = {
    load_ms: Math.round(loadMs),
    rss_mb: Math.round(process.memoryUsage.rss() / 1e6),
    ...(before === undefined || after === undefined ? {} : { gpu_mb: after - before }),
  }
  return { run, memory, close: () => program.dispose() }
}

async function peer(folder: string, device: string, dtype: string): Promise<Side> {
  const args = { model: folder, batch: flags.batch, input: flags.input, target: flags.target, prompt: flags.prompt, device, dtype }
  const given = Object.entries(args).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn(flags.python, [resolve('bench/peers/peft_step.py'), ...given], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<{ ms?: number[]; rss_mb?: number; gpu_mb?: number }> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`PyTorch on ${device} in ${dtype} ended; its words stand above.`)
    return JSON.parse(value as string)
  }
  await answer() // ready
  const memory: Record<string, number> = {}
  return {
    memory,
    run: async (count) => {
      child.stdin.write(`${count}\n`)
      const { ms = [], rss_mb: rss = 0, gpu_mb: gpu } = await answer()
      memory['rss_mb'] = Math.round(rss)
      if (gpu !== undefined) memory['gpu_mb'] = Math.round(gpu)
      return ms
    },
    close: async () => {
      child.kill()
    },
  }
}

/**
 * Relative error of the gradient, on a few rows, with GELU in ReLU's place: a unit within rounding of ReLU's kink flips in any two F32 implementations, and one flip among
 * millions is 5e-4 of the gradient.
 */
async function gradientError(engine: Engine, relu: T5Config, weights: WeightTable): Promise<number> {
  const config: T5Config = { ...relu, activation: 'gelu' }
  const { feeds } = feedsOf(config, COMPARED_ROWS)
  const gradient = async (on: Engine): Promise<readonly number[]> => {
    const program = await on.load(buildStep(config, { targetTokens: target }), weights)
    const { gradient_prompts: found } = await program.run(feeds)
    const values = [...(found as Tensor<'F32'>).data]
    await program.dispose()
    return values
  }
  const exact = await gradient(F64)
  const got = await gradient(engine)
  return norm(exact.map((value, index) => value - (got[index] as number))) / norm(exact)
}

function gpuName(): string | undefined {
  try {
    return execFileSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

const engine = await openEngine({ device: flags.device })
const half: Engine = {
  ...createEngine(ort, { device: engine.name.replace('onnxruntime-', ''), capabilities: { half: true } }),
  name: `${engine.name} F16`,
}
const cpu = await openEngine({ device: 'cpu' })
const device = pythonDevice()
process.stdout.write(`${JSON.stringify({ engine: engine.name, ...flags, gpu: gpuName() ?? 'not told', peers: device ?? 'none' })}\n`)
for (const name of flags.shapes.split(',')) {
  const shape = SHAPES[name]
  if (!shape) throw new Error(`No shape ${name}; known: ${Object.keys(SHAPES).join(', ')}.`)
  const folder = await mkdtemp(join(tmpdir(), `gpu-${name}-`))
  try {
    await writeRandomT5(folder, shape)
    const { config: json, weights } = await openCheckpoint(folder)
    const config = parseT5Config(json)
    const sides = new Map<string, Side>()
    const errors = new Map<string, number>()
    for (const each of [engine, half]) {
      errors.set(each.name, await gradientError(each, config, weights))
      sides.set(each.name, await ours(each, config, weights))
    }
    if (device !== undefined) {
      sides.set('torch fp32', await peer(folder, device, 'float32'))
      sides.set('torch bf16', await peer(folder, device, 'bfloat16'))
    }
    const times = new Map([...sides.keys()].map((side): [string, number[]] => [side, []]))
    for (let done = 0; done < rounds; done++) for (const [side, { run }] of sides) times.get(side)?.push(median(await run(steps)))
    const sideCpu = engine.name === cpu.name ? undefined : await ours(cpu, config, weights)
    if (sideCpu) times.set(cpu.name, [...(await sideCpu.run(3))])
    const mine = times.get(engine.name) as number[]
    for (const [side, ms] of times) {
      const ratios = mine.map((own, index) => (ms.length === mine.length ? (ms[index] as number) : median(ms)) / own)
      const line = {
        shape: name,
        side,
        ms: round(median(ms)),
        examples_per_second: round((1000 * batch) / median(ms)),
        ...(errors.has(side) ? { gradient_error: Number(errors.get(side)?.toExponential(1)) } : {}),
        ...(side === engine.name ? {} : { ours_faster_by: round(median(ratios)) }),
        ...(sides.get(side) ?? sideCpu)?.memory,
      }
      process.stdout.write(`${JSON.stringify(line)}\n`)
    }
    for (const { close } of [...sides.values(), ...(sideCpu ? [sideCpu] : [])]) await close()
  } finally {
    await rm(folder, { recursive: true })
  }
}
