/** Checkpoints whose weights lie past 2 GiB and past 4 GiB of a file, by sparse files: opened, fingerprinted, and run in place. */
import * as ort from 'onnxruntime-node'
import { createHash } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { readTorchZip } from '../../adapters/checkpoint/torch-zip.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { fingerprintOf } from '../../src/prompt/fingerprint.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { buildStep, stepFeeds } from '../../src/t5/step.ts'
import { batchOf, golden } from '../t5/cases.ts'

const root = new URL('../', import.meta.url).pathname
const small = join(root, 'fixtures/onnx/tiny-t5-v11/hf')
const dir = mkdtempSync(join(tmpdir(), 'large-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Writes pieces at their places in a file that is a hole elsewhere. */
function writeSparse(path: string, sizeBytes: number, pieces: readonly (readonly [offset: number, bytes: Uint8Array])[]): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, sizeBytes)
  for (const [offset, bytes] of pieces) writeSync(file, bytes, 0, bytes.length, offset)
  closeSync(file)
  // few blocks of it are there
  expect(statSync(path).blocks * 512).toBeLessThan(64 << 20)
}

const GIB = 2 ** 30

/** The checkpoint's safetensors with a tensor of zeros in front of all others. */
function writeLate(path: string, holeBytes: number): void {
  const bytes = readFileSync(join(small, 'model.safetensors'))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, { data_offsets: [number, number] }>
  const late = Object.entries(header).map(([name, entry]) => {
    const [from, to] = entry.data_offsets ?? []
    return [name, name === '__metadata__' ? entry : { ...entry, data_offsets: [from! + holeBytes, to! + holeBytes] }]
  })
  const unused = { dtype: 'F32', shape: [holeBytes / 4], data_offsets: [0, holeBytes] }
  const text = Buffer.from(JSON.stringify({ ...Object.fromEntries(late), unused }))
  const start = Buffer.alloc(8)
  start.writeBigUInt64LE(BigInt(text.length))
  const data = bytes.subarray(8 + length)
  const first = 8 + text.length + holeBytes
  writeSparse(path, first + data.length, [
    [0, start],
    [8, text],
    [first, data],
  ])
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

// a file system of Windows allocates holes unless told otherwise
describe.skipIf(process.platform === 'win32')('large files', () => {
  it.each([
    [2.5, 'fast'],
    [4.5, 'low'],
  ] as const)('safetensors: weights past %d GiB are those of the small file, in place (%s memory)', async (gib, memory) => {
    const folder = join(dir, `late-${gib}`)
    mkdirSync(folder)
    copyFileSync(join(small, 'config.json'), join(folder, 'config.json'))
    writeLate(join(folder, 'model.safetensors'), gib * GIB)
    const [want, got] = await Promise.all([openCheckpoint(small), openCheckpoint(folder)])
    const offsets = [...got.weights].map(([name, { offsetBytes }]) => (name === 'unused' ? Infinity : offsetBytes))
    expect(Math.min(...offsets)).toBeGreaterThan(gib * GIB)
    const fingerprint = async ({ embeddingTable }: typeof want): Promise<unknown> => fingerprintOf({ table: embeddingTable() }, sha256)
    expect(await fingerprint(got)).toEqual(await fingerprint(want))

    const config = parseT5Config(got.config)
    const engine = createEngine(ort, { threads: 1, memory })
    const feeds = stepFeeds(config, batchOf(golden.cases.find(({ model }) => model === 'tiny-t5-v11')!))
    const results = []
    for (const { weights } of [want, got]) {
      const program = await engine.load(buildStep(config), weights)
      results.push(await program.run(feeds))
      await program.dispose()
    }
    expect(results[1]).toEqual(results[0])
    rmSync(folder, { recursive: true })
  })

  it.each([2.5, 4.5])('.bin: a zip whose members lie past %d GiB (zip64 past 4)', async (gib) => {
    const bytes = readFileSync(join(root, 'fixtures/torch/state.bin'))
    const hole = gib * GIB
    const path = join(dir, 'late.bin')
    const want = await readTorchZip(join(root, 'fixtures/torch/state.bin'))
    const { directory, end } = lateDirectory(bytes, hole)
    const at = hole + bytes.length
    writeSparse(path, at + directory.length + end.length, [
      [hole, bytes],
      [at, directory],
      [at + directory.length, end],
    ])
    const got = await readTorchZip(path)
    expect([...got.keys()]).toEqual([...want.keys()])
    for (const [name, { offsetBytes, shape, sizeBytes }] of want)
      expect(got.get(name)).toMatchObject({ offsetBytes: offsetBytes + hole, shape, sizeBytes })
    rmSync(path)
  })
})

/** A zip's directory for members that begin `hole` bytes later, and its end records: in zip64 where 32 bits do not hold an offset. */
function lateDirectory(bytes: Buffer, hole: number): { directory: Buffer; end: Buffer } {
  const old = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  const [count, length, offset] = [bytes.readUInt16LE(old + 10), bytes.readUInt32LE(old + 12), bytes.readUInt32LE(old + 16)]
  const wide = hole > 2 ** 32
  const entries: Buffer[] = []
  for (let at = offset; at < offset + length;) {
    const [name, extra, comment] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field)) as [number, number, number]
    const head = Buffer.from(bytes.subarray(at, at + 46 + name))
    const start = head.readUInt32LE(42) + hole
    const more = Buffer.alloc(wide ? 12 : 0)
    if (wide) {
      more.writeUInt16LE(1, 0)
      more.writeUInt16LE(8, 2)
      more.writeBigUInt64LE(BigInt(start), 4)
    }
    head.writeUInt32LE(wide ? 0xffffffff : start, 42)
    head.writeUInt16LE(more.length, 30)
    head.writeUInt16LE(0, 32)
    entries.push(head, more)
    at += 46 + name + extra + comment
  }
  const directory = Buffer.concat(entries)
  const at = hole + bytes.length
  const end64 = Buffer.alloc(56 + 20)
  end64.writeUInt32LE(0x06064b50, 0)
  end64.writeBigUInt64LE(44n, 4)
  end64.writeBigUInt64LE(BigInt(count), 24)
  end64.writeBigUInt64LE(BigInt(count), 32)
  end64.writeBigUInt64LE(BigInt(directory.length), 40)
  end64.writeBigUInt64LE(BigInt(at), 48)
  end64.writeUInt32LE(0x07064b50, 56)
  end64.writeBigUInt64LE(BigInt(at + directory.length), 64)
  end64.writeUInt32LE(1, 72)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count, 8)
  end.writeUInt16LE(count, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(wide ? 0xffffffff : at, 16)
  return { directory, end: wide ? Buffer.concat([end64, end]) : end }
}
