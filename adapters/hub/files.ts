/** Which files a repository of prompts may hold: names that are sent and fetched, and their largest sizes. */
import { HubError, type SoftPromptError } from '../../src/errors.ts'
import { adapterHub, pickled } from '../../src/prompt/adapter-config.ts'
import { isHubId } from '../../src/prompt/base-name.ts'
import { findNameConflict } from '../../src/prompt/file-names.ts'
import { plain, quoted } from './errors.ts'

/** Largest `adapter_model.safetensors`: 2P rows of 200 virtual tokens at width 4096 in F32 are 6.6 MB; packs and P-tuning encoders more. */
export const TENSOR_BYTES: number = 256 << 20
/** Largest text file; a log of 100,000 steps has 20 MB. */
export const TEXT_BYTES: number = 64 << 20
/** Files of one prompt repository. */
export const PROMPT_FILES = 200

const TENSORS = /^adapter_model\.safetensors$/
const TEXTS = /^(adapter_config\.json|soft_prompt\.json|README\.md|LICENSE(\.txt|\.md)?|NOTICE|training_log\.jsonl|loss\.svg)$/
const RUNS = /^runs\/([\w-][\w.-]{0,99}\/)?[\w-][\w.-]{0,199}$/

/** The largest size of a file of this name, or undefined where it is no part of a prompt. */
export function promptFileLimit(path: string): number | undefined {
  if (TENSORS.test(path)) return TENSOR_BYTES
  return TEXTS.test(path) || RUNS.test(path) ? TEXT_BYTES : undefined
}

/** Files without which it is no prompt. */
export const REQUIRED: readonly string[] = ['adapter_config.json', 'adapter_model.safetensors']

export interface SizedPath {
  readonly path: string
  readonly size: number
}

/**
 * The prompt's files among all those of a repository.
 * @throws {HubError} `hub-not-a-prompt` | `hub-file-too-large` | `hub-too-many-files`
 * @throws {UnsupportedError} `peft-pickle` | `adapter-hub`
 */
export function selectPromptFiles<T extends SizedPath>(files: readonly T[], where: string): T[] {
  const chosen = files.filter(({ path }) => promptFileLimit(path) !== undefined)
  const missing = REQUIRED.filter((name) => !chosen.some(({ path }) => path === name))
  if (missing.length > 0) throw noPrompt(files, missing, where)
  if (chosen.length > PROMPT_FILES)
    throw new HubError('hub-too-many-files', `${where} holds ${chosen.length} files, more than ${PROMPT_FILES}.`)
  for (const { path, size } of chosen) {
    const limit = promptFileLimit(path) ?? 0
    if (size > limit)
      throw new HubError('hub-file-too-large', `${where}: ${path} has ${size} bytes, more than the ${limit} allowed.`, {
        facts: { path, size, limit },
      })
  }
  return chosen
}

/** Folders that hold a prompt, without its own at the top. */
const foldersOf = (paths: readonly string[]): string[] =>
  paths.flatMap((path) => {
    const folder = path.slice(0, -(REQUIRED[0] as string).length - 1)
    return path.endsWith(`/${REQUIRED[0]}`) && paths.includes(`${folder}/${REQUIRED[1]}`) ? [folder] : []
  })

const named = (paths: readonly string[]): string =>
  paths
    .slice(0, 10)
    .map((path) => plain(path, 100))
    .join(', ')

/** Says what lies there instead of a prompt. */
function noPrompt(files: readonly SizedPath[], missing: readonly string[], where: string): SoftPromptError {
  const paths = files.map(({ path }) => path)
  if (missing.join() === REQUIRED[1] && paths.includes('adapter_model.bin')) return pickled(where)
  if (paths.includes('adapter_config.json') && paths.includes('pytorch_adapter.bin')) return adapterHub(where)
  const folders = foldersOf(paths).toSorted()
  if (folders.length > 0) {
    return new HubError(
      'hub-not-a-prompt',
      `${where} holds no soft prompt at its top, but in ${named(folders)}. Name one: ${where}#${plain(folders[0] ?? '')}.`,
      { facts: { missing, folders } },
    )
  }
  return new HubError(
    'hub-not-a-prompt',
    `${where} holds no soft prompt: ${missing.join(' and ')} missing; it has ${named(paths) || 'no files'}.`,
    { facts: { missing } },
  )
}

/**
 * The files below a folder, named from there; all where none is asked for.
 * @throws {HubError} `hub-not-a-prompt` for a folder that is not there, naming those with prompts
 */
export function filesIn<T extends SizedPath>(files: readonly T[], folder: string | undefined, repo: string): (T & { readonly file: T })[] {
  const start = folder === undefined ? '' : `${folder}/`
  const found = files.flatMap((file) => (file.path.startsWith(start) ? [{ ...file, path: file.path.slice(start.length), file }] : []))
  if (folder === undefined || found.length > 0) return found
  const folders = foldersOf(files.map(({ path }) => path)).toSorted()
  throw new HubError(
    'hub-not-a-prompt',
    `${repo} has no folder ${quoted(folder, 100)}; ${folders.length > 0 ? `it has prompts in ${named(folders)}` : 'none of its folders holds a prompt'}.`,
    { facts: { folders } },
  )
}

/**
 * `owner/name`, as the Hub allows it.
 * @throws {HubError} `hub-name`
 */
export function checkRepoId(repo: string): string {
  if (isHubId(repo)) return repo
  throw new HubError(
    'hub-name',
    `"${repo.slice(0, 120)}" is not a repository name: it must read OWNER/NAME, with letters, digits, "-", "_" and ".".`,
  )
}

/** Letters of a part of a path: file systems take 255 bytes. */
const PART_BYTES = 255
/** Letters of a path. */
const PATH_LETTERS = 1024

/** Whether a path leads from a folder to something below it. */
const isBelow = (path: string): boolean =>
  path.length <= PATH_LETTERS && !path.includes('\0') && path.split('/').every((part) => !['', '.', '..'].includes(part))

/** Whether a path stays below the folder it is written to, on every system. */
const isSafe = (path: string): boolean =>
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  isBelow(path) && !/[\\\u0000-\u001f:]/.test(path) && path.split('/').every((part) => new TextEncoder().encode(part).length <= PART_BYTES)

const unsafe = (path: string): HubError =>
  new HubError(
    'hub-unsafe-path',
    `The repository lists a file named ${quoted(path, 100)}, which is not safe to write; nothing was written.`,
  )

/**
 * A path from a listing: what no git holds makes the whole list a lie. Any other name may stand there as long as nobody wants the file.
 * @throws {HubError} `hub-unsafe-path`
 */
export function checkListedPath(path: string): string {
  if (isBelow(path)) return path
  throw unsafe(path)
}

/**
 * A path before it touches the disk.
 * @throws {HubError} `hub-unsafe-path`
 */
export function checkRemotePath(path: string): string {
  if (isSafe(path)) return path
  throw unsafe(path)
}

/**
 * A branch, tag or commit, before the cache is asked for it.
 * @throws {HubError} `hub-revision`
 */
export function checkRevision(revision: string): string {
  if (isSafe(revision)) return revision
  throw new HubError('hub-revision', `${quoted(revision, 100)} is no name of a branch, tag or commit: check --revision.`)
}

/**
 * The files can lie side by side on every disk. What is not chosen is looked at only for what git itself cannot hold: no hub has it.
 * @throws {HubError} `hub-unsafe-path`
 */
export function checkNames(listed: readonly SizedPath[], chosen: readonly SizedPath[], where: string): void {
  for (const { path } of chosen) checkRemotePath(path)
  const files = new Set(listed.map(({ path }) => path))
  const below = listed.find(({ path }) => [...path.matchAll(/\//g)].some(({ index }) => files.has(path.slice(0, index))))
  const words = findNameConflict(chosen.map(({ path }) => path))?.words ?? (below && `${quoted(below.path, 120)} lies below a file`)
  if (words === undefined) return
  throw new HubError('hub-unsafe-path', `${where}: ${words}. Nothing was written: have the files renamed there.`)
}
