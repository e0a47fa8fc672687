/** Every form a base model's weights come in gives the gradient of the single safetensors file; what is no T5 is refused. */
import * as ort from 'onnxruntime-node'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep, stepFeeds } from '../../src/t5/step.ts'
import { fromFloat32, toFloat32 } from '../../src/tensor/half.ts'
import { formatSafetensors, parseSafetensors } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { batchOf, golden, relativeError } from '../t5/cases.ts'

const fixtures = new URL('../fixtures/', import.meta.url).pathname
const small = join(fixtures, 'onnx/tiny-t5-v11/hf')
const stored = parseSafetensors(readFileSync(join(small, 'model.safetensors'))).tensors as ReadonlyMap<string, Tensor<'F32'>>
const dir = mkdtempSync(join(tmpdir(), 'kinds-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const folderOf = (name: string): string => {
  const folder = join(dir, name)
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(small, 'config.json'), join(folder, 'config.json'))
  return folder
}
const write = (path: string, tensors: ReadonlyMap<string, Tensor>): void => writeFileSync(path, formatSafetensors(tensors, {}))

const shardOf = (index: number): string => `model-0000${index % 2 === 0 ? 1 : 2}-of-00002.safetensors`

/** Half of the tensors a file, as transformers shards them. */
function writeShards(folder: string): void {
  const names = [...stored.keys()]
  const files = [0, 1].map((part) => new Map([...stored].filter((_, index) => index % 2 === part)))
  for (const [part, tensors] of files.entries()) write(join(folder, shardOf(part)), tensors)
  const index = { metadata: {}, weight_map: Object.fromEntries(names.map((name, at) => [name, shardOf(at)])) }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
}

async function gradientOf(folder: string): Promise<Float32Array> {
  const { config: json, weights } = await openCheckpoint(folder)
  const config = parseT5Config(json)
  const program = await createEngine(ort, { threads: 1 }).load(buildStep(config), weights)
  const out = await program.run(stepFeeds(config, batchOf(golden.cases.find(({ model }) => model === 'tiny-t5-v11')!)))
  await program.dispose()
  return (out['gradient_prompts'] as Tensor<'F32'>).data.slice()
}
const want = await gradientOf(small)

it('an encoder alone is named for what it is', async () => {
  const folder = folderOf('encoder-only')
  write(join(folder, 'model.safetensors'), new Map([...stored].filter(([name]) => !name.startsWith('decoder.'))))
  await expect(openCheckpoint(folder)).rejects.toEqual(
    expect.objectContaining({ code: 'checkpoint-encoder-only', message: expect.stringMatching(/T5EncoderModel.*encoder and decoder/) }),
  )
})

describe('weights', () => {
  it('sharded safetensors', async () => {
    const folder = folderOf('shards')
    writeShards(folder)
    expect(await gradientOf(folder)).toEqual(want)
  })

  it('a snapshot of the Hugging Face cache: links into blobs, sharded', async () => {
    const repo = join(dir, 'models--me--t5')
    const blobs = join(repo, 'blobs')
    const snapshot = join(repo, 'snapshots', '0'.repeat(40))
    const folder = folderOf('for-links')
    writeShards(folder)
    for (const each of [blobs, snapshot]) mkdirSync(each, { recursive: true })
    for (const [index, name] of [
      'config.json',
      'model.safetensors.index.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ].entries()) {
      copyFileSync(join(folder, name), join(blobs, `blob${index}`))
      symlinkSync(join('..', '..', 'blobs', `blob${index}`), join(snapshot, name))
    }
    expect(await gradientOf(snapshot)).toEqual(want)
  })

  it.each(['F16', 'BF16'] as const)('%s: the gradient of the rounded weights', async (dtype) => {
    const [half, rounded] = [folderOf(dtype), folderOf(`${dtype}-rounded`)]
    const halves = new Map(
      [...stored].map(([name, { shape, data }]) => [name, tensor(dtype, shape, fromFloat32(dtype, data) as Uint16Array)]),
    )
    write(join(half, 'model.safetensors'), halves)
    const floats = [...halves].map(([name, { shape, data }]) => [name, tensor('F32', shape, toFloat32(dtype, data))] as const)
    write(join(rounded, 'model.safetensors'), new Map(floats))
    const got = await gradientOf(half)
    expect(relativeError(got, [...(await gradientOf(rounded))])).toBeLessThan(1e-6)
    expect(relativeError(got, [...want])).toBeGreaterThan(1e-5)
  })

  it('sharded .bin', async () => {
    const folder = folderOf('bins')
    const shards = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin']
    for (const shard of shards) copyFileSync(join(fixtures, 'torch/state.bin'), join(folder, shard))
    const map = { 'shared.weight': shards[0], 'encoder.embed_tokens.weight': shards[1] }
    writeFileSync(join(folder, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: map }))
    const { weights } = await openCheckpoint(folder)
    expect(new Set([...weights.values()].map(({ source }) => String(source).split('/').at(-1)))).toEqual(new Set([shards[1]]))
    expect([...weights.keys()]).toEqual(expect.arrayContaining(Object.keys(map)))
  })

  it.each([
    ['a path', { a: '../model.safetensors' }],
    ['nothing', {}],
    ['no text', { a: 5 }],
  ])('an index that names %s is refused', async (name, map) => {
    const folder = folderOf(`index-${name}`)
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }))
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'checkpoint-index' })
  })

  it('a missing shard and a missing file are named', async () => {
    const folder = folderOf('missing')
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'checkpoint-missing' })
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: 'model-1.safetensors' } }))
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'checkpoint-missing',
      message: expect.stringContaining('model-1.safetensors'),
    })
  })
})

it('what is no T5 is said to be none, before what else it lacks', async () => {
  const folder = join(dir, 'bert')
  cpSync(small, folder, { recursive: true })
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'bert', hidden_size: 64 }))
  writeFileSync(join(folder, 'tokenizer.json'), '{}')
  await expect(openBase(folder)).rejects.toMatchObject({
    code: 't5-config',
    message: expect.stringMatching(/^Not the config\.json of a T5: model_type: expected "t5", "mt5" or "umt5", got "bert"\. Take a model/),
  })
})
