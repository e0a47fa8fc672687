/** The compiler refuses what options.ts says that it must, and knows what it says that it knows. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = new URL('../../', import.meta.url).pathname

it('types of options', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-types-'))
  try {
    const project = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { noEmit: true, rootDir: root, typeRoots: [join(root, 'node_modules/@types')] },
      include: [join(root, 'test/types/options.ts')],
    }
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(project))
    const compiled = promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', dir])
    expect(await compiled.then(({ stdout }) => stdout).catch((error: { stdout: string }) => error.stdout)).toBe('')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
