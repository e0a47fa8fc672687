/** Opens soft prompts from whatever they lie in: our artifact, a plain PEFT adapter, a `.npy` of the paper's code, a bundle, a pack of several. */
import { open, readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ConfigError, FormatError, UnsupportedError } from '../../src/errors.ts'
import { parseAdapterConfig, pickled } from '../../src/prompt/adapter-config.ts'
import { parsePromptId } from '../../src/prompt/prompt-id.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { parseSafetensorsHeader } from '../../src/tensor/safetensors.ts'
import {
  checkHashes,
  CONFIG_FILE,
  fileOf,
  MANIFEST_FILE,
  parseArtifact,
  TENSOR_FILE,
  TENSOR_NAME,
  textOf,
  type Files,
} from '../artifact/artifact.ts'
import { readArtifactFiles, sha256 } from '../artifact/folder.ts'

export interface OpenPromptOptions {
  /** Which task's prompt of a multitask adapter. */
  readonly task?: number
  /** Which prompt of a pack; `pack.tar.gz#name` says the same. */
  readonly name?: string
}

/** A prompt with how it was found. */
export interface OpenedPrompt {
  /** Its folder's or file's name, without an ending; in a pack its name there. */
  readonly name: string
  readonly prompt: SoftPrompt
  readonly format: 'soft-prompt' | 'peft' | 'npy'
  readonly container: 'folder' | 'bundle' | 'file'
  /** PEFT's name of its method. */
  readonly peftType?: string
  /** How the numbers are stored, before rows were left out. */
  readonly dtype: string
  readonly storedShape: readonly number[]
  /** What was left out, and why; for people. */
  readonly notes: readonly string[]
  /** The files it was read from. */
  readonly files: Files
}

/** PEFT's older name of the tensor file. */
const PICKLE_FILE = 'adapter_model.bin'
/** 20,000 virtual tokens of width 1024 in F64. */
const MAX_NPY_BYTES: number = 160 << 20

/**
 * Reads and checks a prompt: a folder, a bundle or a file.
 * @throws {FormatError} `prompt-missing`, and the codes of the format it is in
 * @throws {ConfigError} `prompt-pack` where there are several and no name chooses
 * @example const prompt = await openPrompt('./my-prompt')
 */
export async function openPrompt(path: string, options: OpenPromptOptions = {}): Promise<SoftPrompt> {
  return (await openPromptAs(path, options)).prompt
}

/** The prompts of a pack (or the one prompt) by name. @throws as `openPrompt` */
export async function openPrompts(path: string, options: OpenPromptOptions = {}): Promise<Map<string, SoftPrompt>> {
  return new Map((await openEvery(path, options)).map(({ name, prompt }) => [name, prompt]))
}

/** A prompt with its format, files and notes. @throws as `openPrompt` */
export async function openPromptAs(path: string, options: OpenPromptOptions = {}): Promise<OpenedPrompt> {
  const found = await openEvery(path, options)
  const [only] = found
  if (only && found.length === 1) return only
  throw packError(path, found)
}

/** The one error for a pack where one prompt is meant. @param or what else would do, after a comma */
export function packError(path: string, prompts: readonly { readonly name: string }[], or = ''): ConfigError {
  const names = prompts.map(({ name }) => name)
  return new ConfigError(
    'prompt-pack',
    `${path} is a pack of ${names.length} prompts (${names.join(', ').slice(0, 500)}). Choose one as ${path}#${names[0]}${or}.`,
    { facts: { names } },
  )
}

/** Every prompt at a place, or the one that `name` chooses. @throws as `openPrompt` */
export async function openEvery(path: string, options: OpenPromptOptions = {}): Promise<OpenedPrompt[]> {
  return Promise.all((await locatePrompts(path, options)).map((found) => openLocated(found, options)))
}

/** A prompt's files, found and not yet read. */
export type LocatedPrompt = Pick<OpenedPrompt, 'name' | 'container' | 'files' | 'format'>

/** Finds the files of every prompt at a place, or of the one that `name` chooses. @throws {FormatError} `prompt-missing` | `bundle-*` */
export async function locatePrompts(path: string, options: OpenPromptOptions = {}): Promise<LocatedPrompt[]> {
  const found = await stat(path).catch(() => undefined)
  const hash = path.lastIndexOf('#')
  if (!found && hash > 0 && options.name === undefined)
    return locatePrompts(path.slice(0, hash), { ...options, name: path.slice(hash + 1) })
  if (!found) {
    throw new FormatError(
      'prompt-missing',
      parsePromptId(path) === undefined
        ? `There is no prompt at ${path}: no such folder, .tar.gz bundle or .npy file is there, and it is no Hub id (OWNER/NAME).`
        : `There is no prompt at ${path}: no such folder, .tar.gz bundle or .npy file is there. One on the Hub is pulled first: soft-prompts pull ${path} --out DIR.`,
      {
        facts: { path },
      },
    )
  }
  const name = nameOf(path)
  if (!found.isDirectory() && !found.isFile()) throw unreadable(path, new Uint8Array())
  if (!found.isDirectory()) return locateInFile(path, name, found.size, options)
  const files = await filesOf(path)
  if (files) return [adapter(name, 'folder', files)]
  const folders = await packedFolders(path)
  const read = await Promise.all(folders.map(async (folder) => [folder, (await filesOf(join(path, folder))) as Files] as const))
  return chosen(new Map(read), path, 'folder', options)
}

const adapter = (name: string, container: OpenedPrompt['container'], files: Files): LocatedPrompt => ({
  name,
  container,
  files,
  format: files.has(MANIFEST_FILE) ? 'soft-prompt' : 'peft',
})

/** A folder's or file's name; a snapshot of the Hub cache is called as its repository. */
const nameOf = (path: string): string =>
  /models--[^/\\]+--([^/\\]+)[/\\]snapshots[/\\][^/\\]+$/.exec(resolve(path))?.[1] ??
  basename(resolve(path)).replace(/\.(?:tar\.gz|tgz|npy)$/, '')

async function locateInFile(path: string, name: string, sizeBytes: number, options: OpenPromptOptions): Promise<LocatedPrompt[]> {
  const head = await headOf(path)
  // Readers are loaded where they are needed: most prompts are folders of ours.
  const { isGzip, readBundle } = await import('../tar/bundle.ts')
  if (isGzip(head)) {
    const bundle = await readBundle(path)
    const root = bundle.get('')
    return root ? [adapter(name, 'bundle', root)] : chosen(bundle, path, 'bundle', options)
  }
  const { isNpy } = await import('../google/npy.ts')
  if (!isNpy(head)) throw unreadable(path, head)
  if (sizeBytes > MAX_NPY_BYTES) throw new FormatError('npy-size', `${path} has ${sizeBytes} bytes, at most ${MAX_NPY_BYTES} are read.`)
  return [{ name, container: 'file', format: 'npy', files: new Map([[basename(path), await readWhole(path, sizeBytes)]]) }]
}

async function headOf(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(16), 0, 16, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** At most the bytes that were counted, should the file grow meanwhile. */
async function readWhole(path: string, sizeBytes: number): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(sizeBytes), 0, sizeBytes, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Says what a file is that is no prompt. */
function unreadable(path: string, head: Uint8Array): UnsupportedError {
  const [a, b] = head
  // A zip is what torch.save and numpy.savez write; a bare pickle begins with 0x80 and its version.
  const isPickle = (a === 0x50 && b === 0x4b) || (a === 0x80 && b !== undefined && b <= 5)
  return isPickle
    ? new UnsupportedError(
        'peft-pickle',
        `${path} is a pickle or an archive of pickles, which can run code when it is read. Save it again in Python: model.save_pretrained(folder) writes safetensors, numpy.save(path, prompt) a .npy.`,
      )
    : new UnsupportedError(
        'prompt-file',
        `${path} is no prompt that can be read: expected a folder, a .tar.gz bundle or a .npy file. A .safetensors file is read together with the folder it lies in.`,
      )
}

/** An adapter's files, or undefined where the folder holds none. */
async function filesOf(dir: string): Promise<Files | undefined> {
  const names = new Set(await readdir(dir))
  if (![CONFIG_FILE, TENSOR_FILE, MANIFEST_FILE, PICKLE_FILE].some((name) => names.has(name))) return undefined
  const files = await readArtifactFiles(dir)
  // Its presence explains why there is no tensor; its bytes are never read.
  return names.has(PICKLE_FILE) ? new Map([...files, [PICKLE_FILE, new Uint8Array()]]) : files
}

async function packedFolders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name)
  const packed = await Promise.all(folders.map(async (name) => ((await filesOf(join(path, name))) ? [name] : [])))
  const found = packed.flat().toSorted()
  if (found.length > 0) return found
  throw new FormatError(
    'artifact-file-missing',
    `${path} holds no prompt: expected ${CONFIG_FILE} and ${TENSOR_FILE} in it, or folders with them. There is ${
      entries
        .map(({ name }) => name)
        .slice(0, 10)
        .join(', ') || 'nothing'
    }.`,
    { facts: { name: CONFIG_FILE } },
  )
}

function chosen(
  pack: ReadonlyMap<string, Files>,
  path: string,
  container: OpenedPrompt['container'],
  { name }: OpenPromptOptions,
): LocatedPrompt[] {
  if (name === undefined) return [...pack].map(([folder, files]) => adapter(folder, container, files))
  const files = pack.get(name)
  if (files) return [adapter(name, container, files)]
  const names = [...pack.keys()]
  throw new ConfigError('prompt-name', `${path} has no prompt called ${name}; it has ${names.join(', ').slice(0, 500)}.`, {
    facts: { names },
  })
}

/** Reads what was located. @throws as `openPrompt` */
export async function openLocated(found: LocatedPrompt, { task }: OpenPromptOptions = {}): Promise<OpenedPrompt> {
  const { name, files, format } = found
  if (format === 'npy') return openedNpy(found, task)
  if (!files.has(TENSOR_FILE) && files.has(PICKLE_FILE)) {
    throw pickled(name)
  }
  if (format === 'peft') {
    const { parsePeft } = await import('../peft/peft.ts')
    const config = textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE)
    // What another library's adapter is comes before what it lacks.
    if (!files.has(TENSOR_FILE)) parseAdapterConfig(config)
    return { ...found, ...parsePeft(config, fileOf(files, TENSOR_FILE), task === undefined ? {} : { task }) }
  }
  refuseTask(task, name)
  const prompt = parseArtifact(files)
  await checkHashes(files, prompt.manifest, sha256)
  const bytes = fileOf(files, TENSOR_FILE)
  const { dtype, shape } = parseSafetensorsHeader(bytes, bytes.length).entries.get(TENSOR_NAME) ?? { dtype: 'F32', shape: [] }
  return { ...found, prompt, peftType: 'PROMPT_TUNING', dtype, storedShape: shape, notes: [] }
}

async function openedNpy(found: LocatedPrompt, task: number | undefined): Promise<OpenedPrompt> {
  refuseTask(task, found.name)
  const { parseNpy } = await import('../google/npy.ts')
  const [bytes = new Uint8Array()] = found.files.values()
  const { embeddings, dtype } = parseNpy(bytes)
  // The file says nothing of its base model.
  const prompt = softPrompt(embeddings, { base: { id: '' } })
  return { ...found, prompt, dtype, storedShape: embeddings.shape, notes: dtype === 'F64' ? ['F64 was rounded to F32.'] : [] }
}

function refuseTask(task: number | undefined, name: string): void {
  if (task !== undefined) throw new ConfigError('peft-task', `Task ${task} was asked for, but ${name} holds one prompt only.`)
}
