/** The Python of the reference libraries (torch, PEFT, onnxruntime); tests that need it skip where it is not installed (see CONTRIBUTING). */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const PYTHON = process.env['SOFT_PROMPTS_PYTHON'] ?? resolve(import.meta.dirname, '../../.peers/bin/python')

/** Whether this Python has these modules. */
export function hasPython(...modules: string[]): boolean {
  if (!existsSync(PYTHON)) return false
  const script = 'import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in sys.argv[1:]))'
  try {
    execFileSync(PYTHON, ['-c', script, ...modules], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs a script beside this file; its last line is JSON. */
export async function runPython(script: string, ...args: string[]): Promise<unknown> {
  const env = { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1' }
  const { stdout } = await promisify(execFile)(PYTHON, [resolve(import.meta.dirname, script), ...args], { env, timeout: 110_000 })
  return JSON.parse(stdout.trim().split('\n').at(-1) as string)
}
