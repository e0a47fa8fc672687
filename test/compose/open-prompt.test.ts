/** One way in for every container: folder, bundle, pack, pack as a folder, `.npy`; and a word for what is none of them. */
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readArtifactFiles, writePromptFolder } from '../../adapters/artifact/folder.ts'
import { openPrompt, openPromptAs, openPrompts } from '../../adapters/compose/open-prompt.ts'
import { writeBundle } from '../../adapters/tar/bundle.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
let dir: string
const at = (name: string): string => join(dir, name)

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'open-'))
  const prompt = await openPrompt(join(fixtures, 'peft/prompt_tuning'))
  await writePromptFolder({ ...prompt, manifest: { base: { id: 'me/tiny' }, task: 'one' } }, at('pack/one'))
  await writePromptFolder({ ...prompt, manifest: { base: { id: 'me/tiny' }, task: 'two' } }, at('pack/two'))
  const [one, two] = await Promise.all([readArtifactFiles(at('pack/one')), readArtifactFiles(at('pack/two'))])
  await writeBundle(at('one.tar.gz'), new Map([['', one]]))
  await writeBundle(
    at('both.tgz'),
    new Map([
      ['one', one],
      ['two', two],
    ]),
  )
  await copyFile(at('one.tar.gz'), at('no-ending'))
})

afterAll(() => rm(dir, { recursive: true, force: true }))

describe('openPrompt', () => {
  it('reads folder, bundle and a bundle without its ending alike', async () => {
    const folder = await openPromptAs(at('pack/one'))
    expect(folder).toMatchObject({ name: 'one', format: 'soft-prompt', container: 'folder', dtype: 'F32', storedShape: [5, 16] })
    const bundle = await openPromptAs(at('one.tar.gz'))
    expect(bundle).toMatchObject({ name: 'one', format: 'soft-prompt', container: 'bundle' })
    expect(bundle.prompt).toEqual(folder.prompt)
    expect((await openPrompt(at('no-ending'))).manifest.task).toBe('one')
  })

  it('reads a pack, as a bundle or a folder of folders', async () => {
    for (const pack of ['both.tgz', 'pack']) {
      const prompts = await openPrompts(at(pack))
      expect([...prompts].map(([name, { manifest }]) => [name, manifest.task])).toEqual([
        ['one', 'one'],
        ['two', 'two'],
      ])
      expect((await openPrompt(at(pack), { name: 'two' })).manifest.task).toBe('two')
      expect((await openPrompt(`${at(pack)}#two`)).manifest.task).toBe('two')
      await expect(openPrompt(at(pack))).rejects.toMatchObject({ code: 'prompt-pack', message: expect.stringContaining('#one') })
      await expect(openPrompt(`${at(pack)}#three`)).rejects.toMatchObject({ code: 'prompt-name' })
    }
  })

  it('calls what was pulled as its repository', async () => {
    const snapshot = at(`models--me--sst2/snapshots/${'0'.repeat(40)}`)
    await cp(at('pack/one'), snapshot, { recursive: true })
    expect((await openPromptAs(snapshot)).name).toBe('sst2')
  })

  it('reads the .npy of the paper and says that it names no base', async () => {
    const found = await openPromptAs(join(fixtures, 'google/f64.npy'))
    expect(found).toMatchObject({ name: 'f64', format: 'npy', container: 'file', dtype: 'F64', notes: ['F64 was rounded to F32.'] })
    expect(found.prompt.manifest).toEqual({ base: { id: '' } })
  })

  it('says that a prompt on the Hub is pulled first, where it takes none', async () => {
    await expect(openPrompt('me/nowhere')).rejects.toMatchObject({
      code: 'prompt-missing',
      message: expect.stringContaining('soft-prompts pull me/nowhere --out DIR'),
    })
  })

  it.each<[string, () => Promise<string> | string, string]>([
    ['nothing there', () => at('nowhere'), 'prompt-missing'],
    ['an empty folder', () => mkdtemp(at('empty-')), 'artifact-file-missing'],
    ['a text file', () => join(fixtures, 'google/make_npy.py'), 'prompt-file'],
    ['a tensor file without its folder', () => join(fixtures, 'peft/prompt_tuning/adapter_model.safetensors'), 'prompt-file'],
    ['a device', () => '/dev/zero', 'prompt-file'],
    [
      'a folder whose tensor file is a device',
      () =>
        spoiled((to) => rm(join(to, 'adapter_model.safetensors')).then(() => symlink('/dev/zero', join(to, 'adapter_model.safetensors')))),
      'artifact-file-kind',
    ],
    ['a zip, as torch.save and numpy.savez write', () => written('x.npz', Buffer.from('PK\u0003\u0004')), 'peft-pickle'],
    ['a bare pickle', () => written('x.pkl', Buffer.from([0x80, 4, 0x95])), 'peft-pickle'],
    [
      'a folder whose tensors are a pickle',
      () =>
        spoiled((to) =>
          cp(join(to, 'adapter_model.safetensors'), join(to, 'adapter_model.bin')).then(() => rm(join(to, 'adapter_model.safetensors'))),
        ),
      'peft-pickle',
    ],
    ['a folder without its tensor file', () => spoiled((to) => rm(join(to, 'adapter_model.safetensors'))), 'artifact-file-missing'],
    ['a folder without its configuration', () => spoiled((to) => rm(join(to, 'adapter_config.json'))), 'artifact-file-missing'],
    [
      'a configuration that was changed',
      () => spoiled((to) => change(join(to, 'adapter_config.json'), '"inference_mode": true', '"inference_mode": false')),
      'artifact-hash',
    ],
    [
      'a configuration of another length',
      () => spoiled((to) => change(join(to, 'adapter_config.json'), '"num_virtual_tokens": 5', '"num_virtual_tokens": 4')),
      'artifact-shape',
    ],
    [
      'a configuration of another base',
      () => spoiled((to) => change(join(to, 'adapter_config.json'), 'me/tiny', 'you/tiny')),
      'artifact-base',
    ],
    [
      'a configuration of another type beside a manifest',
      () => spoiled((to) => change(join(to, 'adapter_config.json'), 'PROMPT_TUNING', 'P_TUNING')),
      'artifact-type',
    ],
    [
      'a manifest that hashes a file that is not there',
      () => spoiled((to) => change(join(to, 'soft_prompt.json'), '"adapter_config.json": "', '"training_log.jsonl": "')),
      'artifact-file-missing',
    ],
    [
      'a manifest in Latin-1',
      () => spoiled((to) => writeFile(join(to, 'soft_prompt.json'), Buffer.from('{"a":"\u00e9"}', 'latin1'))),
      'artifact-text',
    ],
    [
      'a manifest of 2 MB',
      () => spoiled((to) => writeFile(join(to, 'soft_prompt.json'), Buffer.alloc(2 << 20, 0x20))),
      'artifact-file-size',
    ],
  ])('refuses %s', async (_, path, code) => {
    await expect(openPrompt(await path())).rejects.toMatchObject({ code })
  })

  it('a task is for adapters with several', async () => {
    await expect(openPrompt(at('pack/one'), { task: 0 })).rejects.toMatchObject({ code: 'peft-task' })
    expect((await openPrompt(join(fixtures, 'peft/multitask'), { task: 2 })).embeddings.shape).toEqual([5, 16])
  })
})

async function written(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(at(name), bytes)
  return at(name)
}

/** A copy of a sound artifact with something done to it. */
async function spoiled(spoil: (dir: string) => Promise<unknown>): Promise<string> {
  const copy = await mkdtemp(at('spoiled-'))
  await mkdir(copy, { recursive: true })
  await cp(at('pack/one'), copy, { recursive: true })
  await spoil(copy)
  return copy
}

async function change(path: string, from: string, to: string): Promise<void> {
  const text = await readFile(path, 'utf8')
  expect(text).toContain(from)
  await writeFile(path, text.replace(from, to))
}
