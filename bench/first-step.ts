/**
 * From the command to its first training step: `soft-prompts train` on a folder of t5-small's shape (random weights, 242 MB in F32, 32,128 pieces), in a fresh process.
 *
 * npx tsc && node dist/bench/first-step.js [--runs 5] [--rows 2000] [--low-memory]
 * Prints the milliseconds to the start of the first step (the median of the runs), which is when the line with the first step's time appeared, less that time.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { parseT5Config } from '../src/t5/config.ts'
import { buildStep } from '../src/t5/step.ts'
import { formatSafetensors } from '../src/tensor/safetensors.ts'
import { sizeOf, tensor } from '../src/tensor/tensor.ts'

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    rows: { type: 'string', default: '2000' },
    'low-memory': { type: 'boolean', default: false },
  },
})
const CONFIG = { model_type: 't5', vocab_size: 32128, d_model: 512, d_kv: 64, d_ff: 2048, num_heads: 8, num_layers: 6 }
/** Pieces of t5-small's tokenizer. */
const PIECES = 32100

const dir = await mkdtemp(join(tmpdir(), 'first-step-'))
try {
  await makeModel()
  const lines = (await readFile('examples/data/sentiment/train.jsonl', 'utf8')).trimEnd().split('\n')
  const rows = Array.from({ length: Number(flags.rows) }, (_, index) => lines[index % lines.length])
  await writeFile(join(dir, 'rows.jsonl'), rows.join('\n'))
  const starts: number[] = []
  for (let run = 0; run < Number(flags.runs); run++) starts.push(await firstStep(join(dir, `out-${run}`)))
  const ms = starts.toSorted((a, b) => a - b)
  process.stdout.write(`${JSON.stringify({ first_step_ms: Math.round(ms[ms.length >> 1] as number), runs: ms.map(Math.round) })}\n`)
} finally {
  await rm(dir, { recursive: true, force: true })
}

async function makeModel(): Promise<void> {
  const tensors = buildStep(parseT5Config(CONFIG)).weights.map(({ names: [name], value }) => {
    const shape = value.shape as readonly number[]
    const data = Float32Array.from({ length: sizeOf(shape) }, (_, index) => 0.04 * Math.sin(index * 1.7))
    return [name as string, tensor('F32', shape, data)] as const
  })
  await writeFile(join(dir, 'model.safetensors'), formatSafetensors(new Map(tensors), {}))
  await writeFile(join(dir, 'config.json'), JSON.stringify(CONFIG))
  const tokenizer = JSON.parse(await readFile('models/t5-tiny-en/tokenizer.json', 'utf8')) as { model: { vocab: [string, number][] } }
  const { vocab } = tokenizer.model
  // Unlikely pieces, so that texts are cut as by the smaller vocabulary.
  while (vocab.length < PIECES) vocab.push([`▁${vocab.length.toString(36)}zq`, -20 - vocab.length / PIECES])
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer))
}

/** Milliseconds from spawning the command to its first step. */
async function firstStep(out: string): Promise<number> {
  const more = flags['low-memory'] ? ['--low-memory'] : []
  const args = [
    'train',
    '--model',
    dir,
    '--data',
    join(dir, 'rows.jsonl'),
    '--out',
    out,
    '--length',
    '20',
    '--batch',
    '8',
    '--steps',
    '100',
  ]
  const began = performance.now()
  const child = spawn(process.execPath, ['dist/scripts/soft-prompts.js', ...args, ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const stepMs = /^(\d+) ms for the first step/.exec(line)?.[1]
      if (stepMs !== undefined) return performance.now() - began - Number(stepMs)
    }
    throw new Error('the command ended before its first step')
  } finally {
    child.kill('SIGKILL')
  }
}
