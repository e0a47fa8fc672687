/** Base64 (RFC 4648) without Node's Buffer. */
import { FormatError } from '../errors.ts'

/** Bytes to base64. */
export function formatBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** Base64 to bytes. @throws {FormatError} `base64` */
export function parseBase64(text: string): Uint8Array<ArrayBuffer> {
  let decoded: string
  try {
    decoded = atob(text)
  } catch (cause) {
    throw new FormatError('base64', `${JSON.stringify(text.slice(0, 40))} is not base64.`, { cause })
  }
  return Uint8Array.from(decoded, (character) => character.charCodeAt(0))
}

/** Base64 to the F32 values (little-endian) it holds; an incomplete last one is left out. @throws {FormatError} `base64` */
export function parseBase64Floats(text: string): Float32Array {
  const bytes = parseBase64(text)
  return new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4))
}
