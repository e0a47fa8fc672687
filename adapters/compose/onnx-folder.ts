/** Finds the ONNX files of a base model: a folder, the shared Hub cache, the Hub; the base's own repository, then known mirrors. */
import { resolve } from 'node:path'
import { ConfigError, HubError, type SoftPromptError } from '../../src/errors.ts'
import { DTYPE_SUFFIX } from '../../src/onnx/model-files.ts'
import { canonicalBase, hubIdOf, isHubId, isPath } from '../../src/prompt/base-name.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { isFolder } from '../disk/read.ts'
import { mirrorOf } from './mirrors.ts'
import { listOnnx } from './onnx-files.ts'
import type { HubModelOptions } from './open-hub-model.ts'

/** How the Hub is reached; default: the environment's (HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE). */
export type HubAccessOptions = Omit<HubModelOptions, 'parts' | 'variant' | 'revision'>

/** Where one repository says this, the next may have the files. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'hub-not-a-model',
  'hub-not-found',
  'hub-repo-not-found',
  'hub-offline',
  'hub-lock-missing',
])

/**
 * The folder that holds the base's encoder and merged decoder, in `onnx/` or beside config.json (`listOnnx` tells which).
 * @param variants endings of the file names: `` (float), `_quantized`, …; encoder's and decoder's
 * @throws {ConfigError} `base-no-onnx` naming all that was tried, `base-missing` for a path where no folder is; {HubError} when the Hub cannot be asked
 */
export async function findOnnxFolder(base: BaseModel, variants: readonly string[], hub: HubAccessOptions = {}): Promise<string> {
  const ids = [...new Set([base.onnxId, base.id, canonicalBase(base.id), mirrorOf(base.id)])].filter(
    (id) => id !== undefined && id !== '',
  ) as string[]
  for (const id of ids) {
    if (!(await isFolder(id))) continue
    if (await listOnnx(id)) return resolve(id)
    throw noOnnx(
      base,
      `"${resolve(id)}" has no ONNX files (encoder_model.onnx and decoder_model_merged.onnx), in onnx/ or beside config.json`,
      true,
    )
  }
  if (isPath(base.id) && !ids.some(isHubId)) throw missing(base.id)
  const { openHubModel } = await import('./open-hub-model.ts')
  const tried: string[] = []
  for (const id of ids.filter(isHubId)) {
    // The base's commit is the base's only: a mirror has commits of its own.
    const revision = id === canonicalBase(base.id) ? base.revision : undefined
    try {
      let dir = ''
      for (const variant of new Set(variants)) {
        dir = (await openHubModel(id, { ...hub, ...(revision === undefined ? {} : { revision }), parts: 'onnx', variant })).dir
      }
      if (await hasEncoder(dir, variants[0] ?? '')) return dir
      tried.push(`${id} (not in the cache)`)
    } catch (error) {
      if (!(error instanceof HubError) || !ELSEWHERE.has(error.code)) throw error
      tried.push(`${id} (${error.code}${thereIs(error)})`)
    }
  }
  throw noOnnx(base, tried.length > 0 ? `no ONNX files in ${tried.join(', ')}` : `"${base.id}" is no folder here and no Hub id`)
}

/** What a repository holds instead, and how to load it. */
function thereIs({ facts: { there, dtypes } }: HubError): string {
  if (typeof there !== 'string') return ''
  const [dtype] = Array.isArray(dtypes) ? (dtypes as readonly string[]) : []
  return `: there is ${there}${dtype === undefined ? '' : `, loaded by { dtype: '${dtype}' }`}`
}

async function hasEncoder(dir: string, ending: string): Promise<boolean> {
  const found = await listOnnx(dir)
  return found?.parts.encoder_model.some((dtype) => DTYPE_SUFFIX[dtype] === ending) ?? false
}

const missing = (id: string): SoftPromptError =>
  new ConfigError('base-missing', `No base model ${id}: there is no such folder, and it is no Hub id (OWNER/NAME). Say where it lies.`, {
    facts: { base: id },
  })

/** The one error for a base without ONNX files. @param isHere whether its id is a folder here */
export function noOnnx(base: BaseModel, why: string, isHere = false): SoftPromptError {
  const help =
    hubIdOf(base.id) === undefined && !isPath(base.id) && !isHere
      ? 'A prompt of it loads where it is given: ask the author of the prompt for its Hub id, then give { base: "OWNER/NAME" }, or { base: DIR }.'
      : `Make them, in fp32, with: soft-prompts export ${base.id} DIR, then give { base: DIR } (in commands --model DIR).`
  return new ConfigError('base-no-onnx', `Base model ${base.id}: ${why}. ${help}`, {
    facts: { base: base.id },
  })
}
