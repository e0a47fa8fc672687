/** A prompt's fingerprint against ONNX bases: the same, the same but quantised, another of the same shape. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { sha256 } from '../../adapters/compose/base-model.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { fingerprintOf } from '../../src/prompt/fingerprint.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { folderOf, promptOf } from './fixtures.ts'

const model = 'tiny-t5-v10'

/** A prompt as training would have made it: fingerprint from the PyTorch weights. */
async function fingerprinted(): Promise<SoftPrompt> {
  const checkpoint = await openCheckpoint(join(folderOf(model), 'hf'))
  const { pieces } = await openTokenizer(folderOf(model))
  const facts = { table: checkpoint.embeddingTable(), encoderLayers: 3, decoderLayers: 3, pieces }
  const prompt = promptOf(model, 'a')
  return { ...prompt, manifest: { ...prompt.manifest, base: { id: model, fingerprint: await fingerprintOf(facts, sha256) } } }
}

describe('loadPrompted checks the fingerprint', () => {
  it('the same model: no word', async () => {
    const pipe = await loadPrompted(await fingerprinted(), { base: folderOf(model) })
    expect(pipe.warnings).toEqual([])
    await pipe.dispose()
  })

  it('the same model, quantised: warns with the drift', async () => {
    const pipe = await loadPrompted(await fingerprinted(), { base: folderOf(model), dtype: 'q8' })
    expect(pipe.warnings.join('\n')).toMatch(/dynamically quantised[^]*drift [\d.]+ %/)
    await pipe.dispose()
  })

  it('another model of the same shape: refused before anything runs', async () => {
    await expect(loadPrompted(await fingerprinted(), { base: folderOf('tiny-t5-v11') })).rejects.toMatchObject({
      code: 'prompt-base',
      message: expect.stringContaining('embedding rows differ'),
    })
  })
})
