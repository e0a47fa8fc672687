/** tar archives by hand, so that a test can lie in any field. */
import { gzipSync } from 'node:zlib'

export interface Lie {
  readonly name: string
  readonly type?: string
  readonly bytes?: Uint8Array
  /** Claimed size, where it is not the true one. */
  readonly size?: string
  readonly link?: string
  readonly prefix?: string
  readonly mode?: string
  readonly breakSum?: boolean
}

const BLOCK = 512
const utf8 = new TextEncoder()

function entry(lie: Lie): Uint8Array {
  const body = lie.bytes ?? new Uint8Array()
  const out = new Uint8Array(BLOCK + Math.ceil(body.length / BLOCK) * BLOCK)
  const put = (at: number, text: string): void => out.set(utf8.encode(text), at)
  put(0, lie.name)
  put(100, `${lie.mode ?? '0000644'}\0`)
  put(108, '0000000\0')
  put(116, '0000000\0')
  put(124, lie.size ?? `${body.length.toString(8).padStart(11, '0')}\0`)
  put(136, '00000000000\0')
  put(148, '        ')
  put(156, lie.type ?? '0')
  put(157, lie.link ?? '')
  put(257, 'ustar\u000000')
  put(345, lie.prefix ?? '')
  const sum = out.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0) + (lie.breakSum ? 1 : 0)
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  out.set(body, BLOCK)
  return out
}

/** An archive of these entries with its end marker and what is said to follow it. */
export function archive(entries: readonly Lie[], tail: Uint8Array = new Uint8Array(2 * BLOCK)): Uint8Array {
  return new Uint8Array(Buffer.concat([...entries.map(entry), tail]))
}

export const zipped = (entries: readonly Lie[], tail?: Uint8Array): Uint8Array => new Uint8Array(gzipSync(archive(entries, tail)))
