/** A `.tar.gz` of one prompt or of a pack of several: read in memory within bounds, written beside and renamed. */
import { open } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { FormatError } from '../../src/errors.ts'
import { replaceFile } from '../disk/replace.ts'
import { checkFolder, formatBundle, type Bundle } from './format.ts'
import { parseTar } from './tar.ts'

export { formatBundle, type Bundle } from './format.ts'

/** Largest bundle read: 40 prompts of 100 × 4096 F32. */
export const MAX_BUNDLE_BYTES: number = 64 * 2 ** 20
/** Floats hardly shrink and logs do 20-fold; only a bomb shrinks more. A small file of zeros is let through. */
const MAX_RATIO = 100
const RATIO_FREE_BYTES: number = 2 ** 20
const MAX_UNPACKED_BYTES: number = 128 * 2 ** 20

/** Files that belong to a prompt. Others (checkpoints, editors' files) are left out. */
const OWN_FILES = new Set([
  'adapter_config.json',
  'adapter_model.safetensors',
  'adapter_model.bin',
  'soft_prompt.json',
  'README.md',
  'training_log.jsonl',
  'loss.svg',
])

/** True for what starts as gzip does. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

/**
 * Reads a bundle's bytes.
 * @throws {FormatError} `bundle-size` | `bundle-gzip` | `bundle-bomb` | `bundle-mixed` | `bundle-empty` and the codes of parseTar
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > MAX_BUNDLE_BYTES) {
    throw new FormatError('bundle-size', `This bundle has ${bytes.length} bytes, at most ${MAX_BUNDLE_BYTES} are read. Split the pack.`)
  }
  const prompts = new Map<string, Map<string, Uint8Array>>()
  for (const { name, bytes: body } of parseTar(unzip(bytes))) {
    const [file = '', folder = '', ...deeper] = name.split('/').toReversed()
    if (deeper.length > 0 || !OWN_FILES.has(file)) continue
    checkFolder(folder)
    const files = prompts.get(folder) ?? new Map<string, Uint8Array>()
    prompts.set(folder, files.set(file, body))
  }
  if (new Set([...prompts.keys()].map((folder) => folder.toLowerCase())).size < prompts.size) {
    throw new FormatError('bundle-duplicate', 'Two prompts of this pack differ only in the case of their names.')
  }
  for (const [folder, files] of prompts) {
    // A README beside the folders of a pack is the pack's own.
    if (folder === '' ? !files.has('adapter_config.json') && prompts.size > 1 : !files.has('adapter_config.json')) prompts.delete(folder)
  }
  if (prompts.size === 0)
    throw new FormatError('bundle-empty', 'This bundle holds no prompt: no adapter_config.json at its top or in a folder of it.')
  if (prompts.has('') && prompts.size > 1) {
    throw new FormatError('bundle-mixed', 'This bundle holds a prompt at its top and others in folders; a pack has folders only.')
  }
  return prompts
}

function unzip(bytes: Uint8Array): Uint8Array {
  if (!isGzip(bytes)) throw new FormatError('bundle-gzip', 'This bundle is not gzip. Make it with soft-prompts convert, or with tar -czf.')
  const most = Math.min(MAX_UNPACKED_BYTES, RATIO_FREE_BYTES + MAX_RATIO * bytes.length)
  let unpacked: { buffer: Uint8Array; engine: { bytesWritten: number } }
  try {
    // With `info` Node answers both; its types do not know.
    unpacked = gunzipSync(bytes, { maxOutputLength: most, info: true } as object) as unknown as typeof unpacked
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new FormatError('bundle-bomb', `This bundle of ${bytes.length} bytes unpacks to more than ${most}: no prompt does.`, { cause })
    }
    throw new FormatError('bundle-gzip', `This bundle cannot be unpacked (${(cause as Error).message}). Fetch it again.`, { cause })
  }
  if (unpacked.engine.bytesWritten !== bytes.length) {
    throw new FormatError(
      'bundle-trailing',
      `${bytes.length - unpacked.engine.bytesWritten} bytes follow the end of this bundle. Fetch it again.`,
    )
  }
  return unpacked.buffer
}

/** Reads a bundle's file. @throws what parseBundle throws. */
export async function readBundle(path: string): Promise<Bundle> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > MAX_BUNDLE_BYTES)
      throw new FormatError('bundle-size', `${path} has ${size} bytes, at most ${MAX_BUNDLE_BYTES} are read. Split the pack.`)
    return parseBundle(await file.readFile())
  } finally {
    await file.close()
  }
}

/** Writes a bundle that was read back. */
export async function writeBundle(path: string, prompts: Bundle): Promise<void> {
  const bytes = formatBundle(prompts)
  parseBundle(bytes)
  await replaceFile(path, bytes)
}
