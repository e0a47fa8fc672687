/** Every way in which a token could be seen. Not a test of the suite: scan.test.ts runs it and wants each to fail. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, vi } from 'vitest'
import { ConfigError, HubError } from '../../src/errors.ts'

const token = `hf_leakedToken${'0123456789'}`
const program = ['-e', `process.stdout.write('hf_leaked'); setTimeout(() => process.stdout.write('Token' + '0123' + '456789'), 50)`]

const LEAKS: Readonly<Record<string, () => unknown>> = {
  nothing: () => new HubError('hub-x', 'hf_… 0123456789'),
  stdout: () => process.stdout.write(`x ${token}\n`),
  'stderr, mocked': () => {
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
    process.stderr.write(`x ${token}\n`)
    vi.restoreAllMocks()
  },
  // oxlint-disable-next-line no-console -- what a package that is used might do
  console: () => console.debug({ token }),
  'child, in two parts': () => promisify(execFile)(process.execPath, program),
  'child, waited for': () => execFileSync(process.execPath, program),
  'child, failing': () => {
    try {
      execFileSync(process.execPath, ['-e', `console.error('${token}'); process.exit(1)`], { stdio: 'pipe' })
    } catch {
      // as a test may
    }
  },
  message: () => new ConfigError('x', `x ${token}`),
  facts: () => new HubError('x', 'x', { facts: { headers: { authorization: `Bearer ${token}` } } }),
  cause: () => new HubError('x', 'x', { cause: new TypeError(`bad header ${token}`) }),
  file: async () => {
    const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-'))
    await writeFile(join(dir, 'log'), `x ${token}`)
    await rm(dir, { recursive: true })
  },
  'file, removed at once': () => {
    const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-'))
    writeFileSync(join(dir, 'log'), `${'x'.repeat(1000)}${token}`)
    rmSync(dir, { recursive: true })
  },
}

it.each(Object.entries(LEAKS))('%s', async (_, leak) => {
  await leak()
  expect(token).toMatch(/\d$/)
})
