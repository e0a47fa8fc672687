/** Push as people mean it: the environment's hub and token, the folder read as a prompt first, its card written. */
import { join } from 'node:path'
import { isGeneratedCard } from '../../src/card/card.ts'
import { readText } from '../hub/disk.ts'
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

/**
 * Pushes the prompt in a folder.
 * @throws {HubError} | {FormatError} and other SoftPromptErrors
 * @example await pushFolder({ dir: './my-prompt', repo: 'me/t5-small-sst2' })
 */
export async function pushFolder(options: PushFolderOptions): Promise<PushedFolder> {
  const { hubUrl, token } = readHubEnvironment()
  const { dir, repo, license, language, keepCard = false, dryRun = false } = options
  await openPrompt(dir)
  const writes = !keepCard && !dryRun && (await mayWriteCard(dir))
  const facts = { repo, ...(license === undefined ? {} : { license }), ...(language === undefined ? {} : { language }) }
  const written = writes ? await writeCard(dir, facts) : []
  return { ...(await pushPrompt({ hubUrl, token, ...options })), written }
}
