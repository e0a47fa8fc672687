/** The card of a prompt folder: facts from its files, text from the template, README.md and loss.svg written. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promptCard } from '../../hub-cards/prompt.ts'
import { renderCard } from '../../src/card/card.ts'
import { lossChart } from '../../src/card/chart.ts'
import { parseLog, type CardFacts } from '../../src/card/facts.ts'
import { lengthOf, widthOf } from '../../src/prompt/soft-prompt.ts'
import { readText, writeAtomic } from '../hub/disk.ts'
import { openPrompt } from './open-prompt.ts'

export interface CardOptions {
  /** `owner/name` that the snippets name. */
  readonly repo?: string
  readonly license?: string
  readonly language?: readonly string[]
}

/** What is known of the prompt in a folder. @throws {FormatError} and others, where it holds none */
export async function readCardFacts(dir: string, options: CardOptions = {}): Promise<CardFacts> {
  const prompt = await openPrompt(dir)
  const log = await readText(join(dir, 'training_log.jsonl'))
  const { size } = await stat(join(dir, 'adapter_model.safetensors'))
  return {
    manifest: prompt.manifest,
    length: lengthOf(prompt),
    width: widthOf(prompt),
    sizeBytes: size,
    ...(log === undefined ? {} : { log: parseLog(log) }),
    ...options,
  }
}

/** The card's files as they should be; what a person wrote in the README stays. */
export async function renderCardFiles(dir: string, options: CardOptions = {}): Promise<Map<string, string>> {
  const facts = await readCardFacts(dir, options)
  const chart = facts.log === undefined ? undefined : lossChart(facts.log)
  const card = renderCard(facts, promptCard, await readText(join(dir, 'README.md')))
  return new Map([['README.md', card], ...(chart === undefined ? [] : [['loss.svg', chart] as const])])
}

/** Writes the card; returns the names of the files that changed. */
export async function writeCard(dir: string, options: CardOptions = {}): Promise<string[]> {
  const changed: string[] = []
  for (const [name, text] of await renderCardFiles(dir, options)) {
    const path = join(dir, name)
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) continue
    await writeAtomic(path, text)
    changed.push(name)
  }
  return changed
}
