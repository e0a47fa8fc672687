/** The artifact as a folder: written beside and checked before it takes its place, read with caps on every size. */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../../src/errors.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { replaceFile } from '../disk/replace.ts'
import {
  CARD_FILE,
  checkHashes,
  CONFIG_FILE,
  CURVE_FILE,
  formatArtifact,
  LOG_FILE,
  MANIFEST_FILE,
  parseArtifact,
  TENSOR_FILE,
  type Files,
  type FormatOptions,
  type Sha256,
} from './artifact.ts'

/** The largest a file may be. Largest real ones: a 200 × 4096 prompt has 3.3 MB, a log of 100,000 steps 20 MB. */
const LARGEST: Readonly<Record<string, number>> = {
  [CONFIG_FILE]: 1 << 20,
  [TENSOR_FILE]: 64 << 20,
  [MANIFEST_FILE]: 1 << 20,
  [CARD_FILE]: 4 << 20,
  [LOG_FILE]: 64 << 20,
  [CURVE_FILE]: 4 << 20,
}

export const sha256: Sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/**
 * Reads the files of an artifact or plain PEFT adapter; others in the folder are left alone.
 * @throws {FormatError} `artifact-folder` | `artifact-file-kind` | `artifact-file-size`
 */
export async function readArtifactFiles(dir: string): Promise<Map<string, Uint8Array>> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new FormatError('artifact-folder', `${dir} cannot be read as a folder.`, { cause })
  })
  const files = new Map<string, Uint8Array>()
  for (const name of Object.keys(LARGEST)) {
    if (!names.includes(name)) continue
    const path = join(dir, name)
    const found = await stat(path)
    // A pipe or a device would be read without end.
    if (!found.isFile()) throw new FormatError('artifact-file-kind', `${path} is no plain file. Put the file itself there.`)
    const { size } = found
    if (size > (LARGEST[name] ?? 0)) {
      throw new FormatError('artifact-file-size', `${path} has ${size} bytes, at most ${LARGEST[name]} are read.`, { facts: { size } })
    }
    files.set(name, await readFile(path))
  }
  return files
}

/**
 * Reads and checks an artifact folder.
 * @throws what `parseArtifact` and `checkHashes` throw
 */
export async function readPromptFolder(dir: string): Promise<SoftPrompt> {
  const files = await readArtifactFiles(dir)
  const prompt = parseArtifact(files)
  await checkHashes(files, prompt.manifest, sha256)
  return prompt
}

export type WriteOptions = Omit<FormatOptions, 'sha256' | 'log'> & {
  /** Name of a log already lying in the folder, to be hashed. */
  readonly log?: string
}

/**
 * Writes an artifact into a folder. Each file is written beside its place, forced to disk and renamed, the manifest last: until then the old artifact is whole
 * or the hashes tell.
 */
export async function writePromptFolder(prompt: SoftPrompt, dir: string, options: WriteOptions = {}): Promise<Files> {
  const { log, ...rest } = options
  const logged = log === undefined ? undefined : await readFile(join(dir, log)).catch(() => undefined)
  const files = await formatArtifact(prompt, { ...rest, sha256, ...(logged ? { log: logged } : {}) })
  // What is about to be written has to be readable: checked before anything is touched.
  const read = parseArtifact(files)
  await checkHashes(files, read.manifest, sha256)
  await writeFilesInto(dir, new Map([...files].filter(([name]) => name !== LOG_FILE)))
  return files
}

/** Writes files into a folder, each in one step, the manifest last. */
export async function writeFilesInto(dir: string, files: Files): Promise<void> {
  const ordered = [...files].toSorted(([a], [b]) => Number(a === MANIFEST_FILE) - Number(b === MANIFEST_FILE))
  for (const [name, bytes] of ordered) await replaceFile(join(dir, name), bytes)
}
