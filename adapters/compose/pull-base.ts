/** The base model that a prompt names, fetched beside it, so that an app starts without surprises. */
import { ConfigError } from '../../src/errors.ts'
import { hubIdOf, shownBase } from '../../src/prompt/base-name.ts'
import { findOnnxFolder } from './onnx-folder.ts'
import { openPrompt } from './open-prompt.ts'
import { openHubModel, type HubModelOptions, type ModelParts } from './open-hub-model.ts'

/**
 * Fetches the base of the prompt in `dir`: its ONNX files (from known mirrors too) or its weights.
 * @returns the model's folder
 * @throws {HubError} `hub-lock-missing` | `hub-lock-drift` | …; {ConfigError} `base-no-onnx` | `base-unnamed`
 */
export async function pullBase(dir: string, parts: ModelParts, options: Omit<HubModelOptions, 'parts' | 'revision'> = {}): Promise<string> {
  const { base } = (await openPrompt(dir)).manifest
  const { variant = '', ...access } = options
  if (base.id === '' || (parts === 'weights' && hubIdOf(base.id) === undefined)) {
    const named = base.id === '' ? 'no base model' : `its base model by a folder's name only, ${shownBase(base.id)}`
    throw new ConfigError('base-unnamed', `The prompt in ${dir} names ${named}; fetch the one it was trained on by its own name.`, {
      facts: { dir, base: base.id },
    })
  }
  if (parts === 'onnx') return findOnnxFolder(base, [variant], access)
  return (await openHubModel(base.id, { ...access, ...(base.revision === undefined ? {} : { revision: base.revision }) })).dir
}
