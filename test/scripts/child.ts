/** The command line as a child process: compiled once for the test file, beside node_modules so that packages resolve. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('../../', import.meta.url).pathname

export interface RunOptions {
  readonly stdin?: string
  /** The largest file the command may write. */
  readonly fileKb?: number
  /** The change of the disk at which it is killed with -9. */
  readonly killAt?: number
}

export interface Compiled {
  /** The compiled command line, for node. */
  readonly script: string
  /** Runs a command to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<{ code: number | null; stdout: string; stderr: string }>
  /** Starts a command. */
  start(args: readonly string[], options?: RunOptions): ChildProcess
  remove(): void
}

/** Compiles `scripts/` and what it imports. */
export function compile(): Compiled {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const dir = mkdtempSync(join(cache, 'soft-prompts-test-'))
  // Types are `npm run types`' concern: what was emitted runs.
  const built = spawnSync(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    dir,
  ])
  if (!existsSync(join(dir, 'scripts/soft-prompts.js'))) throw new Error(`tsc wrote nothing: ${String(built.stdout)}`)
  const script = join(dir, 'scripts/soft-prompts.js')
  const start = (args: readonly string[], { fileKb, killAt }: RunOptions = {}): ChildProcess => {
    const options = { cwd: root, stdio: 'pipe', env: { ...process.env, KILL_AT: String(killAt) } } as const
    const node = [...(killAt === undefined ? [] : ['--import', join(root, 'test/kill-at.mjs')]), script, ...args]
    return fileKb === undefined
      ? spawn(process.execPath, node, options)
      : spawn('bash', ['-c', `ulimit -f ${fileKb} && exec "$@"`, 'bash', process.execPath, ...node], options)
  }
  return {
    script,
    start,
    run: (args, options = {}) =>
      new Promise((resolve, reject) => {
        const child = start(args, options)
        let stdout = ''
        let stderr = ''
        child.stdout?.on('data', (chunk) => (stdout += String(chunk)))
        child.stderr?.on('data', (chunk) => (stderr += String(chunk)))
        child.stdin?.end(options.stdin ?? '')
        child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }))
      }),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}
