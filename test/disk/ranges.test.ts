/** Weight files that become shorter after their headers were read: every reader says so by one code, none answers with zeros. */
import * as ort from 'onnxruntime-node'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { baseModel } from '../../adapters/compose/base-model.ts'
import { openBase, type Base } from '../../adapters/compose/open-base.ts'
import { readRange, readRangesSync } from '../../adapters/disk/ranges.ts'
import { createEngine as onnxruntime } from '../../adapters/onnxruntime/engine.ts'
import { createEngine as tfjs } from '../../adapters/tfjs/engine.ts'
import { buildExportedEncoder } from '../../src/t5/exported.ts'
import { tf } from '../engines.ts'

const fixture = join(import.meta.dirname, '../fixtures/onnx/tiny-t5-v11')
const dir = mkdtempSync(join(tmpdir(), 'ranges-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** A base that was opened while its file was whole. */
async function cutBase(name: string, sizeBytes: number): Promise<Base> {
  const folder = join(dir, name)
  mkdirSync(folder)
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(fixture, file), join(folder, file))
  for (const file of ['config.json', 'model.safetensors']) copyFileSync(join(fixture, 'hf', file), join(folder, file))
  const base = await openBase(folder)
  truncateSync(join(folder, 'model.safetensors'), sizeBytes)
  return base
}
const whole = statSync(join(fixture, 'hf/model.safetensors')).size
const truncated = expect.objectContaining({ code: 'weights-truncated' })

describe('ranges of a file', () => {
  const path = join(dir, 'ten')
  writeFileSync(
    path,
    Uint8Array.from({ length: 10 }, (_, index) => index),
  )

  it('are read as they are', async () => {
    expect([...(await readRange(path, 2, 3))]).toEqual([2, 3, 4])
    expect([...(await readRange(path, 10, 0))]).toEqual([])
    expect([
      ...readRangesSync(path, [
        { offset: 8, length: 2 },
        { offset: 0, length: 1 },
      ]),
    ]).toEqual([8, 9, 0])
  })

  it('past its end are refused, saying what is there', async () => {
    await expect(readRange(path, 8, 3)).rejects.toMatchObject({ code: 'weights-truncated', facts: { path, offset: 8, length: 3, got: 2 } })
    expect(() => readRangesSync(path, [{ offset: 20, length: 1 }])).toThrow(truncated)
  })
})

describe('a checkpoint that was cut after it was opened', () => {
  it.each([
    ['all values', 1000],
    ['its last kilobyte', whole - 1024],
  ])('is no fingerprint: without %s', async (_, sizeBytes) => {
    await expect(baseModel(await cutBase(`fingerprint-${sizeBytes}`, sizeBytes))).rejects.toEqual(truncated)
  })

  it('gives no embedding rows', async () => {
    const base = await cutBase('rows', 1000)
    expect(() => base.embeddingTable().rows([0, 1])).toThrow(truncated)
  })

  it.each([
    ['onnxruntime, copying', () => onnxruntime(ort, { threads: 1, capabilities: { externalData: false } })],
    ['tfjs', () => tfjs(tf)],
  ])('runs on no engine: %s', async (name, engine) => {
    const { config, weights } = await cutBase(name.replaceAll(/\W/g, ''), whole / 2)
    await expect((await engine()).load(buildExportedEncoder(config), weights)).rejects.toEqual(truncated)
  })
})
