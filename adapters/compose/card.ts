/** The card of a prompt or a pack: facts from its files, text from the template, README.md and loss.svg written. */
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { promptCard } from '../../hub-cards/prompt.ts'
import { MismatchError, UnsupportedError } from '../../src/errors.ts'
import { renderCard } from '../../src/card/card.ts'
import { lossChart } from '../../src/card/chart.ts'
import { parseLog, type CardFacts } from '../../src/card/facts.ts'
import { renamePath } from '../../src/prompt/base-name.ts'
import { compareFingerprint } from '../../src/prompt/fingerprint.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { lengthOf, widthOf } from '../../src/prompt/soft-prompt.ts'
import { readText } from '../disk/read.ts'
import { replaceFile } from '../disk/replace.ts'
import { CONFIG_FILE, LOG_FILE, MANIFEST_FILE, TENSOR_FILE } from '../artifact/artifact.ts'
import { sha256 } from '../artifact/folder.ts'
import { formatManifest } from '../artifact/manifest.ts'
import { mirrorOf } from './mirrors.ts'
import { openEvery, type OpenedPrompt } from './open-prompt.ts'

export interface CardOptions {
  /** `owner/name` that the snippets name. */
  readonly repo?: string
  readonly license?: string
  readonly language?: readonly string[]
  /** Base model: folder, Hub id or encoder file. Nearest words that the manifest lacks are found in it. */
  readonly model?: string
  /** Folder or Hub id with the base's ONNX files: the prompt is checked on each encoder there. */
  readonly check?: string
}

/** A prompt with what its card needs and its manifest lacked. */
interface Member extends OpenedPrompt {
  readonly manifest: Manifest
}

/** What is known of one prompt. */
function factsOf({ prompt, manifest, files, name, container }: Member, options: CardOptions): CardFacts {
  const { repo, license, language } = options
  const log = files.get(LOG_FILE)
  const tensors = files.get(TENSOR_FILE)
  const { id } = manifest.base
  const onnxId = mirrorOf(id)
  return {
    manifest,
    length: lengthOf(prompt),
    width: widthOf(prompt),
    name: container === 'bundle' ? `${name}.tar.gz` : name,
    ...(onnxId === undefined ? {} : { onnxId }),
    ...(tensors === undefined ? {} : { sizeBytes: tensors.length }),
    ...(log === undefined ? {} : { log: parseLog(new TextDecoder().decode(log)) }),
    ...(repo === undefined ? {} : { repo }),
    ...(license === undefined ? {} : { license }),
    ...(language === undefined ? {} : { language }),
  }
}

/**
 * What is asked for and not on record yet.
 * @throws {MismatchError} `prompt-base` for another model
 */
async function completed(opened: OpenedPrompt, { model, check }: CardOptions): Promise<Member> {
  const { prompt, name } = opened
  let manifest = prompt.manifest
  if (model !== undefined && manifest.nearest === undefined) {
    const { openModelFacts } = await import('./open-model-facts.ts')
    const { facts, tokenizer } = await openModelFacts(model)
    const { fingerprint } = manifest.base
    const compared = fingerprint && (await compareFingerprint(fingerprint, facts, sha256))
    if (compared?.answer === 'other') {
      throw new MismatchError('prompt-base', `${name} was made for ${manifest.base.id}, not for ${model}: ${compared.reasons.join('; ')}.`)
    }
    if (tokenizer) {
      const { nearestPieces } = await import('./evidence.ts')
      manifest = { ...manifest, nearest: nearestPieces(prompt.embeddings, facts.table, tokenizer.pieces) }
    }
  }
  if (check !== undefined) {
    const { checkEncoders } = await import('./check-encoders.ts')
    manifest = { ...manifest, checks: await checkEncoders(name, prompt, check) }
  }
  return { ...opened, manifest }
}

/** Whether a place holds a pack, and its prompts. */
async function openForCard(path: string, options: CardOptions): Promise<{ readonly isPack: boolean; readonly prompts: readonly Member[] }> {
  const prompts: Member[] = []
  for (const opened of await openEvery(path)) prompts.push(await completed(opened, options))
  // A pack of one is still a pack: its prompt lies in a folder of its own.
  const alone = prompts[0]?.container !== 'folder' || (await readText(join(path, CONFIG_FILE))) !== undefined
  const isPack = prompts.length > 1 || !alone
  return { isPack, prompts }
}

/** The files of a card as they should be; what a person wrote in the README stays. A pack, in a folder or a bundle, has one card for all. */
export async function renderCardFiles(path: string, options: CardOptions = {}): Promise<Map<string, string>> {
  const files = await render(path, options)
  return new Map([...files].filter(([name]) => basename(name) !== MANIFEST_FILE))
}

/** The card's files, and the manifests that have learnt something. */
async function render(path: string, options: CardOptions): Promise<Map<string, string>> {
  const { isPack, prompts } = await openForCard(path, options)
  const isFile = (await stat(path)).isFile()
  const existing = isFile ? undefined : await readText(join(path, 'README.md'))
  const learnt = prompts
    .filter(({ manifest, prompt, format }) => manifest !== prompt.manifest && format === 'soft-prompt')
    .map(({ name, manifest }) => [isPack ? join(name, MANIFEST_FILE) : MANIFEST_FILE, formatManifest(manifest)] as const)
  if (isPack) {
    const { packCard } = await import('../../hub-cards/pack.ts')
    const { renderPackCard } = await import('../../src/card/pack.ts')
    const members = prompts.map((member) => ({ name: member.name, facts: factsOf(member, {}) }))
    const { license, language } = options
    const said = { ...(license === undefined ? {} : { license }), ...(language === undefined ? {} : { language }) }
    const facts = { name: basename(resolve(path)), isBundle: isFile, prompts: members, ...said }
    return new Map([...learnt, ['README.md', renderPackCard(facts, packCard, existing)]])
  }
  return new Map([...learnt, ...cardOf(prompts[0] as Member, options, existing)])
}

function cardOf(member: Member, options: CardOptions, existing: string | undefined): Map<string, string> {
  const facts = factsOf(member, options)
  const chart = facts.log === undefined ? undefined : lossChart(facts.log)
  const { id } = member.manifest.base
  // Other programs write the path of a base into their cards.
  const card = renderCard(facts, promptCard, existing === undefined ? undefined : renamePath(existing, id))
  return new Map([['README.md', card], ...(chart === undefined ? [] : [['loss.svg', chart] as const])])
}

/** The card's files of a prompt that is open, beside the card it has: nothing is read, nothing written. */
export const cardFilesOf = (
  opened: OpenedPrompt,
  options: Pick<CardOptions, 'repo' | 'license' | 'language'> = {},
  existing?: string,
): Map<string, string> => cardOf({ ...opened, manifest: opened.prompt.manifest }, options, existing)

/**
 * Writes the card; returns the names of the files that changed. With `model` or `check` the manifest too, which keeps what was found.
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
  for (const [name, text] of await render(dir, options)) {
    const path = join(dir, name)
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) continue
    await replaceFile(path, text)
    changed.push(name)
  }
  return changed
}
