/** A writer killed at any moment: what is read afterwards is one of the two prompts, whole, or a coded error; never a mixture. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseArtifact } from '../../adapters/artifact/artifact.ts'
import { readPromptFolder } from '../../adapters/artifact/folder.ts'
import { readBundle } from '../../adapters/tar/bundle.ts'
import { SoftPromptError } from '../../src/errors.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { createRandom } from '../../src/tensor/random.ts'

const root = resolve(import.meta.dirname, '../..')
let compiled = ''

beforeAll(() => {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  compiled = mkdtempSync(join(cache, 'soft-prompts-writer-'))
  const options = { outDir: compiled, rootDir: root, noCheck: true, isolatedDeclarations: false, declaration: false, sourceMap: false }
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: options,
    include: [],
    files: [join(root, 'test/artifact/writer.ts')],
  }
  writeFileSync(join(compiled, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(compiled, 'tsconfig.json')])
})
afterAll(() => rmSync(compiled, { recursive: true, force: true }))

/** All values are one value, and the manifest says the same. */
function whole({ embeddings, manifest }: SoftPrompt): boolean {
  const value = Number(manifest.task)
  return (value === 1 || value === 2) && embeddings.data.every((held) => held === value)
}

describe('a writer killed', () => {
  it('leaves a whole prompt or a coded error, in a folder and in a bundle', { timeout: 60_000 }, async () => {
    const work = await mkdtemp(join(tmpdir(), 'faults-'))
    const dir = join(work, 'prompt')
    const random = createRandom(5)
    const seen = new Set<string>()
    for (let time = 0; time < 12; time++) {
      const writer = spawn(process.execPath, [join(compiled, 'test/artifact/writer.js'), dir, work], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(writer.stdout, 'data')
      // The delay only picks the moment; every moment must do.
      await new Promise((done) => {
        setTimeout(done, random.int(40))
      })
      writer.kill('SIGKILL')
      await once(writer, 'close')
      seen.add(
        await readPromptFolder(dir).then(
          (prompt) => (whole(prompt) ? 'whole' : 'mixed'),
          (error: unknown) => (error instanceof SoftPromptError ? error.code : String(error)),
        ),
      )
      // A bundle is one file, so it is always whole.
      expect(whole(parseArtifact((await readBundle(join(work, 'b.tar.gz'))).get('') ?? new Map()))).toBe(true)
    }
    // A folder is three files: between two renames the base ids or the hashes tell.
    expect([...seen].filter((outcome) => !['whole', 'artifact-hash', 'artifact-base'].includes(outcome))).toEqual([])
    expect(seen).toContain('whole')
    rmSync(work, { recursive: true, force: true })
  })
})
