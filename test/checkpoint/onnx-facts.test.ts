import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openOnnxFacts } from '../../adapters/checkpoint/onnx-facts.ts'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { compareFingerprint, fingerprintOf, type Digest } from '../../src/prompt/fingerprint.ts'
import { encoderOf, folderOf } from '../attach/fixtures.ts'
import { floatModel, withGraph } from '../attach/variants.ts'

const digest: Digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
const dir = await mkdtemp(join(tmpdir(), 'onnx-facts-'))
afterAll(() => rm(dir, { recursive: true, force: true }))

describe('the facts of an ONNX file', () => {
  it.each([
    ['tiny-t5-v10', 'fp32', 'same'],
    ['tiny-t5-v11', 'fp32', 'same'],
    ['tiny-t5-v10', 'q8', 'quantised'],
    ['tiny-t5-v11', 'q8', 'quantised'],
  ] as const)('%s %s against its own safetensors: %s', async (model, dtype, answer) => {
    const { embeddingTable } = await openCheckpoint(join(folderOf(model), 'hf'))
    const fingerprint = await fingerprintOf({ table: embeddingTable() }, digest)
    expect((await compareFingerprint(fingerprint, await openOnnxFacts(encoderOf(model, dtype)), digest)).answer).toBe(answer)
  })

  it('another model of the same shape is told', async () => {
    const { embeddingTable } = await openCheckpoint(join(folderOf('tiny-t5-v10'), 'hf'))
    const fingerprint = await fingerprintOf({ table: embeddingTable() }, digest)
    expect((await compareFingerprint(fingerprint, await openOnnxFacts(encoderOf('tiny-t5-v11', 'q8')), digest)).answer).toBe('other')
  })

  it.each([
    ['that leaves the folder is refused', '../../etc/passwd', 'onnx-external-data'],
    ['that is not there is named', 'weights.onnx_data', 'onnx-external-missing'],
    ['that is a folder is no file', '..', 'onnx-external-missing'],
  ])('external data %s', async (_, location, code) => {
    const model = withGraph(floatModel(), ({ initializers }) => ({
      initializers: initializers.map((tensor) => {
        const { rawData: _raw, ...rest } = tensor
        return tensor.name === 'embed_tokens.weight'
          ? { ...rest, dataLocation: 1, externalData: [{ key: 'location', value: location }] }
          : tensor
      }),
    }))
    const path = join(dir, 'encoder_model.onnx')
    await writeFile(path, formatModel(model))
    const { table } = await openOnnxFacts(path)
    expect(() => table.rows([0])).toThrow(expect.objectContaining({ code }))
  })
})
