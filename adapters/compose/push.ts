/** Push as people mean it: the environment's hub and token, the files read once as a prompt, its base under a name that others can find, its card made for the repository. */
import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { isGeneratedCard } from '../../src/card/card.ts'
import { ConfigError, HubError, UnsupportedError } from '../../src/errors.ts'
import { canonicalBase, hubIdOf, isPath, knownWidth, shownBase } from '../../src/prompt/base-name.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { widthOf } from '../../src/prompt/soft-prompt.ts'
import { CARD_FILE, MANIFEST_FILE, textOf } from '../artifact/artifact.ts'
import { readText } from '../disk/read.ts'
import { replaceFile } from '../disk/replace.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { pushFiles, readPromptFiles, type PromptFiles, type Pushed, type PushFilesOptions } from '../hub/push.ts'
import { adviseWidth } from './advise-name.ts'
import { cardFilesOf, type CardOptions } from './card.ts'
import { nameBase, namesPath, renamedBase } from './name-base.ts'
import { checkBaseId } from './open-base.ts'
import { openLocated, openPrompt, type OpenedPrompt } from './open-prompt.ts'

export interface PushFolderOptions extends Omit<PushFilesOptions, 'hubUrl'>, Pick<CardOptions, 'license' | 'language'> {
  /** Folder of the prompt, or its bundle; `PATH#NAME` for one of a pack. It is read, and with `writeCard` alone written into. */
  readonly dir: string
  /** Default: HF_ENDPOINT. */
  readonly hubUrl?: string
  /** Hub id of the base model, in place of the name that the prompt has for it. */
  readonly baseId?: string
  /** Send a prompt whose base has no Hub id: for those who have a folder of the same name. */
  readonly localBase?: boolean
  /** Send README.md as it is. */
  readonly keepCard?: boolean
  /** Write the card that is sent into the folder too. */
  readonly writeCard?: boolean
}

export interface PushedFolder extends Pushed {
  /** Files of the folder that were written: none without `writeCard`. */
  readonly written: readonly string[]
  /** What was sent otherwise than it lies there, and what is doubtful; for people. */
  readonly notes: readonly string[]
}

/** A prompt's files under their own names, read from a folder or a bundle. */
interface Read {
  readonly name: string
  readonly container: 'folder' | 'bundle'
  readonly files: PromptFiles
}

async function readFolder(dir: string): Promise<Read> {
  try {
    return { name: basename(resolve(dir)), container: 'folder', files: await readPromptFiles(dir) }
  } catch (error) {
    // The reader of prompts says better why it is none: a pack, a pickle, nothing.
    if (error instanceof HubError && error.code === 'hub-not-a-prompt') await openPrompt(dir)
    throw error
  }
}

/** The prompt at a path, or the one that `path#name` chooses of a pack. */
async function readForPush(given: string): Promise<Read> {
  const whole = await stat(given).catch(() => undefined)
  const [, at, name] = (whole === undefined ? /^(.+)#([^#/\\]+)$/.exec(given) : null) ?? []
  const path = at ?? given
  const found = whole ?? (await stat(path).catch(() => undefined))
  if (!found?.isFile()) return readFolder(name === undefined ? path : join(path, name))
  // Loaded only for this: most pulls and pushes see no bundle.
  const { readBundle } = await import('../tar/bundle.ts')
  const prompts = await readBundle(path)
  const [only] = [...prompts.keys()]
  const chosen = name ?? (prompts.size === 1 ? only : undefined)
  const files = chosen === undefined ? undefined : prompts.get(chosen)
  if (files === undefined) {
    throw new UnsupportedError(
      'push-pack',
      `${path} is a pack of ${prompts.size} prompts (${[...prompts.keys()].join(', ')}). Push each to a repository of its own, the first as ${path}#${only}.`,
    )
  }
  return { name: name ?? basename(path).replace(/\.(?:tar\.gz|tgz)$/, ''), container: 'bundle', files }
}

/** The files as a prompt. @throws what the reader of its format throws */
const opened = ({ name, container, files }: Read): Promise<OpenedPrompt> =>
  openLocated({ name, container, files, format: files.has(MANIFEST_FILE) ? 'soft-prompt' : 'peft' })

/** Why others could not find a prompt's base by the name it has; undefined where they can. */
function whyLost({ base }: Manifest): string | undefined {
  const { id, fingerprint } = base
  const meant = hubIdOf(id)
  if (meant === undefined) {
    return id === ''
      ? 'names no base model'
      : `knows its base model by a ${isPath(id) ? 'path' : "folder's name"} only, ${JSON.stringify(id)}`
  }
  const [known, width] = [knownWidth(meant), fingerprint?.width]
  // Without an owner it may be a folder's name, and here it is.
  if (meant === id || known === undefined || width === undefined || known === width) return undefined
  return `was made for a model of width ${width} in a folder called ${id}, which others read as ${meant}, of width ${known}`
}

/**
 * The name that a base is published under.
 * @throws {ConfigError} `push-base` where others could not find the base by it, `base-id`
 */
function publishedBase({ name, prompt }: OpenedPrompt, { baseId, localBase = false }: PushFolderOptions): string {
  const { id } = prompt.manifest.base
  if (baseId !== undefined) return checkBaseId(baseId)
  const why = whyLost(prompt.manifest)
  if (localBase || why === undefined) return isPath(id) ? shownBase(id) : id
  throw new ConfigError(
    'push-base',
    `${name} ${why}: whoever pulls it cannot find that model. Say its Hub id with --base-id OWNER/NAME (in code: baseId), or send it so, for those who have the model, with --local-base (in code: localBase).`,
    { facts: { prompt: name, base: id } },
  )
}

/** What is sent instead of the name that lies in the folder, and whether it fits. */
function notesOn({ prompt, files }: OpenedPrompt, name: string): string[] {
  const { base } = prompt.manifest
  const { id } = base
  const renamed =
    id === name ? [] : [`The base model is sent as ${name}${id === '' ? '' : `, in place of ${id}`}; the folder is as it was.`]
  const meant = canonicalBase(name) === name ? [] : [`The base model ${name} is ${canonicalBase(name)} on the Hub, and its card says so.`]
  const paths = namesPath(files, { ...base, id: '' }) ? ['A path to the tokenizer or the ONNX files of the base model was left out.'] : []
  // A name that is new, or may be a folder's.
  const width = renamed.length + meant.length > 0 ? adviseWidth(name, widthOf(prompt)).map(({ message }) => message) : []
  return [...renamed, ...meant, ...paths, ...width]
}

/** Whether the files say of the base what may not be published. */
const mustRename = ({ prompt: { manifest }, files }: OpenedPrompt, name: string): boolean =>
  manifest.base.id !== name || namesPath(files, manifest.base)

/** A card that a person wrote without our marks is theirs; all others are made anew, for the repository. */
function cardFor(prompt: OpenedPrompt, { repo, license, language, keepCard = false }: PushFolderOptions): Map<string, string> {
  const bytes = prompt.files.get(CARD_FILE)
  const existing = bytes && textOf(bytes, CARD_FILE)
  if (keepCard || (existing !== undefined && !isGeneratedCard(existing))) return new Map()
  const said = { repo, ...(license === undefined ? {} : { license }), ...(language === undefined ? {} : { language }) }
  return cardFilesOf(prompt, said, existing)
}

async function writeChanged(dir: string, files: ReadonlyMap<string, string>): Promise<string[]> {
  const changed: string[] = []
  for (const [name, text] of files) {
    const path = join(dir, name)
    if ((await readText(path)) === text) continue
    await replaceFile(path, text)
    changed.push(name)
  }
  return changed
}

/**
 * Pushes the prompt in a folder or bundle. Its files are read once: what is checked, compared and sent is the same bytes.
 * @throws {ConfigError} `push-base` where nobody else could find the base model, `base-id`
 * @throws {HubError} | {FormatError} and other SoftPromptErrors
 * @example await pushFolder({ dir: './my-prompt', repo: 'me/t5-small-sst2' })
 */
export async function pushFolder(options: PushFolderOptions): Promise<PushedFolder> {
  const { offline, cacheDir: _, ...access } = readHubEnvironment()
  if (offline) throw new HubError('hub-offline', 'Offline (HF_HUB_OFFLINE): nothing can be pushed. Unset it to go online.')
  const { dir, dryRun = false, writeCard = false } = options
  options.onStep?.('reading')
  const read = await readForPush(dir)
  if (writeCard && read.container === 'bundle') {
    throw new UnsupportedError(
      'card-bundle',
      `${dir} is a bundle, and no card is written into it. Push it without writeCard (--write-card).`,
    )
  }
  const found = await opened(read)
  const base = publishedBase(found, options)
  // Renamed files are read anew: what is sent was checked as it is sent.
  const sent = mustRename(found, base)
    ? await opened({ ...read, files: await nameBase(read.files, renamedBase(found.prompt.manifest.base, base)) })
    : found
  const card = cardFor(sent, options)
  const encoder = new TextEncoder()
  const files = new Map([...sent.files, ...[...card].map(([name, text]) => [name, encoder.encode(text)] as const)])
  const pushed = await pushFiles(files, { ...access, ...options })
  const written = writeCard && !dryRun ? await writeChanged(dir, card) : []
  return { ...pushed, written, notes: notesOn(found, base) }
}
