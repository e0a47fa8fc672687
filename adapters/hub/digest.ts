/** Digests of bytes and of files, as git and the Hub name them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

export const sha1 = (bytes: Uint8Array | string): string => createHash('sha1').update(bytes).digest('hex')
export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** The id git gives a file of these bytes. */
export const gitBlobId = (bytes: Uint8Array): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** How the bytes of a file are known: by sha256 (LFS), or by git's blob id. */
export interface Digest {
  readonly algorithm: 'sha256' | 'git'
  readonly hex: string
}

/** A running digest of either kind. @param size of the whole, in bytes */
export function startDigest({ algorithm }: Pick<Digest, 'algorithm'>, size: number): { update(bytes: Uint8Array): void; hex(): string } {
  const hash = algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
}

/** The git blob id of a file, read as a stream. */
export async function gitBlobIdOf(path: string): Promise<string> {
  const hash = createHash('sha1').update(`blob ${(await stat(path)).size}\0`)
  for await (const part of createReadStream(path)) hash.update(part as Buffer)
  return hash.digest('hex')
}

/** The sha256 of a file, read as a stream. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path)) hash.update(part as Buffer)
  return hash.digest('hex')
}
