/** The examples do what they say, one after the other on one folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../examples/attach.ts'
import { encode } from '../../examples/plain-onnxruntime.ts'
import { share } from '../../examples/share.ts'
import { train } from '../../examples/train.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'

describe('examples', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'soft-prompts-examples-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('train, share, attach, and plain onnxruntime', async () => {
    await train(join(folder, 'prompt'))
    const trained = await openPrompt(join(folder, 'prompt'))
    // Chance is 0.5 on 200 rows.
    expect(trained.manifest.metrics?.find(({ name }) => name === 'accuracy')?.value).toBeGreaterThan(0.7)

    const pulled = await share(join(folder, 'prompt'), folder)
    expect((await openPrompt(pulled)).embeddings).toEqual(trained.embeddings)

    const { scores, answers } = await attach(pulled)
    expect(scores.map(([best]) => best?.label)).toEqual(['positive', 'negative'])
    expect(answers).toEqual(['positive', expect.not.stringMatching(/^(positive|negative)$/)])

    expect(await encode(pulled, [10, 11, 12, 1])).toEqual([2, 24, 192])
  })
})
