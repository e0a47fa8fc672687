/** Digests of weight files: as sha256sum gives them, known again by their stamp, and by their name in the Hub's cache. */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { digestWeights, weightsDigest, type DigestProgress, type KnownFile } from '../../adapters/checkpoint/weight-digests.ts'
import type { WeightTable } from '../../src/tensor/weights.ts'
import { folder } from '../disk/folder.ts'

const HF = new URL('../fixtures/onnx/tiny-t5-v10/hf/', import.meta.url).pathname
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function digested(weights: WeightTable, known: KnownFile[] = []): Promise<{ files: KnownFile[]; told: DigestProgress[] }> {
  const told: DigestProgress[] = []
  const work = digestWeights(weights, known)
  for (;;) {
    const next = await work.next()
    if (next.done) return { files: next.value, told }
    told.push(next.value)
  }
}
const tableOf = (...paths: string[]): WeightTable =>
  new Map(paths.map((source, index) => [`w${index}`, { dtype: 'U8', shape: [1], source, offsetBytes: 0, sizeBytes: 1 }] as const))

it("is the file's sha256, wherever a copy lies", async () => {
  const dir = await folder()
  for (const name of ['config.json', 'model.safetensors']) await copyFile(join(HF, name), join(dir, name))
  const expected = sha256(await readFile(join(HF, 'model.safetensors')))
  for (const place of [HF, dir]) {
    const { files } = await digested((await openCheckpoint(place)).weights)
    expect(weightsDigest(files)).toBe(expected)
  }
})

it('a file is read again when its stamp differs, and only then', async () => {
  const path = join(await folder(), 'model.bin')
  await writeFile(path, 'one')
  const { files } = await digested(tableOf(path))
  const [file] = files as [KnownFile]
  expect(file.sha256).toBe(sha256(Buffer.from('one')))
  // What is known is not read: another digest under the same stamp comes back as it is.
  const [again] = (await digested(tableOf(path), [{ ...file, sha256: 'known' }])).files
  expect(again?.sha256).toBe('known')
  // As long, as old, in the same place: the time of its last change still tells.
  const { atime, mtime } = await stat(path)
  await writeFile(path, 'two')
  await utimes(path, atime, mtime)
  const [other] = (await digested(tableOf(path), files)).files
  expect(other?.sha256).toBe(sha256(Buffer.from('two')))
})

it("takes the Hub cache's name of a file stored by LFS, and digests one stored by git", async () => {
  const blobs = join(await folder(), 'blobs')
  await mkdir(blobs)
  const [lfs, git] = [join(blobs, 'ab'.repeat(32)), join(blobs, 'ab'.repeat(20))]
  for (const path of [lfs, git]) await writeFile(path, 'weights')
  const { files } = await digested(tableOf(lfs, git))
  expect(Object.fromEntries(files.map((file) => [file.path, file.sha256]))).toEqual({
    [lfs]: 'ab'.repeat(32),
    [git]: sha256(Buffer.from('weights')),
  })
})

it('shards count in any order, by their content', async () => {
  const dir = await folder()
  const [a, b, c] = [join(dir, 'a'), join(dir, 'b'), join(dir, 'c')]
  await writeFile(a, 'one')
  await writeFile(b, 'two')
  const before = weightsDigest((await digested(tableOf(a, b))).files)
  await rename(a, c)
  expect(weightsDigest((await digested(tableOf(c, b))).files)).toBe(before)
  await writeFile(b, 'three')
  expect(weightsDigest((await digested(tableOf(c, b))).files)).not.toBe(before)
})

it('tells how far it is where it takes long', async () => {
  const path = join(await folder(), 'large')
  await writeFile(path, new Uint8Array(140e6))
  const { told } = await digested(tableOf(path))
  expect(told.length).toBeGreaterThan(1)
  expect(told.at(-1)).toEqual({ doneBytes: 140e6, totalBytes: 140e6 })
  expect((await digested(tableOf(join(HF, 'model.safetensors')))).told).toEqual([])
})
