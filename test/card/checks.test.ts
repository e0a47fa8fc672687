/** Figures of a card that come from checks: a prompt run on real float and quantised encoders, and words near its tokens, kept in the manifest. */
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPromptFolder, writePromptFolder } from '../../adapters/artifact/folder.ts'
import { baseModel } from '../../adapters/compose/base-model.ts'
import { renderCardFiles, writeCard } from '../../adapters/compose/card.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { makeNode } from '../../src/onnx/tensors.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { encoderOf, folderOf, promptOf } from '../attach/fixtures.ts'
import { floatModel, VARIANTS, withGraph } from '../attach/variants.ts'

const MODEL = 'tiny-t5-v11'
/** Files that transformers.js knows, and the encoder that is put there. */
const FILES = {
  'encoder_model_q4.onnx': 'blocks of 4 bits',
  'encoder_model_int8.onnx': 'int8 table, DequantizeLinear before the lookup',
} as const
let dir = ''
let base = ''

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-checks-'))
  base = join(dir, 'base')
  const folder = folderOf(MODEL)
  await cp(join(folder, 'hf'), base, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(folder, name), join(base, name))
  await mkdir(join(base, 'onnx'))
  for (const dtype of ['fp32', 'q8'] as const) {
    const file = encoderOf(MODEL, dtype)
    await cp(file, join(base, 'onnx', file.slice(file.lastIndexOf('/') + 1)))
  }
  await cp(encoderOf(MODEL), join(base, 'onnx/encoder_model_copy.onnx'))
  for (const [file, variant] of Object.entries(FILES)) {
    await writeFile(join(base, 'onnx', file), formatModel((VARIANTS[variant] as () => Parameters<typeof formatModel>[0])()))
  }
  await writePromptFolder({ ...promptOf(MODEL, 'a'), manifest: { base: await baseModel(await openBase(base)) } }, join(dir, 'mine'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** The drift of a table rounded to 127 steps, over the values that the fingerprint holds: computed from the PyTorch weights. */
async function int8Drift(): Promise<number> {
  const table = (await openBase(base)).embeddingTable()
  const whole = table.rows(Array.from({ length: table.vocabSize }, (_, id) => id))
  const scale = whole.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127
  const ids = (await manifestOf()).base.fingerprint?.probe?.ids ?? []
  let [error, total] = [0, 0]
  for (const row of ids) {
    for (const value of table.rows([row]).subarray(0, 16)) {
      error += (Math.round(value / scale) * scale - value) ** 2
      total += value ** 2
    }
  }
  return Math.sqrt(error / total)
}

const manifestOf = async (): Promise<Manifest> => (await readPromptFolder(join(dir, 'mine'))).manifest
const section = (card: string): string => /^<!-- soft-prompts:checks -->\n([\s\S]*?)^<!-- \//m.exec(card)?.[1] ?? ''

const percent = (share = 0): string => `${Number((100 * share).toPrecision(2))} %`

describe('card --check', () => {
  it('runs the prompt on every encoder; figures stand in the manifest and on the card', async () => {
    const mine = join(dir, 'mine')
    const before = await readFile(join(mine, 'adapter_model.safetensors'))
    expect(await writeCard(mine)).toEqual(['README.md'])
    expect(section(await readFile(join(mine, 'README.md'), 'utf8'))).toBe('')
    // Printed or shown, nothing is written.
    const printed = (await renderCardFiles(mine, { check: base })).get('README.md') ?? ''
    expect((await manifestOf()).checks).toBeUndefined()
    expect(await writeCard(mine, { check: base })).toEqual(['soft_prompt.json', 'README.md'])
    const card = await readFile(join(mine, 'README.md'), 'utf8')
    expect(card).toBe(printed)

    // Read back: still sound, hashes included.
    const { checks = [] } = await manifestOf()
    expect(await readFile(join(mine, 'adapter_model.safetensors'))).toEqual(before)
    const byFile = Object.fromEntries(checks.map((check) => [check.file, check]))
    expect(Object.keys(byFile).toSorted()).toEqual([
      'encoder_model.onnx',
      'encoder_model_copy.onnx',
      'encoder_model_int8.onnx',
      'encoder_model_q4.onnx',
      'encoder_model_quantized.onnx',
    ])
    expect(byFile['encoder_model.onnx']).toMatchObject({ answer: 'same', drift: 0 })
    expect(byFile['encoder_model_copy.onnx']).toMatchObject({ answer: 'same', drift: 0, outputDrift: 0, texts: 4 })
    expect(byFile['encoder_model_int8.onnx']?.drift).toBeCloseTo(await int8Drift(), 6)
    for (const file of ['encoder_model_int8.onnx', 'encoder_model_q4.onnx', 'encoder_model_quantized.onnx']) {
      expect(byFile[file]?.answer).toBe('quantised')
      expect(byFile[file]?.outputDrift).toBeGreaterThan(0)
      expect(byFile[file]?.outputDrift).toBeLessThan(0.5)
    }
    // Four bits are coarser than eight, in the rows and in what comes of them.
    for (const figure of ['drift', 'outputDrift'] as const)
      expect(byFile['encoder_model_q4.onnx']?.[figure]).toBeGreaterThan(byFile['encoder_model_int8.onnx']?.[figure] ?? 1)
    for (const { file, sha256 } of checks)
      expect(sha256).toBe(
        createHash('sha256')
          .update(await readFile(join(base, 'onnx', file)))
          .digest('hex'),
      )

    // The card says these figures and no others.
    const rows = section(card).match(/^\| `.*$/gm) ?? []
    expect(rows).toEqual(
      checks.map(
        ({ file, answer, drift, outputDrift }) =>
          `| \`${file}\` | ${answer === 'same' ? 'the same weights' : 'rounded or quantised'} | ${percent(drift)} | ${outputDrift === undefined ? '' : percent(outputDrift)} |`,
      ),
    )
    // Written again without a check, they stay.
    expect(await writeCard(mine)).toEqual([])
  })

  it('checks every prompt of a pack', async () => {
    const pack = join(dir, 'pack')
    for (const name of ['one', 'two']) {
      await writePromptFolder({ ...promptOf(MODEL, 'b'), manifest: { base: await baseModel(await openBase(base)) } }, join(pack, name))
    }
    expect(await writeCard(pack, { check: base })).toEqual(['one/soft_prompt.json', 'two/soft_prompt.json', 'README.md'])
    expect((await readPromptFolder(join(pack, 'two'))).manifest.checks).toHaveLength(5)
    expect(await writeCard(pack)).toEqual([])
  })

  it('refuses another model, one that overflows, and a prompt without a fingerprint, and writes nothing', async () => {
    const mine = join(dir, 'mine')
    const before = await readFile(join(mine, 'soft_prompt.json'))
    await expect(writeCard(mine, { check: folderOf('tiny-t5-v10') })).rejects.toMatchObject({ code: 'prompt-base' })
    await expect(writeCard(mine, { check: join(dir, 'none') })).rejects.toMatchObject({ code: 'base-missing' })
    expect(await readFile(join(mine, 'soft_prompt.json'))).toEqual(before)
    // Its output is no number; all weights are those of the base.
    const output = 'last_hidden_state'
    const model = withGraph(floatModel(), ({ nodes }) => ({
      nodes: [
        ...nodes.map((node) => ({ ...node, outputs: node.outputs.map((name) => (name === output ? 'whole' : name)) })),
        makeNode('Sub', ['whole', 'whole'], ['nothing']),
        makeNode('Div', ['whole', 'nothing'], [output]),
      ],
    }))
    const broken = join(dir, 'broken')
    await cp(base, broken, { recursive: true })
    await writeFile(join(broken, 'onnx/encoder_model.onnx'), formatModel(model))
    await expect(writeCard(mine, { check: broken })).rejects.toMatchObject({ code: 'encoder-not-finite' })
    expect(await readFile(join(mine, 'soft_prompt.json'))).toEqual(before)
    await writePromptFolder(promptOf(MODEL, 'a'), join(dir, 'bare'))
    await expect(writeCard(join(dir, 'bare'), { check: base })).rejects.toMatchObject({ code: 'fingerprint-missing' })
  })
})

describe('card --model', () => {
  it('finds the nearest words where the manifest lacks them, and keeps them', async () => {
    const mine = join(dir, 'near')
    const opened = await openBase(base)
    const rows = [77, 78, 200].flatMap((id) => [...opened.embeddingTable().rows([id])])
    const prompt = softPrompt(tensor('F32', [3, 64], Float32Array.from(rows)), { base: await baseModel(opened) })
    await writePromptFolder(prompt, mine)
    await expect(writeCard(mine, { model: folderOf('tiny-t5-v10') })).rejects.toMatchObject({ code: 'prompt-base' })
    expect(await writeCard(mine, { model: base })).toEqual(['soft_prompt.json', 'README.md'])
    const { nearest = [] } = (await readPromptFolder(mine)).manifest
    expect(nearest.map(([first]) => first)).toEqual([77, 78, 200].map((id) => opened.tokenizer.pieces[id]))
    expect(await readFile(join(mine, 'README.md'), 'utf8')).toContain('## Nearest words')
    // On record now: the model is not opened again.
    expect(await writeCard(mine, { model: join(dir, 'none') })).toEqual([])
  })

  it('of a plain PEFT adapter it is on the card alone', async () => {
    const plain = join(dir, 'plain')
    await cp(new URL('../fixtures/onnx/adapters/tiny-t5-v11-a', import.meta.url), plain, { recursive: true })
    expect(await writeCard(plain, { model: base })).toEqual(['README.md'])
    expect(await readFile(join(plain, 'README.md'), 'utf8')).toContain('## Nearest words')
  })
})
