/** Looks at a prompt: what it is, what its numbers say, and with its model, which words its virtual tokens lie near and how far training moved them. */
import type { Manifest } from '../../src/prompt/manifest.ts'
import { initialise } from '../../src/prompt/initialise.ts'
import { ConfigError } from '../../src/errors.ts'
import { lengthOf, widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { compareFingerprint } from '../../src/prompt/fingerprint.ts'
import { movedFrom, nearestTokens, rowNorms, type Moved } from '../../src/prompt/statistics.ts'
import { sha256 } from '../artifact/folder.ts'
import { findPrompt } from './find-prompt.ts'
import { openModelFacts, type OpenedModel } from './open-model-facts.ts'
import { openEvery, type OpenedPrompt, type OpenPromptOptions } from './open-prompt.ts'

export interface InspectOptions extends OpenPromptOptions {
  /** Folder, Hub id or encoder file of the base model. */
  readonly model?: string
  /** Nearest pieces listed for each virtual token. Default 5, as in the paper. */
  readonly nearest?: number
  /** Rows of the vocabulary compared so far. */
  readonly onRows?: (done: number, total: number) => void
}

export interface VirtualToken {
  readonly norm: number
  readonly nearest?: readonly { readonly id: number; readonly piece: string; readonly cosine: number }[]
  readonly moved?: Moved
}

export interface Inspection {
  readonly name: string
  readonly format: OpenedPrompt['format']
  readonly container: OpenedPrompt['container']
  readonly peftType?: string
  readonly length: number // P
  readonly width: number // D
  readonly dtype: string
  readonly storedShape: readonly number[]
  /** Rows that are stored and never used. */
  readonly deadRows: number
  readonly norms: { readonly min: number; readonly mean: number; readonly max: number }
  readonly manifest: Manifest
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[]
  readonly notes: readonly string[]
  /** Against the model, where one was given and the prompt carries a fingerprint. */
  readonly base?: { readonly answer: string; readonly drift: number; readonly reasons: readonly string[] }
  readonly tokens: readonly VirtualToken[]
  /** Mean way from the start, or why it is not known. */
  readonly moved?: { readonly mean: number } | { readonly unknown: string }
}

const MAX_NEAREST = 1000

/**
 * Inspects a prompt, or every prompt of a pack.
 * @throws as `openPrompt` and, with a model, as `openModelFacts`; {ShapeError} `prompt-width` for a model of another width
 */
export async function inspectPrompts(path: string, options: InspectOptions = {}): Promise<Inspection[]> {
  const { nearest = 5 } = options
  if (!Number.isInteger(nearest) || nearest < 1 || nearest > MAX_NEAREST) {
    throw new ConfigError(
      'inspect-nearest',
      `The number of nearest pieces has to be a whole number from 1 to ${MAX_NEAREST}, got ${nearest}.`,
    )
  }
  const [found, model] = await Promise.all([
    openEvery(await findPrompt(path), options),
    options.model === undefined ? undefined : openModelFacts(options.model),
  ])
  const inspections: Inspection[] = []
  for (const opened of found) inspections.push(await inspect(opened, model, options))
  return inspections
}

async function inspect(opened: OpenedPrompt, model: OpenedModel | undefined, options: InspectOptions): Promise<Inspection> {
  const { name, prompt, format, container, peftType, dtype, storedShape, files } = opened
  const { manifest, embeddings } = prompt
  const norms = rowNorms(embeddings)
  const known = {
    name,
    format,
    container,
    ...(peftType === undefined ? {} : { peftType }),
    length: lengthOf(prompt),
    width: widthOf(prompt),
    dtype,
    storedShape,
    deadRows: (storedShape[0] ?? 0) - lengthOf(prompt),
    norms: { min: Math.min(...norms), mean: norms.reduce((sum, norm) => sum + norm, 0) / norms.length, max: Math.max(...norms) },
    manifest,
    files: [...files].map(([file, { length: sizeBytes }]) => ({ name: file, sizeBytes })),
    notes: opened.notes,
  }
  if (!model) return { ...known, tokens: norms.map((norm) => ({ norm })) }
  const pieces = model.tokenizer?.pieces
  const near = nearestTokens(embeddings, model.facts.table, options.nearest ?? 5, options.onRows)
  const { fingerprint } = manifest.base
  const base = fingerprint && (await compareFingerprint(fingerprint, model.facts, sha256))
  const start = base?.answer === 'other' ? 'this is not the model it was trained on' : startOf(prompt, model)
  const moved = typeof start === 'string' ? undefined : movedFrom(embeddings, start)
  const tokens: VirtualToken[] = []
  for (const [token, norm] of norms.entries()) {
    const nearest = (near[token] ?? []).map(({ id, cosine }) => ({ id, piece: pieces?.[id] ?? `<row ${id}>`, cosine }))
    const way = moved?.[token]
    tokens.push(way ? { norm, nearest, moved: way } : { norm, nearest })
  }
  const mean = moved && moved.reduce((sum, { distance }) => sum + distance, 0) / moved.length
  return {
    ...known,
    ...(base ? { base } : {}),
    tokens,
    moved: typeof start === 'string' ? { unknown: start } : { mean: mean ?? 0 },
  }
}

/** The prompt that training began from, made again from the recipe; or why it cannot be. */
function startOf({ manifest, embeddings }: SoftPrompt, { facts, tokenizer }: OpenedModel): typeof embeddings | string {
  const { recipe, labels } = manifest
  if (!recipe) return 'there is no recipe'
  const { init, seed, length } = recipe
  if (length !== embeddings.shape[0]) return `the recipe is for ${length} virtual tokens`
  if (init === 'prompt') return 'it began from another prompt, which the recipe does not hold'
  const texts = init === 'text' ? [recipe['initText']] : init === 'labels' ? labels : []
  if (!texts?.every((text) => typeof text === 'string'))
    return `the ${init === 'text' ? 'text' : 'label words'} it began from are not written down`
  if (texts.length > 0 && !tokenizer) return 'it began from words, and there is no tokenizer'
  const words = texts.map((text) => tokenizer?.encode(text).slice(0, -1) ?? [])
  return initialise({ kind: init, length, table: facts.table, words, seed })
}
