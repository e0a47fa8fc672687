/**
 * Attaching on a t5-small-sized encoder with random weights, on onnxruntime's CPU: path to skeleton, session, memory, run, prompts mixed in a batch.
 *
 * npx tsc && node --expose-gc dist/bench/attach.js --rounds 20 --cycles 1000
 * Plain and patched take turns; the figures are medians, ratios of medians beside them.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-node'
import { openPromptedSession } from '../adapters/onnxruntime/attach.ts'
import { openPatched } from '../adapters/onnxruntime/source.ts'
import { specialise } from '../src/graph/passes.ts'
import { emitModel } from '../src/onnx/emit.ts'
import { formatModel } from '../src/onnx/model.ts'
import { createPromptBank, type PromptBank } from '../src/prompt/bank.ts'
import { softPrompt, type SoftPrompt } from '../src/prompt/soft-prompt.ts'
import { parseT5Config } from '../src/t5/config.ts'
import { buildExportedEncoder } from '../src/t5/exported.ts'
import { sizeOf, tensor } from '../src/tensor/tensor.ts'
import type { WeightRef } from '../src/tensor/weights.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    cycles: { type: 'string', default: '1000' },
    /** What a process of its own opens and runs, to print how much its memory grew. */
    resident: { type: 'string' },
    path: { type: 'string', default: '' },
  },
})
const rounds = Number(flags.rounds)
const [P, T, D] = [100, 64, 512]

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}
/** Medians in milliseconds of several works that take turns, after one round of each to warm up. */
async function inTurn(works: readonly (() => Promise<unknown>)[], count = rounds): Promise<number[]> {
  const times = works.map((): number[] => [])
  for (let round = 0; round <= count; round++) {
    for (const [index, work] of works.entries()) {
      const ms = await timed(work)
      if (round > 0) times[index]?.push(ms)
    }
  }
  return times.map(median)
}
const line = (text: string): void => void process.stdout.write(`${text}\n`)
const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`

/** A t5-small encoder with random weights, as our own export writes it. */
function smallEncoder(): Uint8Array {
  const config = parseT5Config({
    model_type: 't5',
    d_model: D,
    d_ff: 2048,
    d_kv: 64,
    num_heads: 8,
    num_layers: 6,
    num_decoder_layers: 6,
    vocab_size: 32128,
    feed_forward_proj: 'relu',
    tie_word_embeddings: true,
    decoder_start_token_id: 0,
    eos_token_id: 1,
    pad_token_id: 0,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
  })
  const graph = specialise(buildExportedEncoder(config), { contrib: false, externalData: false })
  let seed = 1
  const random = (): number => (((seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31) * 2 - 1) * 0.05
  const weights = new Map<string, WeightRef>()
  for (const { names, value } of graph.weights) {
    const shape = value.shape as readonly number[]
    const source = new Uint8Array(Float32Array.from({ length: sizeOf(shape) }, random).buffer)
    weights.set(names[0] as string, { dtype: 'F32', shape, source, offsetBytes: 0, sizeBytes: source.length })
  }
  return formatModel(emitModel(graph, weights, (_, ref) => ref.source as Uint8Array))
}

const prompt = (): SoftPrompt =>
  softPrompt(
    tensor(
      'F32',
      [P, D],
      Float32Array.from({ length: P * D }, () => Math.random() - 0.5),
    ),
    { base: { id: 'bench' } },
  )
const bankOf16 = (): PromptBank => createPromptBank(Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`p${index}`, prompt()])))
const int = (rows: readonly (readonly number[])[]): ort.Tensor =>
  new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0])
const rowsOf = (count: number, length: number): number[][] =>
  Array.from({ length: count }, (_, row) => Array.from({ length }, (__, at) => 2 + ((row * 977 + at * 131) % 32_000)))
const feedsOf = (count: number, length: number): { input_ids: ort.Tensor; attention_mask: ort.Tensor } => ({
  input_ids: int(rowsOf(count, length)),
  attention_mask: int(rowsOf(count, length).map((row) => row.map(() => 1))),
})
/** In a function of its own, so that nothing holds its bytes when memory is measured. */
async function writeEncoder(path: string): Promise<void> {
  const bytes = smallEncoder()
  await writeFile(path, bytes)
  line(
    `encoder of ${(bytes.length / 1e6).toFixed(0)} MB, ${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}; rounds ${rounds}, medians`,
  )
}

const collect = (): void => (globalThis as { gc?: () => void }).gc?.()
const residentMb = (): number => (collect(), process.memoryUsage.rss() / 2 ** 20)

if (flags.resident !== undefined) {
  const before = residentMb()
  if (flags.resident === 'plain') await (await ort.InferenceSession.create(flags.path)).run(feedsOf(1, T))
  else {
    const session = await openPromptedSession(ort, flags.path, { bank: bankOf16() })
    await session.run(session.join(feedsOf(1, T), [null]))
  }
  line(String(residentMb() - before))
  process.exit()
}

/** Growth of a fresh process, in MB; the median of five. */
function residentOf(kind: 'plain' | 'prompted', path: string): number {
  const args = ['--expose-gc', process.argv[1] as string, '--resident', kind, '--path', path]
  return median(Array.from({ length: 5 }, () => Number(execFileSync(process.execPath, args))))
}

const folder = await mkdtemp(join(tmpdir(), 'bench-attach-'))
try {
  const path = join(folder, 'encoder_model.onnx')
  await writeEncoder(path)

  const skeleton = (await openPatched(path)).bytes.length
  const [patchMs] = (await inTurn([() => openPatched(path)])) as [number]
  line(`path to skeleton        ${ms(patchMs)}, ${(skeleton / 1024).toFixed(0)} KB`)

  const [plainMs, ourMs] = (await inTurn(
    [async () => (await ort.InferenceSession.create(path)).release(), async () => (await openPromptedSession(ort, path)).release()],
    Math.min(rounds, 10),
  )) as [number, number]
  line(`session from path       plain ${ms(plainMs)}, prompted ${ms(ourMs)}: ${(ourMs / plainMs).toFixed(3)}`)

  const [plainMb, ourMb] = [residentOf('plain', path), residentOf('prompted', path)]
  line(
    `resident memory         plain +${plainMb.toFixed(0)} MB, prompted with 16 prompts +${ourMb.toFixed(0)} MB: ${(ourMb / plainMb).toFixed(3)}`,
  )

  const plain = await ort.InferenceSession.create(path)
  const bank = bankOf16()
  const ours = await openPromptedSession(ort, path, { bank })

  for (const batch of [1, 16]) {
    const joined = ours.join(feedsOf(batch, T), 'p0')
    const equal = feedsOf(batch, T + P)
    const [plainRun, promptedRun, unused] = (await inTurn([() => plain.run(equal), () => ours.run(joined), () => ours.run(equal)])) as [
      number,
      number,
      number,
    ]
    line(
      `run, ${String(batch).padStart(2)} x ${T + P} positions  plain ${ms(plainRun)}, prompted ${ms(promptedRun)}: ${(promptedRun / plainRun).toFixed(3)}; no prompt ${(unused / plainRun).toFixed(3)}`,
    )
  }

  const feeds = feedsOf(16, T)
  const mixed = bank.names
  const [one, many] = (await inTurn([() => ours.run(ours.join(feeds, 'p0')), () => ours.run(ours.join(feeds, mixed))])) as [number, number]
  line(`16 prompts in 16 rows   one prompt ${ms(one)}, sixteen ${ms(many)}: throughput ${(one / many).toFixed(3)}`)

  const [join1] = (await inTurn([async () => ours.join(feedsOf(1, T), 'p1')], 10 * rounds)) as [number]
  const swap = prompt()
  const [swap1] = (await inTurn([async () => (bank.remove('p15'), bank.add('p15', swap))], 10 * rounds)) as [number]
  line(`swap                    another prompt for the next call ${ms(join1)}, replaced in the bank ${ms(swap1)}`)
  await plain.release()
  await ours.release()

  const cycles = Number(flags.cycles)
  const marks: number[] = []
  for (let cycle = 0; cycle < cycles; cycle++) {
    const session = await openPromptedSession(ort, path, { bank: createPromptBank({ p: swap }) })
    if (cycle % 10 === 0) await session.run(session.join(feedsOf(1, 8), 'p'))
    await session.release()
    if (cycle % Math.max(1, Math.floor(cycles / 10)) === 0) marks.push(residentMb())
  }
  line(`${cycles} open / run / release: resident ${marks.map((mark) => mark.toFixed(0)).join(' ')} MB`)
} finally {
  await rm(folder, { recursive: true })
}
