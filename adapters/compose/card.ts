/** The card of a prompt or a pack: facts from its files, text from the template, README.md and loss.svg written. */
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { promptCard } from '../../hub-cards/prompt.ts'
import { UnsupportedError } from '../../src/errors.ts'
import { renderCard } from '../../src/card/card.ts'
import { lossChart } from '../../src/card/chart.ts'
import { parseLog, type CardFacts } from '../../src/card/facts.ts'
import { lengthOf, widthOf } from '../../src/prompt/soft-prompt.ts'
import { readText, writeAtomic } from '../hub/disk.ts'
import { CONFIG_FILE, LOG_FILE, TENSOR_FILE } from '../artifact/artifact.ts'
import { openEvery, type OpenedPrompt } from './open-prompt.ts'

export interface CardOptions {
  /** `owner/name` that the snippets name. */
  readonly repo?: string
  readonly license?: string
  readonly language?: readonly string[]
}

/** What is known of one prompt. */
function factsOf({ prompt, files }: OpenedPrompt, options: CardOptions): CardFacts {
  const log = files.get(LOG_FILE)
  const tensors = files.get(TENSOR_FILE)
  return {
    manifest: prompt.manifest,
    length: lengthOf(prompt),
    width: widthOf(prompt),
    ...(tensors === undefined ? {} : { sizeBytes: tensors.length }),
    ...(log === undefined ? {} : { log: parseLog(new TextDecoder().decode(log)) }),
    ...options,
  }
}

/** Whether a place holds a pack, and its prompts. */
async function openForCard(path: string): Promise<{ readonly isPack: boolean; readonly prompts: readonly OpenedPrompt[] }> {
  const prompts = await openEvery(path)
  // A pack of one is still a pack: its prompt lies in a folder of its own.
  const alone = prompts[0]?.container !== 'folder' || (await readText(join(path, CONFIG_FILE))) !== undefined
  const isPack = prompts.length > 1 || !alone
  return { isPack, prompts }
}

/** The files of a card as they should be; what a person wrote in the README stays. A pack, in a folder or a bundle, has one card for all. */
export async function renderCardFiles(path: string, options: CardOptions = {}): Promise<Map<string, string>> {
  const { isPack, prompts } = await openForCard(path)
  const isFile = (await stat(path)).isFile()
  const existing = isFile ? undefined : await readText(join(path, 'README.md'))
  if (isPack) {
    const { packCard } = await import('../../hub-cards/pack.ts')
    const { renderPackCard } = await import('../../src/card/pack.ts')
    const members = prompts.map((opened) => ({ name: opened.name, facts: factsOf(opened, {}) }))
    const facts = { name: basename(resolve(path)), isBundle: isFile, prompts: members, ...options }
    return new Map([['README.md', renderPackCard(facts, packCard, existing)]])
  }
  const facts = factsOf(prompts[0] as OpenedPrompt, options)
  const chart = facts.log === undefined ? undefined : lossChart(facts.log)
  const card = renderCard(facts, promptCard, existing)
  return new Map([['README.md', card], ...(chart === undefined ? [] : [['loss.svg', chart] as const])])
}

/**
 * Writes the card; returns the names of the files that changed.
 * @throws {UnsupportedError} `card-bundle` for a bundle, which is not written into
 */
export async function writeCard(dir: string, options: CardOptions = {}): Promise<string[]> {
  if ((await stat(dir).catch(() => undefined))?.isFile()) {
    throw new UnsupportedError(
      'card-bundle',
      `${dir} is a bundle: its card can be printed (--print) or shown (--preview). Unpack it to write one.`,
    )
  }
  const changed: string[] = []
  for (const [name, text] of await renderCardFiles(dir, options)) {
    const path = join(dir, name)
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) continue
    await writeAtomic(path, text)
    changed.push(name)
  }
  return changed
}
