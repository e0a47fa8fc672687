/** The last resort for a base without ONNX files anywhere: our own export of its PyTorch weights, made once, kept beside the Hub cache. */
import { createHash } from 'node:crypto'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ConfigError, SoftPromptError } from '../../src/errors.ts'
import { hubIdOf } from '../../src/prompt/base-name.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { makeFolder } from '../disk/make-folder.ts'
import { exists } from '../disk/read.ts'
import { syncFolders } from '../disk/replace.ts'
import { clearAbandoned, unfinishedName } from '../disk/unfinished.ts'
import { findOnnxFolder, type HubAccessOptions } from './onnx-folder.ts'

export interface OnnxFolder {
  readonly dir: string
  /** That the files are our own export, and where they lie; empty where they were found. */
  readonly notes: readonly string[]
}

/**
 * The folder of a base's ONNX files: found, or else exported from its weights.
 * @param exportTo folder that exports are kept in, default `soft-prompts/onnx` beside the Hub cache; false = make none
 * @throws {ConfigError} `base-no-onnx` naming all that was tried; {HubError} when the Hub cannot be asked
 */
export async function findOrExportOnnx(
  base: BaseModel,
  variants: readonly string[],
  hub: HubAccessOptions = {},
  exportTo?: string | false,
): Promise<OnnxFolder> {
  try {
    return { dir: await findOnnxFolder(base, variants, hub), notes: [] }
  } catch (error) {
    if (!(error instanceof ConfigError) || error.code !== 'base-no-onnx' || exportTo === false) throw error
    // A name that is neither here nor on the Hub has no weights to export.
    if (hubIdOf(base.id) === undefined && !(await exists(base.id))) throw error
    if (variants.some((variant) => variant !== '')) {
      throw new ConfigError('base-no-onnx', `${error.message} With { dtype: 'fp32' } they are made by themselves.`, { cause: error })
    }
    try {
      const { readHubEnvironment } = await import('../hub/environment.ts')
      const { dir, name } = await weightsOf(base, hub)
      const to = exportTo ?? join(dirname(hub.cacheDir ?? readHubEnvironment().cacheDir), 'soft-prompts', 'onnx')
      const out = await exportOnce(dir, join(to, name))
      return { dir: out, notes: [`${base.id} has no ONNX files of its own; these were exported from its weights: ${out}`] }
    } catch (cause) {
      if (!(cause instanceof SoftPromptError)) throw cause
      throw new ConfigError('base-no-onnx', `${error.message} They could not be made here: ${cause.message}`, { cause })
    }
  }
}

/** The folder with the base's weights, and a name that changes with them. */
async function weightsOf(base: BaseModel, hub: HubAccessOptions): Promise<{ readonly dir: string; readonly name: string }> {
  if (!(await exists(base.id))) {
    const { openHubModel } = await import('./open-hub-model.ts')
    const snapshot = await openHubModel(base.id, {
      ...hub,
      ...(base.revision === undefined ? {} : { revision: base.revision }),
      parts: 'weights',
    })
    return { dir: snapshot.dir, name: `${snapshot.repo.replaceAll('/', '--')}@${snapshot.commit}` }
  }
  const dir = resolve(base.id)
  const hash = createHash('sha256').update(dir)
  for (const file of (await readdir(dir)).toSorted()) {
    const { size, mtimeMs } = await stat(join(dir, file))
    hash.update(`\n${file} ${size} ${mtimeMs}`)
  }
  return { dir, name: `${basename(dir)}@${hash.digest('hex').slice(0, 16)}` }
}

/** Exports into a folder of its own and gives it its name when it is whole; of two at once, one is kept. */
async function exportOnce(from: string, out: string): Promise<string> {
  if (await exists(out)) return out
  await makeFolder(dirname(out))
  await clearAbandoned(dirname(out), basename(out))
  const made = unfinishedName(out)
  try {
    const { exportOnnx } = await import('./export.ts')
    await exportOnnx(from, made)
    await rename(made, out).catch(async (cause: unknown) => {
      if (!(await exists(out))) throw cause
    })
    await syncFolders([dirname(out)])
    return out
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}
