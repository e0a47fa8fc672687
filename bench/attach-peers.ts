/**
 * Answers against Python: a cold process to its first answer, and rows that each have a prompt of their own: one mixed batch against PEFT's `set_adapter`
 * loop. The same t5-small-sized random weights, prompts and rows on both sides; the answers are compared too.
 *
 * npx tsc && node dist/bench/attach-peers.js --rounds 10
 * Needs .peers/bin/python with torch, transformers and peft (`--python PATH` for another). Rounds take turns; ratios of each round, their median and a
 * 95 % bootstrap interval.
 */
import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Tensor } from '@huggingface/transformers'
import { writePromptFolder } from '../adapters/artifact/folder.ts'
import { exportOnnx } from '../adapters/compose/export.ts'
import { loadPrompted } from '../adapters/compose/transformers.ts'
import { padInputs } from '../src/data/collate.ts'
import { softPrompt } from '../src/prompt/soft-prompt.ts'
import { createRandom } from '../src/tensor/random.ts'
import { tensor } from '../src/tensor/tensor.ts'

const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value })
const { values: flags } = parseArgs({
  options: {
    rounds: text('10'),
    rows: text('64'),
    prompt: text('100'),
    input: text('32'),
    tokens: text('8'),
    python: text('.peers/bin/python'),
    tokenizer: text('models/t5-tiny-en'),
    only: text(''),
  },
})
const [rounds, rows, P, T, tokens] = (['rounds', 'rows', 'prompt', 'input', 'tokens'] as const).map((name) => Number(flags[name])) as [
  number,
  number,
  number,
  number,
  number,
]
const python = resolve(flags.python)
const folder = await mkdtemp(join(tmpdir(), 'attach-peers-'))
const [model, onnx, prompts] = ['model', 'onnx', 'prompts'].map((name) => join(folder, name)) as [string, string, string]

/** Milliseconds from the start of a process to its first line, and the line. */
async function cold(command: string, args: readonly string[]): Promise<{ ms: number; text: string }> {
  const start = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = new Promise((done) => child.on('close', done))
  const line = (await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()).value as string
  const ms = performance.now() - start
  await ended
  return { ms, text: (JSON.parse(line) as { text: string }).text }
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number
function report(what: string, ours: readonly number[], theirs: readonly number[], same: boolean): void {
  const ratios = theirs.map((ms, round) => ms / (ours[round] as number))
  const resample = (): number => median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)] as number))
  const spread = Array.from({ length: 2000 }, resample).toSorted((a, b) => a - b)
  const result = {
    what,
    rounds: ratios.length,
    ours_ms: Math.round(median(ours)),
    peft_ms: Math.round(median(theirs)),
    ratio: median(ratios).toFixed(2),
    interval: [spread[50], spread[1949]].map((value) => value?.toFixed(2)),
    same_answers: same,
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

async function prepare(): Promise<number[][]> {
  await new Promise<void>((done, fail) => {
    const written = spawn(python, ['bench/peers/peft_answer.py', 'small', model, '--write'], { stdio: 'ignore' })
    written.on('close', (code) => (code === 0 ? done() : fail(new TypeError(`peft_answer.py --write ended with ${code}`))))
  })
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(flags.tokenizer, file), join(model, file))
  await exportOnnx(model, onnx)
  const random = createRandom(1)
  const D = 512
  for (let index = 0; index < rows; index++) {
    const data = Float32Array.from({ length: P * D }, () => 2 * random.uniform() - 1)
    await writePromptFolder(softPrompt(tensor('F32', [P, D], data), { base: { id: 'bench' } }), join(prompts, `p${index}`))
  }
  const length = (): number => Math.ceil(T * (0.5 + 0.5 * random.uniform()))
  const made = Array.from({ length: rows }, () => Array.from({ length: length() }, () => 2 + Math.floor(8000 * random.uniform())))
  await writeFile(join(folder, 'rows.json'), JSON.stringify(made))
  return made
}

async function coldAnswers(): Promise<void> {
  const asked = 'a film of charm and wit'
  const script = resolve(import.meta.dirname, 'cold-answer.js')
  const kinds = ['fast', 'low'] as const
  const runs: { ours: Record<(typeof kinds)[number], number>; theirs: number; same: boolean }[] = []
  for (let round = 0; round <= rounds; round++) {
    const fast = await cold(process.execPath, [script, onnx, join(prompts, 'p0'), asked, String(tokens)])
    const low = await cold(process.execPath, [script, onnx, join(prompts, 'p0'), asked, String(tokens), 'low'])
    const given = [model, join(prompts, 'p0'), '--text', asked, '--tokens', String(tokens)]
    const theirs = await cold(python, ['bench/peers/peft_answer.py', ...given])
    const same = fast.text === theirs.text && low.text === theirs.text
    // The first round brings the files into the system's cache.
    if (round > 0) runs.push({ ours: { fast: fast.ms, low: low.ms }, theirs: theirs.ms, same })
  }
  for (const kind of kinds) {
    report(
      `cold process to first answer, memory ${kind}`,
      runs.map(({ ours }) => ours[kind]),
      runs.map(({ theirs }) => theirs),
      runs.every(({ same }) => same),
    )
  }
}

async function mixedRows(given: readonly (readonly number[])[]): Promise<void> {
  const names = given.map((_, index) => `p${index}`)
  const pipe = await loadPrompted(Object.fromEntries(names.map((name) => [name, join(prompts, name)])), { base: onnx, dtype: 'fp32' })
  const padded = padInputs(given, 0)
  const hubTensor = ({ data, shape }: typeof padded.inputIds): Tensor => new Tensor('int64', data, [...shape])
  const ask = async (): Promise<{ ms: number; tokens: number[][] }> => {
    const start = performance.now()
    const made = (await pipe.stock.model.generate({
      input_ids: hubTensor(padded.inputIds),
      attention_mask: hubTensor(padded.attentionMask),
      soft_prompt: names,
      max_new_tokens: tokens,
    } as never)) as Tensor
    return { ms: performance.now() - start, tokens: (made.tolist() as bigint[][]).map((row) => row.map(Number)) }
  }
  const peer = spawn(
    python,
    ['bench/peers/peft_answer.py', model, prompts, '--rows', join(folder, 'rows.json'), '--tokens', String(tokens)],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  )
  const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<{ ms: number; tokens: number[][] }> => JSON.parse((await lines.next()).value as string)
  await answer() // ready
  const runs: { ours: number; theirs: number; same: boolean }[] = []
  for (let round = 0; round <= rounds; round++) {
    const ours = await ask()
    peer.stdin.write('go\n')
    const theirs = await answer()
    const same = ours.tokens.every((row, index) => row.every((id, at) => id === (theirs.tokens[index]?.[at] ?? 0)))
    if (round > 0) runs.push({ ours: ours.ms, theirs: theirs.ms, same })
  }
  peer.kill()
  await pipe.dispose()
  report(
    `${given.length} rows over ${given.length} prompts, one mixed batch against set_adapter`,
    runs.map(({ ours }) => ours),
    runs.map(({ theirs }) => theirs),
    runs.every(({ same }) => same),
  )
}

try {
  const given = await prepare()
  if (flags.only !== 'mixed') await coldAnswers()
  if (flags.only !== 'cold') await mixedRows(given)
} finally {
  await rm(folder, { recursive: true })
}
