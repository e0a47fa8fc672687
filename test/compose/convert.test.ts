/** Any form into any other: what is read back is equal bit for bit, what stays behind is said, and nothing is written on bad input. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readArtifactFiles, sha256, writeFilesInto } from '../../adapters/artifact/folder.ts'
import { formatArtifact } from '../../adapters/artifact/artifact.ts'
import { convertPrompt } from '../../adapters/compose/convert.ts'
import { openPrompt, openPrompts } from '../../adapters/compose/open-prompt.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
let dir: string
const at = (name: string): string => join(dir, name)

/** An artifact with everything beside the numbers. */
async function artifact(name: string, seed = 1): Promise<string> {
  const random = createRandom(seed)
  const data = Float32Array.from({ length: 7 * 24 }, () => 4000 * (random.uniform() - 0.5))
  const prompt = softPrompt(tensor('F32', [7, 24], data), {
    base: { id: 'me/tiny' },
    template: '{input}',
    labels: ['a', 'b'],
    unknown: { newer: 1 },
  })
  const log = new TextEncoder().encode('{"step":1,"loss":2}\n')
  await writeFilesInto(at(name), await formatArtifact(prompt, { sha256, log, card: '# Mine\n', heads: 4, layers: 3 }))
  await writeFile(join(at(name), 'loss.svg'), '<svg/>')
  return at(name)
}
const filesOf = async (path: string): Promise<Record<string, string>> =>
  Object.fromEntries([...(await readArtifactFiles(path))].map(([name, bytes]) => [name, Buffer.from(bytes).toString('latin1')]))

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'convert-'))
})

afterEach(() => rm(dir, { recursive: true, force: true }))

describe('convert', () => {
  it('folder → bundle → folder: every file byte for byte, and the same bundle each time', async () => {
    const from = await artifact('one')
    expect(await convertPrompt(from, at('one.tar.gz'))).toMatchObject({ form: 'bundle', prompts: [{ maxDifference: 0, dropped: [] }] })
    await convertPrompt(at('one.tar.gz'), at('back'))
    expect(await filesOf(at('back'))).toEqual(await filesOf(from))
    expect(Object.keys(await filesOf(from))).toHaveLength(6)
    await convertPrompt(at('back'), at('again.tar.gz'))
    expect((await readFile(at('again.tar.gz'))).equals(await readFile(at('one.tar.gz')))).toBe(true)
  })

  it('folder → .npy → folder: equal numbers; the manifest stays behind and is named', async () => {
    const from = await artifact('one')
    const { prompts } = await convertPrompt(from, at('one.npy'))
    expect(prompts).toEqual([
      {
        name: 'one',
        from: 'soft-prompt',
        shape: [7, 24],
        maxDifference: 0,
        dropped: [expect.stringMatching(/base_model, template, labels, newer, training_log.jsonl, README.md, loss.svg/)],
      },
    ])
    await expect(convertPrompt(at('one.npy'), at('nameless'))).rejects.toMatchObject({ code: 'convert-base' })
    await convertPrompt(at('one.npy'), at('back'), { base: 'me/tiny' })
    const back = await openPrompt(at('back'))
    expect(back.embeddings).toEqual((await openPrompt(from)).embeddings)
    expect(back.manifest.base).toEqual({ id: 'me/tiny' })
  })

  it('.npy → folder → .npy gives the bytes numpy wrote', async () => {
    const npy = join(fixtures, 'google/f32.npy')
    await convertPrompt(npy, at('p'), { base: 'x/y' })
    await convertPrompt(at('p'), at('p.npy'))
    expect((await readFile(at('p.npy'))).equals(await readFile(npy))).toBe(true)
  })

  it('PEFT 2P rows → folder: P rows, equal, and the dead half is named', async () => {
    const { prompts } = await convertPrompt(join(fixtures, 'onnx/adapters/tiny-t5-v10-a'), at('p'))
    expect(prompts).toMatchObject([{ from: 'peft', shape: [7, 64], maxDifference: 0, dropped: [expect.stringContaining('Rows 7 to 13')] }])
  })

  it('→ .onnx_adapter: the numbers stand in it bit for bit', async () => {
    const from = await artifact('one')
    await convertPrompt(from, at('one.onnx_adapter'))
    const { data } = (await openPrompt(from)).embeddings
    const bytes = await readFile(at('one.onnx_adapter'))
    expect(bytes.toString('latin1', 4, 8)).toBe('TORT')
    expect(bytes.includes(Buffer.from(data.buffer, data.byteOffset, data.byteLength))).toBe(true)
  })

  it('packs several and takes one of them out again', async () => {
    const [one, two] = [await artifact('one', 1), await artifact('two', 2)]
    const packed = await convertPrompt(one, at('pack.tar.gz'), { also: [two] })
    expect(packed.prompts.map(({ name }) => name)).toEqual(['one', 'two'])
    expect([...(await openPrompts(at('pack.tar.gz'))).keys()]).toEqual(['one', 'two'])
    await convertPrompt(`${at('pack.tar.gz')}#two`, at('out'))
    expect(await filesOf(at('out'))).toEqual(await filesOf(two))
    await convertPrompt(at('pack.tar.gz'), at('all'))
    expect(await filesOf(at('all/one'))).toEqual(await filesOf(one))
    await expect(convertPrompt(at('pack.tar.gz'), at('p.npy'))).rejects.toMatchObject({ code: 'prompt-pack' })
    await expect(convertPrompt(one, at('x.tar.gz'), { also: [one] })).rejects.toMatchObject({ code: 'convert-names' })
  })

  it('F16 and BF16 are rounded, measured and named; what does not fit is refused', async () => {
    const from = await artifact('one')
    const half = (await convertPrompt(from, at('half'), { dtype: 'F16' })).prompts[0]
    expect(half?.maxDifference).toBeGreaterThan(0)
    expect(half?.maxDifference).toBeLessThanOrEqual(2000 * 2 ** -11)
    expect(half?.dropped).toEqual([expect.stringContaining('rounded to F16')])
    const kept = await convertPrompt(at('half'), at('half.tar.gz'))
    expect(kept.prompts[0]).toMatchObject({ maxDifference: 0, dropped: [] })
    const large = softPrompt(tensor('F32', [1, 2], new Float32Array([1, 70_000])), { base: { id: 'x' } })
    await writeFilesInto(at('large'), await formatArtifact(large, { sha256 }))
    await expect(convertPrompt(at('large'), at('large16'), { dtype: 'F16' })).rejects.toMatchObject({ code: 'prompt-f16-range' })
    expect((await convertPrompt(at('large'), at('large-bf16'), { dtype: 'BF16' })).prompts[0]?.maxDifference).toBeLessThanOrEqual(256)
  })

  it('another base drops the commit and fingerprint of the old one', async () => {
    const prompt = await openPrompt(await artifact('one'))
    const fingerprint = { version: 1, vocabSize: 9, width: 24 } as const
    const known = { ...prompt, manifest: { ...prompt.manifest, base: { id: 'a/b', revision: 'c', fingerprint } } }
    await writeFilesInto(at('known'), await formatArtifact(known, { sha256 }))
    const { prompts } = await convertPrompt(at('known'), at('moved'), { base: 'x/y' })
    expect((await openPrompt(at('moved'))).manifest.base).toEqual({ id: 'x/y' })
    expect(prompts[0]?.notes?.[0]).toMatch(/now called x\/y, in place of a\/b; its commit and fingerprint.* left out/)
  })

  it('a folder’s model gets its name and keeps its fingerprint; nothing else of the files changes', async () => {
    const prompt = await openPrompt(await artifact('one'))
    const fingerprint = { version: 1, vocabSize: 9, width: 24 } as const
    for (const id of ['base', '/kaggle/working/t5', 't5-small']) {
      const local = { ...prompt, manifest: { ...prompt.manifest, base: { id, onnxId: '/kaggle/onnx', fingerprint } } }
      await writeFilesInto(at('local'), await formatArtifact(local, { sha256, heads: 4, layers: 3 }))
      const { prompts } = await convertPrompt(at('local'), at('named'), { baseId: 't5-small', overwrite: true })
      expect((await openPrompt(at('named'))).manifest).toEqual({
        ...local.manifest,
        base: { id: 'google-t5/t5-small', fingerprint },
        files: expect.anything(),
      })
      expect(prompts[0]?.notes).toEqual([
        `The base model is now called google-t5/t5-small, in place of ${id}.`,
        expect.stringContaining('google-t5/t5-small is 512 wide and this prompt 24'),
      ])
      const config = (name: string): Promise<unknown> =>
        readFile(at(`${name}/adapter_config.json`), 'utf8').then((text) => JSON.parse(text))
      expect(await config('named')).toEqual({ ...((await config('local')) as object), base_model_name_or_path: 'google-t5/t5-small' })
    }
  })

  it('a path becomes its last part, and that is said', async () => {
    const prompt = await openPrompt(await artifact('one'))
    const local = { ...prompt, manifest: { ...prompt.manifest, base: { id: 'C:\\Users\\me\\t5' } } }
    await writeFilesInto(at('local'), await formatArtifact(local, { sha256 }))
    for (const to of ['named', 'named.tar.gz']) {
      const { prompts } = await convertPrompt(at('local'), at(to))
      expect(prompts[0]?.notes?.[0]).toMatch(/now called t5, in place of C:.*--base-id OWNER\/NAME/)
      expect((await openPrompt(at(to))).manifest.base).toEqual({ id: 't5' })
    }
    const half = await convertPrompt(at('local'), at('half'), { dtype: 'F16' })
    expect(half.prompts[0]?.notes?.[0]).toContain('now called t5')
    for (const baseId of ['./t5', 't5', '', '~/t5'])
      await expect(convertPrompt(at('local'), at('x'), { baseId })).rejects.toMatchObject({ code: 'base-id' })
  })

  it('replaces only what it is told to, and leaves nothing of the old prompt', async () => {
    const from = await artifact('one')
    await artifact('target', 2)
    await expect(convertPrompt(from, at('target'))).rejects.toMatchObject({ code: 'convert-exists' })
    await convertPrompt(join(fixtures, 'peft/prompt_tuning'), at('target'), { overwrite: true, base: 'me/other' })
    expect(Object.keys(await filesOf(at('target'))).toSorted()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'soft_prompt.json',
    ])
  })

  it.each<[string, string, string]>([
    ['a hostile source', 'peft/prefix_tuning', 'peft-type'],
    ['a pickle in NumPy form', 'google/objects.npy', 'npy-pickle'],
    ['a multitask adapter without a task', 'peft/multitask', 'peft-task'],
  ])('writes nothing for %s', async (_, source, code) => {
    for (const to of ['x', 'x.tar.gz', 'x.npy', 'x.onnx_adapter']) {
      await expect(convertPrompt(join(fixtures, source), at(to))).rejects.toMatchObject({ code })
    }
    expect(await readdir(dir)).toEqual([])
  })

  it('refuses forms that are none', async () => {
    const from = await artifact('one')
    for (const to of ['x.bin', 'x.safetensors', 'x.pt', 'x.onnx']) {
      await expect(convertPrompt(from, at(to))).rejects.toMatchObject({ code: 'convert-form' })
    }
    await expect(convertPrompt(from, at('x.npy'), { dtype: 'F16' })).rejects.toMatchObject({ code: 'convert-dtype' })
  })
})
