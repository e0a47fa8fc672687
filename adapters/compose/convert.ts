/** Turns a prompt of any form into another, reads the result back and says what is equal, what was rounded and what was dropped. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, MismatchError, UnsupportedError } from '../../src/errors.ts'
import { hubIdOf, isPath, shownBase } from '../../src/prompt/base-name.ts'
import type { BaseModel, Manifest } from '../../src/prompt/manifest.ts'
import { widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { FloatDtype } from '../../src/tensor/half.ts'
import {
  CARD_FILE,
  CONFIG_FILE,
  CURVE_FILE,
  formatArtifact,
  LOG_FILE,
  MANIFEST_FILE,
  TENSOR_FILE,
  textOf,
  type Files,
} from '../artifact/artifact.ts'
import { sha256, writeFilesInto } from '../artifact/folder.ts'
import { replaceFile } from '../disk/replace.ts'
import { formatNpy } from '../google/npy.ts'
import { formatOnnxAdapter } from '../onnx-adapter/onnx-adapter.ts'
import { writeBundle } from '../tar/bundle.ts'
import { adviseWidth } from './advise-name.ts'
import { findPrompt } from './find-prompt.ts'
import { nameBase, renamedBase } from './name-base.ts'
import { checkBaseId } from './open-base.ts'
import { openEvery, openPromptAs, type OpenedPrompt, type OpenPromptOptions } from './open-prompt.ts'

export type TargetForm = 'folder' | 'bundle' | 'npy' | 'onnx_adapter'

export interface ConvertOptions extends OpenPromptOptions {
  /** More prompts, packed together with the first. */
  readonly also?: readonly string[]
  /** Hub id of the base model: noted where the source names none, else in place of the name it has, which the report says. */
  readonly baseId?: string
  /** The same by its older name. */
  readonly base?: string
  /** Stored dtype of a folder or bundle; default: as the artifact has it, else F32. */
  readonly dtype?: FloatDtype
  readonly overwrite?: boolean
}

/** What became of one prompt. */
export interface ConvertedPrompt {
  readonly name: string
  readonly from: OpenedPrompt['format']
  readonly shape: readonly number[]
  /** Largest difference of any value between source and result, as read back; 0 = equal bit for bit. */
  readonly maxDifference: number
  /** What did not come along, and why. */
  readonly dropped: readonly string[]
  /** What was written otherwise than it was read, where there is such a thing; for people. */
  readonly notes?: readonly string[]
}

export interface Conversion {
  readonly to: string
  readonly form: TargetForm
  readonly prompts: readonly ConvertedPrompt[]
}

/** Files of an artifact that travel with it. */
const TRAVELLING: ReadonlySet<string> = new Set([CONFIG_FILE, TENSOR_FILE, MANIFEST_FILE, LOG_FILE, CARD_FILE, CURVE_FILE])

/**
 * Converts a prompt, or packs several. Everything is read and checked before anything is written.
 * @throws {ConfigError} `convert-exists` | `convert-base` | `convert-names` | `prompt-pack` | `base-id`
 * @throws {UnsupportedError} `convert-form` | `convert-dtype` | `prompt-f16-range`, and as `openPrompt`
 * @example await convertPrompt('sst2.npy', './sst2', { baseId: 'google/t5-base-lm-adapt' })
 */
export async function convertPrompt(from: string, to: string, options: ConvertOptions = {}): Promise<Conversion> {
  const form = formOf(to)
  if (options.dtype !== undefined && (form === 'npy' || form === 'onnx_adapter')) {
    throw new ConfigError('convert-dtype', `A ${form} file is written in F32; --dtype is for folders and bundles.`)
  }
  const sources = await openSources(await findPrompt(from), form, options)
  if (!options.overwrite && (await isTaken(to))) {
    throw new ConfigError('convert-exists', `${to} is there already. Give another name, or --overwrite.`, { facts: { to } })
  }
  const prompts =
    form === 'npy' || form === 'onnx_adapter' ? [await writeMatrix(sources, to, form)] : await writeArtifacts(sources, to, form, options)
  return { to, form, prompts }
}

function formOf(to: string): TargetForm {
  if (/\.(?:tar\.gz|tgz)$/.test(to)) return 'bundle'
  if (to.endsWith('.npy')) return 'npy'
  if (to.endsWith('.onnx_adapter')) return 'onnx_adapter'
  const ending = /\.(?:safetensors|bin|pt|pth|pkl|npz|zip|tar|onnx)$/.exec(to)?.[0]
  if (ending === undefined) return 'folder'
  throw new UnsupportedError(
    'convert-form',
    `A prompt is not written as ${ending}: name a folder, or a .tar.gz, .npy or .onnx_adapter file.`,
  )
}

const isTaken = (path: string): Promise<boolean> =>
  stat(path).then(
    async (found) => !found.isDirectory() || (await readdir(path)).length > 0,
    () => false,
  )

async function openSources(from: string, form: TargetForm, options: ConvertOptions): Promise<OpenedPrompt[]> {
  const { also = [], task, name } = options
  const chosen = { ...(task === undefined ? {} : { task }), ...(name === undefined ? {} : { name }) }
  // A matrix alone is one prompt; folders and bundles take packs.
  const first = form === 'npy' || form === 'onnx_adapter' ? [await openPromptAs(from, chosen)] : await openEvery(from, chosen)
  const sources = [...first, ...(await Promise.all(also.map(async (path) => openEvery(await findPrompt(path))))).flat()]
  const names = sources.map((source) => source.name.toLowerCase())
  if (new Set(names).size < names.length) {
    throw new ConfigError(
      'convert-names',
      `Two prompts of the pack are called the same: ${names.join(', ').slice(0, 300)}. Rename one's folder.`,
    )
  }
  if (sources.length > 1 && (form === 'npy' || form === 'onnx_adapter')) {
    throw new ConfigError('convert-form', `A ${form} file holds one prompt; pack several in a folder or .tar.gz.`)
  }
  return sources
}

async function writeMatrix(sources: readonly OpenedPrompt[], to: string, form: 'npy' | 'onnx_adapter'): Promise<ConvertedPrompt> {
  const [source] = sources as [OpenedPrompt]
  const { embeddings } = source.prompt
  const bytes = form === 'npy' ? formatNpy(embeddings) : formatOnnxAdapter(source.prompt)
  // The numbers end up in the file as they are, in F32.
  const raw = Buffer.from(embeddings.data.buffer, embeddings.data.byteOffset, embeddings.data.byteLength)
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(raw)) throw unequal(source.name, to)
  await replaceFile(to, bytes)
  if (form === 'npy' && maxDifference(source.prompt, await openPromptAs(to)) !== 0) throw unequal(source.name, to)
  const lost = [...manifestParts(source.prompt.manifest), ...companions(source.files)]
  return {
    name: source.name,
    from: source.format,
    shape: embeddings.shape,
    maxDifference: 0,
    dropped: [...source.notes, ...(lost.length > 0 ? [`A .${form} file holds the numbers alone: ${lost.join(', ')} stayed behind.`] : [])],
  }
}

const unequal = (name: string, to: string): MismatchError =>
  new MismatchError('convert-unequal', `What was written to ${to} is not the prompt ${name} that was read. Please report this.`)

/** What a manifest says, in words. */
function manifestParts(manifest: Manifest): string[] {
  const { base, unknown = {}, files: _, ...rest } = manifest
  return [...(base.id === '' ? [] : ['base_model']), ...Object.keys(rest), ...Object.keys(unknown)]
}

const companions = (files: Files): string[] => [LOG_FILE, CARD_FILE, CURVE_FILE].filter((name) => files.has(name))

async function writeArtifacts(
  sources: readonly OpenedPrompt[],
  to: string,
  form: 'folder' | 'bundle',
  options: ConvertOptions,
): Promise<ConvertedPrompt[]> {
  const made = new Map(await Promise.all(sources.map(async (source) => [source.name, await artifactOf(source, options)] as const)))
  const isPack = sources.length > 1
  if (form === 'bundle') await writeBundle(to, isPack ? made : new Map([['', made.get(sources[0]?.name ?? '') as Files]]))
  else for (const [name, files] of made) await writeFolder(isPack ? join(to, name) : to, files)
  const results: ConvertedPrompt[] = []
  for (const source of sources) {
    const written = await openPromptAs(to, isPack ? { name: source.name } : {})
    const { dtype = 'F32' } = options
    const difference = maxDifference(source.prompt, written)
    if (dtype === 'F32' && difference !== 0) throw unequal(source.name, to)
    const notes = notesOn(source, written)
    const rounded = difference > 0 ? [`Values were rounded to ${dtype}: ${difference.toPrecision(2)} at most.`] : []
    results.push({
      name: source.name,
      from: source.format,
      shape: source.prompt.embeddings.shape,
      maxDifference: difference,
      dropped: [...source.notes, ...rounded],
      ...(notes.length > 0 ? { notes } : {}),
    })
  }
  return results
}

/** Files into a folder; what of another prompt lay there goes. */
async function writeFolder(dir: string, files: Files): Promise<void> {
  await writeFilesInto(dir, files)
  for (const name of TRAVELLING) if (!files.has(name)) await rm(join(dir, name), { force: true })
}

/**
 * The base that is written down: as it was, or under the name that is given. A path is somebody's disk, and becomes its last part.
 * @throws {ConfigError} `convert-base` | `base-id`
 */
function baseOf({ prompt, name }: OpenedPrompt, { baseId, base: older }: ConvertOptions): BaseModel {
  const { base } = prompt.manifest
  const given = baseId ?? older
  if (given === undefined) {
    if (base.id !== '') return isPath(base.id) || isPath(base.onnxId ?? '') ? renamedBase(base, shownBase(base.id)) : base
    throw new ConfigError(
      'convert-base',
      `${name} does not say which model it belongs to. Name it with --base-id (in code: baseId), as in --base-id google/t5-base-lm-adapt.`,
    )
  }
  const id = checkBaseId(given)
  const known = hubIdOf(base.id)
  // Another id on the Hub is another model: commit and fingerprint are of the old one. A folder's model gets its name.
  return known !== undefined && known !== id ? { id } : renamedBase(base, id)
}

/** What became of the base's name. */
function notesOn({ prompt: { manifest } }: OpenedPrompt, { prompt, files }: OpenedPrompt): string[] {
  const { base: old } = manifest
  const { base } = prompt.manifest
  if (base.id === old.id) return []
  const left =
    old.fingerprint !== undefined && base.fingerprint === undefined
      ? '; its commit and fingerprint, which are of that model, were left out'
      : ''
  const advice = hubIdOf(base.id) === undefined ? ' Others cannot find a model by that name: say its Hub id with --base-id OWNER/NAME.' : ''
  return [
    ...(old.id === '' ? [] : [`The base model is now called ${base.id}, in place of ${old.id}${left}.${advice}`]),
    ...adviseWidth(base.id, widthOf(prompt)).map(({ message }) => message),
    ...(files.has(CARD_FILE) ? [`${CARD_FILE} was written for the old name; soft-prompts card makes it anew.`] : []),
  ]
}

/** The files of an artifact: as they are where it is one already, else made. */
async function artifactOf(source: OpenedPrompt, options: ConvertOptions): Promise<Files> {
  const { prompt, files, format } = source
  const { dtype } = options
  const { manifest } = prompt
  const base = baseOf(source, options)
  if (format === 'soft-prompt' && (dtype === undefined || dtype === source.dtype)) {
    const travelling = new Map([...files].filter(([file]) => TRAVELLING.has(file)))
    return base === manifest.base ? travelling : nameBase(travelling, base)
  }
  const whole: SoftPrompt = { ...prompt, manifest: { ...manifest, base } }
  const log = files.get(LOG_FILE)
  const card = files.get(CARD_FILE)
  const curve = files.get(CURVE_FILE)
  const formatted = await formatArtifact(whole, {
    sha256,
    ...(dtype === undefined ? {} : { dtype }),
    ...(log ? { log } : {}),
    ...(card && format === 'soft-prompt' ? { card: textOf(card, CARD_FILE) } : {}),
  })
  return curve ? new Map([...formatted, [CURVE_FILE, curve]]) : formatted
}

function maxDifference({ embeddings }: SoftPrompt, { prompt }: OpenedPrompt): number {
  if (embeddings.data.length !== prompt.embeddings.data.length) return Infinity
  let most = 0
  for (const [index, value] of embeddings.data.entries()) most = Math.max(most, Math.abs(value - (prompt.embeddings.data[index] as number)))
  return most
}
