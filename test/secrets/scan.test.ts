/** The scan for tokens can fail: every way of leak.ts is found, and nothing else. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string; readonly failureMessages: readonly string[] }[]
  }[]
}

it('finds a token wherever it is seen', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-'))
  const report = join(dir, 'report.json')
  const args = ['run', '--config', 'vitest.config.ts', '--reporter=json', `--outputFile=${report}`]
  const child = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: root,
    stdio: 'ignore',
    env: { ...process.env, SOFT_PROMPTS_LEAK: '1' },
  })
  await once(child, 'close')
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  expect(results.length).toBeGreaterThan(10)
  const missed = results.filter(({ failureMessages }) => !failureMessages.some((message) => message.includes('A token was seen in')))
  expect(missed.map(({ title, status }) => [title, status])).toEqual([['nothing', 'passed']])
  await rm(dir, { recursive: true })
})
