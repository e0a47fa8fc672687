/**
 * Runs before every test file (vitest's setupFiles): a test fails if a token is seen in what it or its child processes print, in what an error of
 * ours says or holds, or in a file that it tidies up. Every token that a test sends holds `0123456789` behind `hf_` or `token`.
 */
import childProcess, { ChildProcess } from 'node:child_process'
import fs, { lstatSync, readdirSync, readFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach } from 'vitest'
import { HubError, SoftPromptError } from '../../src/errors.ts'

const NEEDLE = '0123456789'
const TOKEN = /(?:hf_|token)\w*0123456789\w*/i
/** Longer than any token of a test. */
const MOST = 100

const seen: string[] = []

function scan(where: string, text: string): boolean {
  const found = text.includes(NEEDLE) ? TOKEN.exec(text) : null
  if (found) seen.push(`${where}: ${JSON.stringify(text.slice(Math.max(0, found.index - MOST), found.index))} and then the token`)
  return found !== null
}

/** Parts of a stream, whose ends may cut a token in two. */
function scanner(where: string): (part: unknown) => void {
  let before = ''
  return (part) => {
    const text = before + (part instanceof Uint8Array ? Buffer.from(part).toString('latin1') : String(part))
    before = scan(where, text) ? '' : text.slice(-MOST)
  }
}

/** What this process prints, under whatever a test puts in its place. */
for (const name of ['stdout', 'stderr'] as const) {
  const look = scanner(name)
  const watched = new Proxy(process[name], {
    get: (stream, key) => {
      const value: unknown = Reflect.get(stream, key, stream)
      if (key !== 'write') return value
      return (part: unknown, ...rest: unknown[]): unknown => {
        look(part)
        return (value as (...args: unknown[]) => unknown).call(stream, part, ...rest)
      }
    },
  })
  Object.defineProperty(process, name, { value: watched, configurable: true })
}
for (const name of ['debug', 'log', 'info', 'warn', 'error'] as const) {
  const print = console[name].bind(console)
  console[name] = (...values) => {
    scan(`console.${name}`, values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' '))
    print(...values)
  }
}

/** What child processes print: of those that run beside this one, and of those that are waited for. */
const prototype = ChildProcess.prototype as unknown as { spawn(this: ChildProcess, options: { file: string }): unknown }
const { spawn } = prototype
prototype.spawn = function (options) {
  const started = spawn.call(this, options)
  for (const name of ['stdout', 'stderr'] as const) {
    const look = scanner(`${name} of ${options.file}`)
    const stream = this[name]
    const emit = stream?.emit.bind(stream)
    if (stream && emit) {
      stream.emit = (event: string | symbol, ...args: unknown[]) => {
        if (event === 'data') look(args[0])
        return emit(event, ...args)
      }
    }
  }
  return started
}
for (const name of ['spawnSync', 'execFileSync', 'execSync'] as const) {
  const run = childProcess[name] as (...args: unknown[]) => unknown
  const watched = (...args: unknown[]): unknown => {
    const look = scanner(`${name} ${String(args[0])}`)
    try {
      const result = run(...args)
      const { stdout, stderr } = (name === 'spawnSync' ? result : { stdout: result }) as Record<string, unknown>
      for (const part of [stdout, stderr]) look(part)
      return result
    } catch (error) {
      look(inspect(error))
      throw error
    }
  }
  childProcess[name] = watched as never
}

/** Files and folders before they are removed; what a link points to lies elsewhere in the folder, or is not the test's. */
function scanFiles(path: unknown): void {
  const found = typeof path === 'string' ? lstatSync(path, { throwIfNoEntry: false }) : undefined
  if (found?.isDirectory()) for (const name of readdirSync(path as string)) scanFiles(join(path as string, name))
  if (!found?.isFile()) return
  const bytes = readFileSync(path as string)
  for (let at = bytes.indexOf(NEEDLE); at >= 0; at = bytes.indexOf(NEEDLE, at + 1))
    scan(`file ${String(path)}`, bytes.subarray(Math.max(0, at - MOST), at + NEEDLE.length).toString('latin1'))
}

const tryScan = (path: unknown): void => {
  try {
    scanFiles(path)
  } catch {
    // Gone meanwhile, or not ours to read.
  }
}
const { rm } = promises
const { rmSync } = fs
promises.rm = (path, options) => {
  tryScan(path)
  return rm(path, options)
}
fs.rmSync = (path, options) => {
  tryScan(path)
  return rmSync(path, options)
}
syncBuiltinESMExports()

/** Errors of ours, caught or not: their messages when they are made, and all that those of the Hub hold when the test is over. */
const made: HubError[] = []
Object.defineProperty(SoftPromptError.prototype, 'name', {
  configurable: true,
  get: () => 'SoftPromptError',
  set(this: SoftPromptError, value: string) {
    Object.defineProperty(this, 'name', { value, configurable: true, writable: true })
    scan(value, this.message)
    if (this instanceof HubError) made.push(this)
  },
})

function check(): void {
  for (const error of made.splice(0)) scan('an error', inspect(error, { depth: 10, showHidden: true }))
  const [first, ...more] = seen.splice(0)
  if (first !== undefined) throw new Error(`A token was seen in ${first}${more.length > 0 ? `, and ${more.length} times more` : ''}.`)
}

// Of all hooks that follow a test these run last: what others print and tidy up is seen too.
afterEach(check)
afterAll(check)
