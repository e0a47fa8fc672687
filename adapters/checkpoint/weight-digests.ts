/** Which weights a run goes on with: the sha256 of the files that hold them, read once; a large model's are known again by the stamp that the disk keeps of them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { WeightTable } from '../../src/tensor/weights.ts'

/** A file whose digest is known, as long as its stamp is the same. */
export interface KnownFile {
  readonly path: string
  /** Size, times of change (of content, of anything), and number on the disk. */
  readonly stamp: string
  readonly sha256: string
}

export interface DigestProgress {
  readonly doneBytes: number
  readonly totalBytes: number
}

const PART_BYTES = 4 << 20
/** Between two tellings of progress. */
const TOLD_BYTES = 64e6

/** The Hub's cache names files stored by LFS by their sha256. */
const BLOB = /[/\\]blobs[/\\]([0-9a-f]{64})$/

const filesOf = (weights: WeightTable): string[] => {
  const sources = [...weights.values()].map(({ source }) => source)
  return [...new Set(sources)].filter((source) => typeof source === 'string').toSorted()
}

async function stampOf(path: string): Promise<{ stamp: string; size: number }> {
  const { size, mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true })
  return { stamp: [size, mtimeNs, ctimeNs, ino].join(' '), size: Number(size) }
}

/**
 * Digests the files of a model's weights. Yields how far it is.
 * @param known what was digested before; a file of another stamp is read anew
 */
export async function* digestWeights(
  weights: WeightTable,
  known: readonly KnownFile[] = [],
  signal?: AbortSignal,
): AsyncGenerator<DigestProgress, KnownFile[]> {
  const files = await Promise.all(
    filesOf(weights).map(async (path) => {
      const { stamp, size } = await stampOf(path)
      const before = known.find((each) => each.path === path && each.stamp === stamp)?.sha256
      return { path, stamp, size, sha256: BLOB.exec(path)?.[1] ?? before }
    }),
  )
  const totalBytes = files.reduce((sum, { size, sha256 }) => sum + (sha256 === undefined ? size : 0), 0)
  const found: KnownFile[] = []
  let doneBytes = 0
  let told = 0
  for (const { path, stamp, sha256 } of files) {
    if (sha256 !== undefined) {
      found.push({ path, stamp, sha256 })
      continue
    }
    const hash = createHash('sha256')
    for await (const part of createReadStream(path, { highWaterMark: PART_BYTES })) {
      signal?.throwIfAborted()
      hash.update(part as Buffer)
      doneBytes += (part as Buffer).length
      if (doneBytes < told + TOLD_BYTES) continue
      told = doneBytes
      yield { doneBytes, totalBytes }
    }
    found.push({ path, stamp, sha256: hash.digest('hex') })
  }
  if (told > 0) yield { doneBytes: totalBytes, totalBytes }
  return found
}

/** One digest for all of them, wherever they lie and whatever they are called. */
export function weightsDigest(files: readonly KnownFile[]): string {
  const digests = files.map(({ sha256 }) => sha256).toSorted()
  return digests.length === 1 ? (digests[0] as string) : createHash('sha256').update(digests.join('\n')).digest('hex')
}
