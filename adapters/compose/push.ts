/** Push as people mean it: the environment's hub and token, the folder read as a prompt first, its card written. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isGeneratedCard } from '../../src/card/card.ts'
import { HubError, UnsupportedError } from '../../src/errors.ts'
import { readText } from '../disk/read.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { pushPrompt, type Pushed, type PushOptions } from '../hub/push.ts'
import { writeCard, type CardOptions } from './card.ts'
import { openPrompt } from './open-prompt.ts'

export interface PushFolderOptions extends Omit<PushOptions, 'hubUrl' | 'validate'>, Omit<CardOptions, 'repo'> {
  /** Default: HF_ENDPOINT. */
  readonly hubUrl?: string
  /** Leave README.md as it is. */
  readonly keepCard?: boolean
}

export interface PushedFolder extends Pushed {
  /** Files of the folder that were written: the card names the repository it goes to. */
  readonly written: readonly string[]
}

/** A card that a person wrote without our marks is theirs; all others are brought up to date. */
async function mayWriteCard(dir: string): Promise<boolean> {
  const card = await readText(join(dir, 'README.md'))
  return card === undefined || isGeneratedCard(card)
}

/** Runs `work` on a folder: the one that is named, or a bundle unpacked for as long. */
async function withFolder<T>(path: string, work: (dir: string, isBundle: boolean) => Promise<T>): Promise<T> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) return work(path, false)
  // Loaded only for this: most pulls and pushes see no bundle.
  const { readBundle } = await import('../tar/bundle.ts')
  const prompts = await readBundle(path)
  const [files] = [...prompts.values()]
  if (files === undefined || prompts.size > 1) {
    throw new UnsupportedError(
      'push-pack',
      `${path} is a pack of ${prompts.size} prompts (${[...prompts.keys()].join(', ')}); unpack it and push each to a repository of its own.`,
    )
  }
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-'))
  try {
    for (const [name, bytes] of files) await writeFile(join(dir, name), bytes)
    return await work(dir, true)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/**
 * Pushes the prompt in a folder or bundle.
 * @throws {HubError} | {FormatError} and other SoftPromptErrors
 * @example await pushFolder({ dir: './my-prompt', repo: 'me/t5-small-sst2' })
 */
export async function pushFolder(options: PushFolderOptions): Promise<PushedFolder> {
  const { offline, cacheDir: _, ...access } = readHubEnvironment()
  if (offline) throw new HubError('hub-offline', 'Offline (HF_HUB_OFFLINE): nothing can be pushed. Unset it to go online.')
  const { repo, license, language, keepCard = false, dryRun = false } = options
  return withFolder(options.dir, async (dir, isBundle) => {
    await openPrompt(dir)
    const writes = !keepCard && !dryRun && (await mayWriteCard(dir))
    const facts = { repo, ...(license === undefined ? {} : { license }), ...(language === undefined ? {} : { language }) }
    const written = writes ? await writeCard(dir, facts) : []
    return { ...(await pushPrompt({ ...access, ...options, dir })), written: isBundle ? [] : written }
  })
}
