/** Digests of bytes and of files, as git and the Hub name them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'

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

/** Files up to this size are read in one piece, which is quicker. */
const WHOLE_BYTES: number = 1 << 20

/** The digest of a file, in hex. */
export async function digestOf(path: string, algorithm: Digest['algorithm']): Promise<string> {
  const { size } = await stat(path)
  const running = startDigest({ algorithm }, size)
  if (size <= WHOLE_BYTES) running.update(await readFile(path))
  else for await (const part of createReadStream(path)) running.update(part as Buffer)
  return running.hex()
}
