/** Inspect and verify against the tiny T5: nearest words and ways from the start that are known beforehand, and each fault named. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { baseModel } from '../../adapters/compose/base-model.ts'
import { inspectPrompts } from '../../adapters/compose/inspect.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { openPrompts } from '../../adapters/compose/open-prompt.ts'
import { verifyPrompts, type Check } from '../../adapters/compose/verify.ts'
import { initialise } from '../../src/prompt/initialise.ts'
import type { Recipe } from '../../src/prompt/manifest.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const onnx = join(fixtures, 'onnx/tiny-t5-v10')
let dir: string
let model: string

const recipe: Recipe = {
  length: 4,
  init: 'labels',
  steps: 1,
  batch: 1,
  learningRate: 0.3,
  optimizer: 'adafactor',
  weightDecay: 0,
  stepOffset: 0,
  seed: 11,
  maxInputTokens: 8,
  maxTargetTokens: 8,
  evalEvery: 1,
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inspect-'))
  // The fixture keeps weights and tokenizer apart.
  model = join(dir, 'model')
  await cp(join(onnx, 'hf'), model, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(onnx, name), join(model, name))
  const base = await openBase(model)
  const labels = ['positive', 'negative']
  const words = labels.map((label) => base.tokenizer.encode(label).slice(0, -1))
  const start = initialise({ kind: 'labels', length: 4, table: base.embeddingTable(), words, seed: 11 })
  // Row 0 stays, row 1 moves by 3 along one axis, rows 2 and 3 become the doubles of vocabulary rows 77 and 78.
  const data = start.data.slice()
  data[64] = (data[64] as number) + 3
  data.set(
    base
      .embeddingTable()
      .rows([77, 78])
      .map((value) => 2 * value),
    2 * 64,
  )
  const prompt = softPrompt(tensor('F32', [4, 64], data), { base: await baseModel(base), labels, recipe: { ...recipe } })
  await writePromptFolder(prompt, join(dir, 'prompt'))
})

afterAll(() => rm(dir, { recursive: true, force: true }))

describe('inspect', () => {
  it('tells shape, norms, dead half, files', async () => {
    const [found] = await inspectPrompts(join(fixtures, 'peft/prompt_tuning'))
    expect(found).toMatchObject({
      name: 'prompt_tuning',
      format: 'peft',
      length: 5,
      width: 16,
      dtype: 'F32',
      storedShape: [10, 16],
      deadRows: 5,
    })
    expect(found?.tokens).toHaveLength(5)
    expect(found?.files.map(({ name }) => name)).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect(found?.norms.min).toBeLessThan(found?.norms.mean ?? 0)
  })

  it('finds the nearest pieces and how far training moved each token', async () => {
    const base = await openBase(model)
    const [found] = await inspectPrompts(join(dir, 'prompt'), { model, nearest: 3 })
    expect(found?.base).toMatchObject({ answer: 'same', drift: 0 })
    expect(found?.tokens[2]?.nearest).toHaveLength(3)
    for (const [token, id] of [
      [2, 77],
      [3, 78],
    ] as const) {
      const nearest = found?.tokens[token]?.nearest?.[0]
      expect(nearest).toMatchObject({ id, piece: base.tokenizer.pieces[id] ?? `<row ${id}>` })
      expect(nearest?.cosine).toBeCloseTo(1, 6)
    }
    const [still, moved] = found?.tokens ?? []
    expect(still?.moved).toEqual({ distance: 0, cosine: expect.closeTo(1, 6) as number })
    expect(moved?.moved?.distance).toBeCloseTo(3, 5)
    expect(found?.moved).toEqual({ mean: expect.any(Number) as number })
  })

  it('works from ONNX files, float and quantised', async () => {
    const [float] = await inspectPrompts(join(dir, 'prompt'), { model: onnx })
    expect(float?.tokens[2]?.nearest?.[0]).toMatchObject({ id: 77 })
    const [quantised] = await inspectPrompts(join(dir, 'prompt'), { model: join(onnx, 'onnx/encoder_model_quantized.onnx') })
    expect(quantised?.base).toMatchObject({ answer: 'quantised' })
    expect(quantised?.tokens[3]?.nearest?.[0]).toMatchObject({ id: 78 })
  })

  it('says why it does not know how far a prompt moved', async () => {
    const [found] = await inspectPrompts(join(fixtures, 'onnx/adapters/tiny-t5-v10-a'), { model })
    expect(found?.moved).toEqual({ unknown: 'there is no recipe' })
    await expect(inspectPrompts(join(fixtures, 'peft/prompt_tuning'), { model })).rejects.toMatchObject({ code: 'prompt-width' })
  })
})

const standings = (checks: readonly Check[] = []): Record<string, string> =>
  Object.fromEntries(checks.map(({ name, standing, code }) => [name, code ?? standing]))

describe('verify', () => {
  it('a sound prompt, with its model, its quantised model and another model', async () => {
    const sound = {
      configuration: 'ok',
      'tensor file': 'ok',
      manifest: 'ok',
      prompt: 'ok',
      'sha256 of adapter_config.json': 'ok',
      'sha256 of adapter_model.safetensors': 'ok',
    }
    const path = join(dir, 'prompt')
    const checked = async (against?: string): Promise<unknown> => {
      const [found] = await verifyPrompts(path, against === undefined ? {} : { model: against })
      return { ...standings(found?.checks), sound: found?.sound }
    }
    expect(await checked()).toEqual({ ...sound, 'base model': 'skipped', sound: true })
    expect(await checked(model)).toEqual({ ...sound, 'base model': 'ok', sound: true })
    expect(await checked(join(onnx, 'onnx/encoder_model_quantized.onnx'))).toEqual({ ...sound, 'base model': 'warning', sound: true })
    expect(await checked(join(fixtures, 'onnx/tiny-t5-v11'))).toEqual({ ...sound, 'base model': 'prompt-base', sound: false })
  })

  it('names every fault, not the first alone', async () => {
    const bad = join(dir, 'bad')
    await cp(join(dir, 'prompt'), bad, { recursive: true })
    const config = join(bad, 'adapter_config.json')
    await writeFile(config, (await readFile(config, 'utf8')).replace('"num_virtual_tokens": 4', '"num_virtual_tokens": 5'))
    const tensorFile = join(bad, 'adapter_model.safetensors')
    await writeFile(tensorFile, (await readFile(tensorFile)).subarray(0, -4))
    const [found] = await verifyPrompts(bad)
    expect(found?.sound).toBe(false)
    expect(standings(found?.checks)).toEqual({
      configuration: 'ok',
      'tensor file': 'safetensors-truncated',
      manifest: 'ok',
      prompt: 'safetensors-truncated',
      'sha256 of adapter_config.json': 'artifact-hash',
      'sha256 of adapter_model.safetensors': 'artifact-hash',
      'base model': 'skipped',
    })
    await rm(tensorFile)
    const [gone] = await verifyPrompts(bad)
    expect(standings(gone?.checks)).toMatchObject({
      'tensor file': 'artifact-file-missing',
      'sha256 of adapter_model.safetensors': 'artifact-file-missing',
    })
  })

  it('labels that the model cannot tell apart are named', async () => {
    const [whole] = await openPrompts(join(dir, 'prompt')).then((prompts) => [...prompts.values()])
    if (!whole) throw new TypeError('no prompt')
    const path = join(dir, 'same-labels')
    await writePromptFolder(softPrompt(whole.embeddings, { ...whole.manifest, labels: ['\u{1f600}', '\u{1f622}'] }), path)
    const [found] = await verifyPrompts(path, { model })
    expect(found?.sound).toBe(true)
    expect(found?.checks.filter(({ name }) => name === 'labels').map(({ code }) => code)).toEqual([
      'label-unknown-piece',
      'labels-same',
      'label-unknown-piece',
    ])
  })

  it('plain adapters and .npy files have fewer parts', async () => {
    const [peft] = await verifyPrompts(join(fixtures, 'onnx/adapters/tiny-t5-v10-a'), { model })
    expect(standings(peft?.checks)).toEqual({
      configuration: 'ok',
      'tensor file': 'ok',
      manifest: 'skipped',
      prompt: 'ok',
      note: 'warning',
      'base model': 'warning',
    })
    const [npy] = await verifyPrompts(join(fixtures, 'google/f32.npy'), { model })
    expect(standings(npy?.checks)).toEqual({ manifest: 'skipped', prompt: 'ok', 'base model': 'prompt-width' })
  })
})
