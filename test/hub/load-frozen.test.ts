/** `loadPrompted` with a lock file, whole: a real model and prompt from a local hub to answers; what is pinned is what answers, drift is refused. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { commit, createRepo, uploadFiles } from '@huggingface/hub'
import { expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { folder, hub, readFiles, TOKEN } from './helpers.ts'

process.env['ORT_DISABLE_TELEMETRY'] = '1'
const root = join(import.meta.dirname, '../..')
const BASE = 'team/t5-tiny-en'
const TEXT = 'a film of charm and warmth, and the best of the year'

/** An example prompt, as if it had been trained on the hub's model. */
async function prompt(task: 'sentiment' | 'topic'): Promise<string> {
  const { embeddings, manifest } = await openPrompt(join(root, 'hub-cards/examples', task))
  const dir = join(await folder(), task)
  await writePromptFolder(softPrompt(embeddings, { ...manifest, base: { ...manifest.base, id: BASE } }), dir)
  return dir
}

it('answers with what is pinned whatever the hub holds now, and refuses what drifted', async () => {
  const { url: hubUrl } = await hub()
  const onnx = await folder()
  await exportOnnx(join(root, 'models/t5-tiny-en'), onnx)
  const access = { hubUrl, accessToken: TOKEN, repo: BASE }
  await createRepo(access)
  const files = [...(await readFiles(onnx))].map(([path, bytes]) => ({ path, content: new Blob([new Uint8Array(bytes)]) }))
  await uploadFiles({ ...access, files, useXet: false })
  const push = async (task: 'sentiment' | 'topic'): Promise<unknown> =>
    pushPrompt({ repo: 'me/task', hubUrl, token: TOKEN, dir: await prompt(task) })
  await push('sentiment')

  const lockFile = join(await folder(), 'prompts.lock.json')
  const load = async (options: object = {}): Promise<unknown> => {
    const pipe = await loadPrompted('me/task', { hub: { hubUrl, token: TOKEN, cacheDir, lockFile, ...options } })
    const answers = await pipe.classify(TEXT)
    await pipe.dispose()
    return answers
  }
  let cacheDir = join(await folder(), 'first')
  await expect(load({ frozen: true })).rejects.toMatchObject({ code: 'hub-lock-missing' })
  const pinned = await load()
  expect(pinned).toEqual([
    { label: 'positive', score: expect.any(Number) },
    { label: 'negative', score: expect.any(Number) },
  ])
  const text = await readFile(lockFile, 'utf8')
  expect(JSON.parse(text)).toMatchObject({ prompts: { 'me/task': { revision: 'main' } }, models: { [BASE]: { revision: 'main' } } })

  // The prompt and its base move on; a machine with an empty cache still gets what was pinned.
  await push('topic')
  const change = { operation: 'addOrUpdate' as const, path: 'config.json', content: new Blob(['{"model_type":"other"}']) }
  await commit({ ...access, title: 'change', operations: [change], useXet: false })
  cacheDir = join(await folder(), 'second')
  expect(await load({ frozen: true })).toEqual(pinned)
  expect(await load({ frozen: true, offline: true })).toEqual(pinned)
  expect(await readFile(lockFile, 'utf8')).toBe(text)

  // Other bytes than those pinned, in the prompt and in the base.
  for (const path of ['adapter_model.safetensors', 'onnx/encoder_model.onnx', 'config.json']) {
    const lock = text.replace(new RegExp(`("path": "${path}",\\s+"size": \\d+,\\s+"sha256": ")(.)`), (_, before: string, digit: string) =>
      before.concat(digit === '0' ? '1' : '0'),
    )
    expect(lock).not.toBe(text)
    await writeFile(lockFile, lock)
    for (const offline of [false, true]) {
      await expect(load({ frozen: true, offline })).rejects.toMatchObject({
        code: 'hub-lock-drift',
        message: expect.stringContaining(path),
      })
    }
  }

  // Without frozen it is taken as it is now, and pinned anew.
  await writeFile(lockFile, text)
  await expect(load()).rejects.toBeInstanceOf(Error) // the base is no T5 any more
  expect(JSON.parse(await readFile(lockFile, 'utf8')).prompts).not.toEqual(JSON.parse(text).prompts)
})
