/** Where weights may lie: linked as in the Hugging Face cache, in several folders, in memory, in 16 bits. All give the same result. */
import * as ort from 'onnxruntime-node'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { buildStep } from '../../src/t5/step.ts'
import type { T5Config } from '../../src/t5/config.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { FIXTURES, readCheckpoint } from '../t5/checkpoint.ts'

const MODEL = 'tiny-t5-v11'
const engine = createEngine(ort, { threads: 1 })
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'engine-')))
afterAll(() => rmSync(folder, { recursive: true }))

let config: T5Config
let weights: WeightTable
let expected: Float32Array
beforeAll(async () => {
  ;({ config, weights } = await readCheckpoint(MODEL))
  expected = await hiddenOf(weights)
})

async function hiddenOf(table: WeightTable): Promise<Float32Array> {
  const model = await emittedSeq2Seq(engine, config, table)
  const inputIds = tensor('I64', [1, 4], BigInt64Array.of(5n, 9n, 200n, 1n))
  const { hidden } = await model.encode({ inputIds, attentionMask: tensor('I64', [1, 4], new BigInt64Array(4).fill(1n)) })
  await model.dispose()
  return hidden.data
}

const bytesOf = ({ source, offsetBytes, sizeBytes }: WeightRef): Uint8Array =>
  Uint8Array.from(readFileSync(source as string).subarray(offsetBytes, offsetBytes + sizeBytes))
const mapTable = (change: (ref: WeightRef, name: string) => WeightRef): WeightTable =>
  new Map([...weights].map(([name, ref]) => [name, change(ref, name)]))

test('behind the links of the Hugging Face cache', async () => {
  const repo = join(folder, 'models--tiny--t5')
  mkdirSync(join(repo, 'blobs'), { recursive: true })
  mkdirSync(join(repo, 'snapshots', 'abc'), { recursive: true })
  for (const name of ['config.json', 'model.safetensors']) {
    cpSync(`${FIXTURES}${MODEL}/hf/${name}`, join(repo, 'blobs', `blob-${name}`))
    symlinkSync(`../../blobs/blob-${name}`, join(repo, 'snapshots', 'abc', name))
  }
  const linked = (await openCheckpoint(join(repo, 'snapshots', 'abc'))).weights
  expect(await hiddenOf(linked)).toEqual(expected)
  // the same through the link itself, as a caller may give it
  const link = join(repo, 'snapshots', 'abc', 'model.safetensors')
  expect(await hiddenOf(mapTable((ref) => ({ ...ref, source: link })))).toEqual(expected)
})

test('in files of several folders', async () => {
  for (const name of ['one', 'two/three']) cpSync(`${FIXTURES}${MODEL}/hf/model.safetensors`, join(folder, name, 'model.safetensors'))
  const split = mapTable((ref, name) => ({
    ...ref,
    source: join(folder, name.startsWith('encoder') ? 'one' : 'two/three', 'model.safetensors'),
  }))
  expect(await hiddenOf(split)).toEqual(expected)
})

test('in memory', async () => {
  expect(await hiddenOf(mapTable((ref) => ({ ...ref, source: bytesOf(ref), offsetBytes: 0 })))).toEqual(expected)
})

test('in 16 bits', async () => {
  // BF16 is the upper half of an F32
  const short = mapTable((ref) => {
    const words = new Uint16Array(bytesOf(ref).buffer).filter((_, index) => index % 2 === 1)
    return { ...ref, dtype: 'BF16', source: new Uint8Array(words.buffer), offsetBytes: 0, sizeBytes: words.byteLength }
  })
  const cut = mapTable((ref) => {
    const words = new Uint16Array(bytesOf(ref).buffer).map((word, index) => (index % 2 === 0 ? 0 : word))
    return { ...ref, source: new Uint8Array(words.buffer), offsetBytes: 0 }
  })
  expect(await hiddenOf(short)).toEqual(await hiddenOf(cut))
})

test('a weight file cut short is named by the runtime, in our error', async () => {
  const file = join(folder, 'short.safetensors')
  writeFileSync(file, readFileSync(`${FIXTURES}${MODEL}/hf/model.safetensors`).subarray(0, 100_000))
  await expect(hiddenOf(mapTable((ref) => ({ ...ref, source: file })))).rejects.toMatchObject({
    code: 'engine-load',
    name: 'UnsupportedError',
  })
})

test('feeds that are missing or unknown are named', async () => {
  const program = await engine.load(buildStep(config), weights)
  await expect(program.run({ token_idz: tensor('I64', [1, 1], new BigInt64Array(1)) })).rejects.toMatchObject({
    code: 'engine-feeds',
    message: expect.stringMatching(/missing .*token_ids, .*unknown token_idz/),
  })
  await program.dispose()
})
