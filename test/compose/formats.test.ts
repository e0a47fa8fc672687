/** The README's table of formats, cell by cell: every form that is read, into every form that is written, and back. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { convertPrompt, type ConvertOptions } from '../../adapters/compose/convert.ts'
import { openPrompt, openPromptAs, openPrompts } from '../../adapters/compose/open-prompt.ts'
import { formatOnnxAdapter } from '../../adapters/onnx-adapter/onnx-adapter.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const dir = await mkdtemp(join(tmpdir(), 'formats-'))
afterAll(() => rm(dir, { recursive: true, force: true }))
const fixture = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url))

const random = createRandom(3)
const prompt = softPrompt(
  tensor(
    'F32',
    [6, 8],
    Float32Array.from({ length: 48 }, () => random.uniform() * 2000 - 1000),
  ),
  { base: { id: 'google-t5/t5-small', revision: 'a'.repeat(40) }, task: 'sentiment', template: '{text}', labels: ['no', 'yes'] },
)
for (const dtype of ['F32', 'F16', 'BF16'] as const)
  await writePromptFolder(prompt, join(dir, `artifact-${dtype}`), { dtype, card: '# Mine\n' })
await convertPrompt(join(dir, 'artifact-F32'), join(dir, 'bundle.tar.gz'))

/** Everything that is read. */
const SOURCES: readonly (readonly [name: string, path: string, options?: ConvertOptions])[] = [
  ['our folder, F32', join(dir, 'artifact-F32')],
  ['our folder, F16', join(dir, 'artifact-F16')],
  ['our folder, BF16', join(dir, 'artifact-BF16')],
  ['our bundle', join(dir, 'bundle.tar.gz')],
  ['PEFT prompt tuning, 2P rows', fixture('peft/prompt_tuning')],
  ['PEFT prompt tuning, P rows', fixture('peft/prompt_tuning_sub1')],
  ['PEFT P-tuning, MLP', fixture('peft/p_tuning_mlp')],
  ['PEFT P-tuning, LSTM', fixture('peft/p_tuning_lstm')],
  ['PEFT multitask, 2P rows', fixture('peft/multitask'), { task: 2 }],
  ['PEFT multitask, P rows', fixture('peft/multitask_sub1'), { task: 0 }],
  ['PEFT CPT', fixture('peft/cpt')],
  ['.npy, F32', fixture('google/f32.npy')],
  ['.npy, F16', fixture('google/f16.npy')],
  ['.npy, F64', fixture('google/f64.npy')],
]
const TARGETS = ['folder', 'bundle.tar.gz', 'matrix.npy', 'adapter.onnx_adapter'] as const
const CELLS = SOURCES.flatMap(([name, path, options = {}]) => TARGETS.map((target) => [name, target, path, options] as const))

const bytesOf = ({ embeddings: { data } }: SoftPrompt): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

let count = 0
const fresh = (name: string): string => join(dir, `${count++}-${name}`)

describe('formats', () => {
  it.each(CELLS)('%s -> %s: every value as it was read', async (_, target, path, options) => {
    const to = fresh(target)
    const source = await openPrompt(path, options)
    const base = source.manifest.base.id === '' && !target.includes('.n') && !target.includes('.onnx') ? { base: 'owner/base' } : {}
    const { prompts } = await convertPrompt(path, to, { ...options, ...base })
    expect(prompts.map(({ maxDifference }) => maxDifference)).toEqual([0])
    const expected = target.endsWith('.onnx_adapter') ? Buffer.from(formatOnnxAdapter(source)) : bytesOf(source)
    const got = target.endsWith('.onnx_adapter') ? await readFile(to) : bytesOf(await openPrompt(to))
    expect(got.equals(expected)).toBe(true)
  })

  it('folder -> bundle -> folder: the same files, byte for byte', async () => {
    const [bundle, back] = [fresh('b.tar.gz'), fresh('back')]
    await convertPrompt(join(dir, 'artifact-F16'), bundle)
    await convertPrompt(bundle, back)
    const names = await readdir(back)
    expect(names.toSorted()).toEqual((await readdir(join(dir, 'artifact-F16'))).toSorted())
    const same = await Promise.all(
      names.map(async (name) => (await readFile(join(back, name))).equals(await readFile(join(dir, 'artifact-F16', name)))),
    )
    expect(names.filter((_, index) => !same[index])).toEqual([])
  })

  it('.npy -> folder -> .npy: the same bytes', async () => {
    const [folder, back] = [fresh('f'), fresh('b.npy')]
    await convertPrompt(fixture('google/f32.npy'), folder, { base: 'google/t5-base-lm-adapt' })
    await convertPrompt(folder, back)
    expect((await readFile(back)).equals(await readFile(fixture('google/f32.npy')))).toBe(true)
  })

  it('several prompts -> a pack -> each of them', async () => {
    const pack = fresh('pack.tar.gz')
    await convertPrompt(join(dir, 'artifact-F32'), pack, { also: [join(dir, 'artifact-F16')] })
    expect([...(await openPrompts(pack)).keys()].toSorted()).toEqual(['artifact-F16', 'artifact-F32'])
    expect((await openPrompt(`${pack}#artifact-F32`)).embeddings).toEqual(prompt.embeddings)
    await expect(openPrompt(pack)).rejects.toThrow(expect.objectContaining({ code: 'prompt-pack' }))
  })

  it.each([
    ['F16', 2 ** -11],
    ['BF16', 2 ** -8],
  ] as const)('to %s: rounded, and said so', async (dtype, most) => {
    const to = fresh(dtype)
    const { prompts } = await convertPrompt(join(dir, 'artifact-F32'), to, { dtype })
    expect(prompts[0]?.maxDifference).toBeGreaterThan(0)
    expect(prompts[0]?.maxDifference).toBeLessThanOrEqual(1000 * most)
    expect(prompts[0]?.dropped.join()).toMatch(/rounded/)
    expect((await openPromptAs(to)).dtype).toBe(dtype)
  })

  it('what a matrix alone cannot hold is named', async () => {
    const { prompts } = await convertPrompt(join(dir, 'artifact-F32'), fresh('x.npy'))
    for (const part of ['base_model', 'task', 'template', 'labels']) expect(prompts[0]?.dropped.join()).toContain(part)
  })

  it.each([
    ['peft/prefix_tuning', 'peft-type'],
    ['peft/prefix_tuning_proj', 'peft-type'],
    ['google/objects.npy', 'npy-pickle'],
    ['google/fortran.npy', 'npy-order'],
    ['google/big_endian.npy', 'npy-dtype'],
    ['google/vector.npy', 'npy-shape'],
    ['peft/cpt/adapter_model.safetensors', 'prompt-file'],
    ['peft/nothing', 'prompt-missing'],
  ])('%s is refused (%s), and nothing is written', async (path, code) => {
    const to = fresh('never')
    await expect(convertPrompt(fixture(path), to)).rejects.toThrow(expect.objectContaining({ code }))
    await expect(readdir(to)).rejects.toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('a pickle is refused by what it is', async () => {
    const path = fresh('prompt.bin')
    await writeFile(path, Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e))
    await expect(openPrompt(path)).rejects.toThrow(expect.objectContaining({ code: 'peft-pickle' }))
  })
})
