/** TypeScript as a program of its own: compiled once for a test file, beside node_modules so that packages resolve; run, and killed. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const root: string = resolve(import.meta.dirname, '..')

export interface Program {
  /** The compiled file, for node. */
  readonly script: string
  remove(): void
}

/** Compiles a file and what it imports; types are checked elsewhere. @param entry from the root, as `test/hub/child.ts` */
export function compileProgram(entry: string): Program {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const dir = mkdtempSync(join(cache, 'soft-prompts-test-'))
  const options = { outDir: dir, rootDir: root, noCheck: true, isolatedDeclarations: false, declaration: false, sourceMap: false }
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions: options, include: [], files: [join(root, entry)] }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(dir, 'tsconfig.json')])
  return { script: join(dir, entry.replace(/ts$/, 'js')), remove: () => rmSync(dir, { recursive: true, force: true }) }
}

export interface Trouble {
  /** The change of the disk at which it is killed with -9. */
  readonly killAt?: number
  /** The change of the disk from which on there is no room. */
  readonly fullAt?: number
}

/** What makes node meet with trouble. */
export function troubled({ killAt, fullAt }: Trouble): { args: string[]; env: NodeJS.ProcessEnv } {
  const args = killAt === undefined && fullAt === undefined ? [] : ['--import', join(root, 'test/disk-trouble.mjs')]
  return { args, env: { ...process.env, KILL_AT: String(killAt), FULL_AT: String(fullAt) } }
}
