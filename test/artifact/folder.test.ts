/** The artifact folder: what is written is read back, and what was changed on the way is refused. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readPromptFolder, writePromptFolder } from '../../adapters/artifact/folder.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const manifest: Manifest = {
  base: {
    id: 'me/tiny',
    revision: 'abc',
    onnxId: 'me/tiny-ONNX',
    fingerprint: { version: 1, vocabSize: 512, width: 16, probe: { ids: [1, 2], rows: 'AAAA' } },
  },
  task: 'sentiment of a review',
  template: 'review: {input}',
  labels: ['positive', 'negative'],
  generation: { max_new_tokens: 5 },
  recipe: {
    length: 4,
    init: 'labels',
    steps: 10,
    batch: 2,
    learningRate: 0.3,
    optimizer: 'adafactor',
    weightDecay: 1e-5,
    stepOffset: 0,
    seed: 1,
    maxInputTokens: 64,
    maxTargetTokens: 8,
    evalEvery: 5,
  },
  data: { name: 'rows.jsonl', rows: 3, sha256: 'a'.repeat(64) },
  bestStep: 5,
  metrics: [{ name: 'accuracy', split: 'dev', value: 0.9, n: 20, interval: [0.7, 0.97], step: 5, by: 'labels' }],
  unknown: { later_field: { inner_name: 1 } },
}

function example(): SoftPrompt {
  const random = createRandom(1)
  return softPrompt(
    tensor(
      'F32',
      [4, 16],
      Float32Array.from({ length: 64 }, () => 2000 * (random.uniform() - 0.5)),
    ),
    manifest,
  )
}

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'artifact-'))
})

afterEach(() => rm(dir, { recursive: true, force: true }))

describe('artifact folder', () => {
  it('comes back as it was, unknown fields too', async () => {
    await writePromptFolder(example(), dir)
    const read = await readPromptFolder(dir)
    expect(read.embeddings).toEqual(example().embeddings)
    const { files, ...rest } = read.manifest
    expect(rest).toEqual(manifest)
    expect(Object.keys(files ?? {})).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect((await readdir(dir)).toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'soft_prompt.json'])
  })

  it('is the same bytes when written twice', async () => {
    const first = await writePromptFolder(example(), dir)
    const second = await writePromptFolder(await readPromptFolder(dir), dir)
    for (const [name, bytes] of first) expect(second.get(name)).toEqual(bytes)
  })

  it('refuses a tensor that was exchanged', async () => {
    await writePromptFolder(example(), dir)
    const path = join(dir, 'adapter_model.safetensors')
    const bytes = await readFile(path)
    bytes[bytes.length - 3] = 0x11
    await writeFile(path, bytes)
    await expect(readPromptFolder(dir)).rejects.toMatchObject({ code: 'artifact-hash' })
  })

  it('refuses a newer version with what to do', async () => {
    await writePromptFolder(example(), dir)
    const path = join(dir, 'soft_prompt.json')
    await writeFile(path, (await readFile(path, 'utf8')).replace('"version": 1', '"version": 2'))
    await expect(readPromptFolder(dir)).rejects.toMatchObject({ code: 'manifest-version', message: expect.stringContaining('Update') })
  })

  it('opens plain PEFT adapters: 2P rows lose their dead half', async () => {
    const peft = join(import.meta.dirname, '../fixtures/peft')
    const [two, one] = await Promise.all([openPrompt(join(peft, 'prompt_tuning')), openPrompt(join(peft, 'prompt_tuning_sub1'))])
    expect(two.embeddings.shape).toEqual([5, 16])
    expect(one.embeddings.shape).toEqual([5, 16])
    await expect(openPrompt(join(peft, 'prefix_tuning'))).rejects.toMatchObject({
      code: 'peft-type',
      message: expect.stringContaining('keys and values'),
    })
    await expect(openPrompt(join(peft, 'multitask'))).rejects.toMatchObject({ code: 'peft-task' })
  })
})
