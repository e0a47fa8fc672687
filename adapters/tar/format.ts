/** Writes a bundle's bytes; nothing of Node's, so that a page writes the same file. */
import { FormatError } from '../../src/errors.ts'
import { formatTar } from './tar.ts'

/** Files by name of each prompt by its folder's name; a single prompt without a folder has the name ''. */
export type Bundle = ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>

/** Names of prompts in a pack: what is a folder on every system, and not hidden. */
const FOLDER = /^(?!(?:con|nul|aux|prn|com\d|lpt\d)(?:\.|$))[a-z\d][\w.-]{0,63}$/i

/** @throws {FormatError} `bundle-name` */
export function checkFolder(folder: string): void {
  if (folder === '' || FOLDER.test(folder)) return
  throw new FormatError('bundle-name', `${JSON.stringify(folder)} is no name for a prompt in a pack: letters, digits, _ - and . only.`)
}

/** CRC-32 of gzip (RFC 1952, section 8): the remainder of each byte. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1
  return rest
})

function crc32(bytes: Uint8Array): number {
  let rest = 0xffff_ffff
  for (const byte of bytes) rest = (rest >>> 8) ^ (CRC_TABLE[(rest ^ byte) & 0xff] as number)
  return ~rest >>> 0
}

/** Bytes of one stored block of deflate, at most. */
const STORED_BYTES = 0xffff

/** gzip (RFC 1952) without compression: floats would not shrink, and zlib's output differs between its builds. */
function gzipStored(bytes: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(bytes.length / STORED_BYTES))
  const out = new Uint8Array(10 + 5 * blocks + bytes.length + 8)
  const view = new DataView(out.buffer)
  // No name, no time, system unknown.
  out.set([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
  let at = 10
  for (let block = 0; block < blocks; block++) {
    const body = bytes.subarray(block * STORED_BYTES, (block + 1) * STORED_BYTES)
    out[at] = block === blocks - 1 ? 1 : 0
    view.setUint16(at + 1, body.length, true)
    view.setUint16(at + 3, ~body.length & 0xffff, true)
    out.set(body, at + 5)
    at += 5 + body.length
  }
  view.setUint32(at, crc32(bytes), true)
  view.setUint32(at + 4, bytes.length, true)
  return out
}

/** A bundle's bytes; equal files give equal bytes on every machine. @throws {FormatError} `bundle-name` | `bundle-duplicate` */
export function formatBundle(prompts: Bundle): Uint8Array {
  for (const folder of prompts.keys()) checkFolder(folder)
  const entries = [...prompts].flatMap(([folder, files]) =>
    [...files].map(([file, bytes]) => ({ name: folder === '' ? file : `${folder}/${file}`, bytes })),
  )
  return gzipStored(formatTar(entries))
}
