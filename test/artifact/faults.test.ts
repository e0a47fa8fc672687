/** A writer killed at any moment: what is read afterwards is one of the two prompts, whole, or a coded error; never a mixture. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseArtifact } from '../../adapters/artifact/artifact.ts'
import { readPromptFolder } from '../../adapters/artifact/folder.ts'
import { readBundle } from '../../adapters/tar/bundle.ts'
import { SoftPromptError } from '../../src/errors.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { compileProgram, troubled, type Program } from '../program.ts'

let writer: Program
beforeAll(() => {
  writer = compileProgram('test/artifact/writer.ts')
})
afterAll(() => writer?.remove())

/** All values are one value, and the manifest says the same. */
function whole({ embeddings, manifest }: SoftPrompt): boolean {
  const value = Number(manifest.task)
  return (value === 1 || value === 2) && embeddings.data.every((held) => held === value)
}

describe('a writer killed', () => {
  it.each([
    ['the same base', ['one', 'one'], 'artifact-hash'],
    ['another base', ['one', 'other'], 'artifact-base'],
  ])('leaves a whole prompt or a coded error, in a folder and in a bundle: of %s', async (_, bases, code) => {
    const work = await mkdtemp(join(tmpdir(), 'faults-'))
    const [dir, bundle] = [join(work, 'prompt'), join(work, 'b.tar.gz')]
    const write = (value: number, killAt?: number): boolean => {
      const { args, env } = troubled(killAt === undefined ? {} : { killAt })
      const command = [...args, writer.script, dir, bundle, String(value), bases[value - 1] ?? '']
      return spawnSync(process.execPath, command, { stdio: 'inherit', env }).signal === null
    }
    write(1)
    const seen: string[] = []
    for (let killAt = 1; ; killAt += 1) {
      const value = 2 - (killAt % 2)
      const isDone = write(value, killAt)
      seen.push(
        await readPromptFolder(dir).then(
          (prompt) => (whole(prompt) ? 'whole' : 'mixed'),
          (error: unknown) => (error instanceof SoftPromptError ? error.code : String(error)),
        ),
      )
      // A bundle is one file, so it is always whole.
      expect(whole(parseArtifact((await readBundle(bundle)).get('') ?? new Map()))).toBe(true)
      if (isDone) break
    }
    // A folder is three files: between two renames the base ids or the hashes tell.
    expect(new Set(seen)).toEqual(new Set(['whole', code]))
    expect(seen.length).toBeGreaterThan(10)
    expect(seen.at(-1)).toBe('whole')
    await rm(work, { recursive: true, force: true })
  })
})
