/** The command line as a child process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { compileProgram, root, troubled, type Program, type Trouble } from '../program.ts'

export interface RunOptions extends Trouble {
  readonly stdin?: string
  /** The largest file the command may write. */
  readonly fileKb?: number
}

export interface Compiled extends Program {
  /** Runs a command to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<{ code: number | null; stdout: string; stderr: string }>
  /** Starts a command. */
  start(args: readonly string[], options?: RunOptions): ChildProcess
}

/** Compiles `scripts/` and what it imports. */
export function compile(): Compiled {
  const { script, remove } = compileProgram('scripts/soft-prompts.ts')
  const start = (args: readonly string[], { fileKb, ...trouble }: RunOptions = {}): ChildProcess => {
    const { args: first, env } = troubled(trouble)
    const options = { cwd: root, stdio: 'pipe', env } as const
    const node = [...first, script, ...args]
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
    remove,
  }
}
