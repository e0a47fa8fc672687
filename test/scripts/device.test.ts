/** `train --device` on a device that is not there: one coded error, no training on another device in its place. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { compile, type Compiled } from './child.ts'

const root = new URL('../../', import.meta.url).pathname
const provider = join(
  dirname(createRequire(import.meta.url).resolve('onnxruntime-node')),
  '../bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so',
)
let cli: Compiled
let dir = ''
beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'device-'))
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

it.skipIf(existsSync(provider))('cuda without its files', async () => {
  const rows = join(root, 'examples/data/topic/train.jsonl')
  const args = ['train', '--model', join(root, 'models/t5-tiny-en'), '--data', rows, '--out', join(dir, 'out'), '--device', 'cuda']
  const { code, stdout, stderr } = await cli.run(args)
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(
      /^error: .*device cuda does not start.* ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node.* \[engine-device-missing\]$/,
    ),
  ])
  expect(existsSync(join(dir, 'out'))).toBe(false)
})
