/** Prompts where there is no file system: from addresses, from files a person chose, from bytes. */
import { FormatError, HubError } from '../../src/errors.ts'
import type { Digest } from '../../src/prompt/fingerprint.ts'
import { parsePromptId } from '../../src/prompt/prompt-id.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { checkHashes, CONFIG_FILE, fileOf, MANIFEST_FILE, parseArtifact, TENSOR_FILE, textOf, type Files } from '../artifact/artifact.ts'
import { parsePeft } from '../peft/peft.ts'

/** A folder's address or Hub id (`owner/name#folder` for a prompt in a folder of the repository); chosen files; bytes by file name. */
export type BrowserPrompt = string | URL | Iterable<File> | Files

export const isBrowserPrompt = (value: unknown): value is BrowserPrompt =>
  typeof value === 'string' || value instanceof URL || (typeof value === 'object' && value !== null && Symbol.iterator in value)

export interface OpenPromptOptions {
  readonly fetch?: typeof fetch
  /** Default: https://huggingface.co */
  readonly hubUrl?: string
  /** Of a Hub id; default main. */
  readonly revision?: string
}

/** 20,000 virtual tokens of width 1024 in F32 have 80 MB; the manifest and configuration are small. */
const LARGEST_BYTES: ReadonlyMap<string, number> = new Map([
  [CONFIG_FILE, 1 << 20],
  [MANIFEST_FILE, 1 << 20],
  [TENSOR_FILE, 128 << 20],
])

/** sha256 in hex by WebCrypto. */
export const webSha256: Digest = async (bytes) =>
  Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')

/**
 * Reads and checks our artifact or a plain PEFT adapter.
 * @example const prompt = await openPrompt('https://example.org/prompts/sst2/')   // or 'me/t5-small-sst2', or input.files
 * @throws {FormatError} `artifact-file-missing` and the formats' own codes; {HubError} `prompt-fetch`
 */
export async function openPrompt(source: BrowserPrompt, options: OpenPromptOptions = {}): Promise<SoftPrompt> {
  const files = await filesOf(source, options)
  if (!files.has(MANIFEST_FILE)) return parsePeft(textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE), fileOf(files, TENSOR_FILE)).prompt
  const prompt = parseArtifact(files)
  // The training log is hashed too, and nobody fetches it for an answer.
  const hashes = Object.entries(prompt.manifest.files ?? {}).filter(([name]) => files.has(name))
  await checkHashes(files, { ...prompt.manifest, files: Object.fromEntries(hashes) }, webSha256)
  return prompt
}

async function filesOf(source: BrowserPrompt, options: OpenPromptOptions): Promise<Files> {
  if (source instanceof Map) return source as Files
  if (typeof source === 'string' || source instanceof URL) return fetched(String(source), options)
  const files = new Map<string, Uint8Array>()
  for (const file of source as Iterable<File>) {
    if (file.size <= checkSize(file.name, file.size)) files.set(file.name, new Uint8Array(await file.arrayBuffer()))
  }
  return files
}

/** The most that is read of a file; 0 for files that are not read. @throws {FormatError} `artifact-file-size` */
function checkSize(name: string, sizeBytes: number): number {
  const most = LARGEST_BYTES.get(name)
  if (most === undefined || sizeBytes <= most) return most ?? 0
  throw new FormatError('artifact-file-size', `${name} has ${sizeBytes} bytes, at most ${most} are read.`, { facts: { size: sizeBytes } })
}

async function fetched(
  address: string,
  { fetch: get = fetch, hubUrl = 'https://huggingface.co', revision = 'main' }: OpenPromptOptions,
): Promise<Files> {
  const { repo, folder: below } = parsePromptId(address) ?? {}
  const top = `${hubUrl}/${repo}/resolve/${encodeURIComponent(revision)}`
  const folder = repo === undefined ? address.replace(/\/$/, '') : below === undefined ? top : `${top}/${below}`
  const files = new Map<string, Uint8Array>()
  await Promise.all(
    [...LARGEST_BYTES.keys()].map(async (name) => {
      const response = await get(`${folder}/${name}`)
      // A server of single pages answers with its page where a file is missing.
      if (response.status === 404 || (response.ok && response.headers.get('content-type')?.startsWith('text/html'))) return
      if (!response.ok) {
        throw new HubError(
          'prompt-fetch',
          `${folder}/${name}: HTTP ${response.status}. Check the address, and that it may be read from this page.`,
          {
            facts: { status: response.status },
          },
        )
      }
      checkSize(name, Number(response.headers.get('content-length') ?? 0))
      const bytes = new Uint8Array(await response.arrayBuffer())
      checkSize(name, bytes.length)
      files.set(name, bytes)
    }),
  )
  return files
}
