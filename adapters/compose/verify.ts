/** Checks a prompt part by part and says of each part how it stands; the first fault does not hide the others. */
import { SoftPromptError } from '../../src/errors.ts'
import { parseAdapterConfig } from '../../src/prompt/adapter-config.ts'
import { compareFingerprint, type ModelFacts } from '../../src/prompt/fingerprint.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { lengthOf, widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { parseSafetensors } from '../../src/tensor/safetensors.ts'
import { adviseLabels } from '../../src/train/advice.ts'
import { CONFIG_FILE, fileOf, MANIFEST_FILE, parseArtifact, TENSOR_FILE, textOf, type Files } from '../artifact/artifact.ts'
import { sha256 } from '../artifact/folder.ts'
import { parseManifest } from '../artifact/manifest.ts'
import { checkSnapshotFolder } from '../hub/cache-check.ts'
import { findPrompt } from './find-prompt.ts'
import type { BaseOptions } from './open-base.ts'
import { openModelFacts, type OpenedModel } from './open-model-facts.ts'
import { locatePrompts, openLocated, type LocatedPrompt, type OpenPromptOptions } from './open-prompt.ts'

export interface VerifyOptions extends OpenPromptOptions {
  /** Folder, Hub id or encoder file of the base model. */
  readonly model?: string
  /** Told what comes over the network, where the base is not in the cache yet. */
  readonly onDownload?: NonNullable<BaseOptions['onProgress']>
}

export type Standing = 'ok' | 'warning' | 'skipped' | 'failed'

export interface Check {
  readonly name: string
  readonly standing: Standing
  readonly detail: string
  /** The code of what failed, or of what is warned of. */
  readonly code?: string
}

export interface Verification {
  readonly name: string
  /** No check failed. */
  readonly sound: boolean
  readonly checks: readonly Check[]
}

/**
 * Verifies a prompt, or every prompt of a pack.
 * @throws {FormatError} `prompt-missing` | `bundle-*` where there is nothing to check part by part, and as `openModelFacts`
 */
export async function verifyPrompts(path: string, options: VerifyOptions = {}): Promise<Verification[]> {
  const dir = await findPrompt(path, { check: true })
  const [located, model, cached] = await Promise.all([
    locatePrompts(dir, options),
    options.model === undefined
      ? undefined
      : openModelFacts(options.model, { check: true, ...(options.onDownload ? { onProgress: options.onDownload } : {}) }),
    cacheCheck(dir),
  ])
  const found = await Promise.all(located.map((each) => verify(each, model, options)))
  if (cached === undefined) return found
  return found.map(({ sound, checks, ...rest }) => ({ ...rest, sound: sound && cached.standing !== 'failed', checks: [...checks, cached] }))
}

/** Of a folder in the Hub's cache: whether its files, those too that the manifest holds no hash of, are what the Hub listed. */
async function cacheCheck(dir: string): Promise<Check | undefined> {
  const standings = await checkSnapshotFolder(dir, { check: true })
  if (standings === undefined) return undefined
  const bad = [...standings].filter(([, standing]) => standing !== 'sound').map(([file]) => file)
  if (bad.length === 0) return { name: 'cache', standing: 'ok', detail: `${standings.size} files by the digests that the cache lists` }
  return {
    name: 'cache',
    standing: 'failed',
    code: 'hub-cache-corrupt',
    detail: `${bad.join(', ')}: not by the digest that the cache lists`,
  }
}

async function verify(found: LocatedPrompt, model: OpenedModel | undefined, options: OpenPromptOptions): Promise<Verification> {
  const { name, files } = found
  const checks: Check[] = []
  /** Runs a check; what it returns is the detail, or the whole check. */
  const check = async (title: string, act: () => string | Omit<Check, 'name'> | Promise<string | Omit<Check, 'name'>>): Promise<void> => {
    try {
      const result = await act()
      checks.push({ name: title, ...(typeof result === 'string' ? { standing: 'ok' as const, detail: result } : result) })
    } catch (error) {
      if (!(error instanceof SoftPromptError)) throw error
      checks.push({ name: title, standing: 'failed', detail: error.message, code: error.code })
    }
  }
  let manifest: Manifest | undefined
  let prompt: SoftPrompt | undefined
  let notes: readonly string[] = []
  if (found.format !== 'npy') {
    await check('configuration', () => {
      const { peftType, length, width } = parseAdapterConfig(textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE))
      return `${peftType}, ${length} virtual tokens${width === undefined ? '' : ` of width ${width}`}`
    })
    await check('tensor file', () => {
      const { tensors, leftOut } = parseSafetensors(fileOf(files, TENSOR_FILE), { leaveOut: found.format === 'peft' })
      return [...tensors, ...leftOut].map(([tensor, { dtype, shape }]) => `${tensor} ${dtype} [${shape.join(', ')}]`).join(', ')
    })
  }
  if (found.format === 'soft-prompt') {
    await check('manifest', () => {
      manifest = parseManifest(textOf(fileOf(files, MANIFEST_FILE), MANIFEST_FILE))
      return `version 1, base ${manifest.base.id}`
    })
  } else
    checks.push({
      name: 'manifest',
      standing: 'skipped',
      detail: `there is none: a ${found.format === 'npy' ? '.npy file' : 'plain PEFT adapter'}`,
    })
  await check('prompt', async () => {
    // An artifact's hashes are checked one by one below.
    if (found.format === 'soft-prompt') prompt = parseArtifact(files)
    else ({ prompt, notes } = await openLocated(found, options))
    return `[${lengthOf(prompt)}, ${widthOf(prompt)}], every value finite; the parts agree`
  })
  for (const note of notes) checks.push({ name: 'note', standing: 'warning', detail: note })
  for (const [file, expected] of Object.entries(manifest?.files ?? {}))
    await check(`sha256 of ${file}`, () => hashCheck(files, file, expected))
  if (manifest && !manifest.files?.[TENSOR_FILE])
    checks.push({ name: 'sha256', standing: 'warning', detail: `the manifest holds none of ${TENSOR_FILE}` })
  await check('base model', () => baseCheck(manifest, prompt, model?.facts))
  checks.push(...labelChecks(manifest, model))
  return { name, sound: checks.every(({ standing }) => standing !== 'failed'), checks }
}

/** Label words by the model's tokens: those that cannot be told apart, or are unknown to it. */
function labelChecks(manifest: Manifest | undefined, model: OpenedModel | undefined): Check[] {
  const labels = manifest?.labels ?? []
  if (labels.length === 0 || model?.tokenizer === undefined) return []
  return adviseLabels(labels, model.tokenizer).map(({ code, message }) => ({ name: 'labels', standing: 'warning', detail: message, code }))
}

async function hashCheck(files: Files, name: string, expected: string): Promise<string | Omit<Check, 'name'>> {
  const bytes = files.get(name)
  if (!bytes) return { standing: 'failed', code: 'artifact-file-missing', detail: 'the manifest holds its hash, but the file is not there' }
  const got = await sha256(bytes)
  if (got === expected) return `${expected.slice(0, 16)}…`
  return {
    standing: 'failed',
    code: 'artifact-hash',
    detail: `${got.slice(0, 16)}…, expected ${expected.slice(0, 16)}…: the file was changed`,
  }
}

async function baseCheck(
  manifest: Manifest | undefined,
  prompt: SoftPrompt | undefined,
  model: ModelFacts | undefined,
): Promise<string | Omit<Check, 'name'>> {
  if (!model) return { standing: 'skipped', detail: 'no model was given; --model compares it with the prompt' }
  const width = prompt && widthOf(prompt)
  if (width !== undefined && width !== model.table.width) {
    return { standing: 'failed', code: 'prompt-width', detail: `the prompt is ${width} wide, the model ${model.table.width}` }
  }
  const fingerprint = manifest?.base.fingerprint
  if (!fingerprint) return { standing: 'warning', detail: 'the prompt carries no fingerprint: only the width was compared' }
  const { answer, drift, reasons } = await compareFingerprint(fingerprint, model, sha256)
  if (answer === 'other') return { standing: 'failed', code: 'prompt-base', detail: `another model: ${reasons.join('; ')}` }
  const rounded = answer === 'quantised' ? `, rounded or quantised: drift ${drift.toPrecision(2)}` : ''
  if (reasons.length > 0)
    return { standing: 'warning', detail: `the same model as far as it was compared${rounded}; ${reasons.join('; ')}` }
  return rounded === '' ? 'the same model' : { standing: 'warning', detail: `the same model${rounded}` }
}
