/** A prompt's fingerprint against ONNX bases: the same, the same but quantised, another of the same shape, one of which only the layers are others. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../adapters/compose/base-model.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { fingerprintOf } from '../../src/prompt/fingerprint.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { checkpointFacts, readOnnx, scrambledOnnx } from '../prompt/layers.ts'
import { folderOf, promptOf } from './fixtures.ts'
import { withGraph } from './variants.ts'

const model = 'tiny-t5-v10'
const dir = mkdtempSync(join(tmpdir(), 'attach-fingerprint-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** A prompt as training would have made it: fingerprint from the PyTorch weights. */
async function fingerprinted(version: 1 | 2 = 2): Promise<SoftPrompt> {
  const { layers, ...facts } = await checkpointFacts(join(folderOf(model), 'hf'))
  const { pieces } = await openTokenizer(folderOf(model))
  const prompt = promptOf(model, 'a')
  const fingerprint = await fingerprintOf({ ...facts, pieces, ...(version === 2 && layers ? { layers } : {}) }, sha256)
  expect(fingerprint.version).toBe(version)
  return { ...prompt, manifest: { ...prompt.manifest, base: { id: model, fingerprint } } }
}

/** The base with the layers of one file in another order. */
function scrambledBase(file: string): string {
  const folder = join(dir, file)
  cpSync(folderOf(model), folder, { recursive: true })
  writeFileSync(join(folder, 'onnx', file), formatModel(scrambledOnnx(readOnnx(folder, file))))
  return folder
}

describe('loadPrompted checks the fingerprint', () => {
  it.each([1, 2] as const)('the same model: no word (version %d)', async (version) => {
    const pipe = await loadPrompted(await fingerprinted(version), { base: folderOf(model) })
    expect(pipe.warnings).toEqual([])
    await pipe.dispose()
  })

  it('the same model, quantised: warns with the drift', async () => {
    const pipe = await loadPrompted(await fingerprinted(), { base: folderOf(model), dtype: 'q8' })
    expect(pipe.warnings.join('\n')).toMatch(/dynamically quantised[^]*drift [\d.]+ %/)
    expect(pipe.warnings.join('\n')).not.toMatch(/not compared/)
    await pipe.dispose()
  })

  it('another model of the same shape: refused before anything runs', async () => {
    await expect(loadPrompted(await fingerprinted(), { base: folderOf('tiny-t5-v11') })).rejects.toMatchObject({
      code: 'prompt-base',
      message: expect.stringContaining('embedding rows differ'),
    })
  })

  it.each([
    ['encoder_model.onnx', 'fp32', 'encoder'],
    ['decoder_model_merged.onnx', 'fp32', 'decoder'],
    ['encoder_model_quantized.onnx', 'q8', 'encoder'],
    ['decoder_model_merged_quantized.onnx', 'q8', 'decoder'],
  ])('the same embeddings and other layers in %s: refused', async (file, dtype, half) => {
    await expect(loadPrompted(await fingerprinted(), { base: scrambledBase(file), dtype })).rejects.toMatchObject({
      code: 'prompt-base',
      message: expect.stringMatching(new RegExp(`not for the model in .*weights of the layers differ \\(${half}\\.block\\.0\\.`)),
    })
  })

  it.each([
    ['outside its folder', '../config.json', 'onnx-external-data'],
    ['in a file that is not there', 'encoder_model.onnx_data', 'onnx-external-missing'],
    ['in a folder', '..', 'onnx-external-missing'],
  ])('a base that keeps weights %s: refused, and nothing there is read', async (_, location, code) => {
    const folder = join(dir, code)
    cpSync(folderOf(model), folder, { recursive: true })
    const scattered = withGraph(readOnnx(folder, 'encoder_model.onnx'), ({ initializers }) => ({
      initializers: initializers.map((tensor) => {
        const { rawData: _raw, ...rest } = tensor
        return tensor.dims.length === 2 ? { ...rest, dataLocation: 1, externalData: [{ key: 'location', value: location }] } : tensor
      }),
    }))
    writeFileSync(join(folder, 'onnx', 'encoder_model.onnx'), formatModel(scattered))
    await expect(loadPrompted(await fingerprinted(), { base: folder })).rejects.toMatchObject({ code })
  })
})
