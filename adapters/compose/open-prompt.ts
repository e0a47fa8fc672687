/** Opens a soft prompt from whatever it lies in: our artifact, a plain PEFT adapter. */
import { stat } from 'node:fs/promises'
import { FormatError } from '../../src/errors.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { checkHashes, CONFIG_FILE, fileOf, MANIFEST_FILE, parseArtifact, TENSOR_FILE, textOf } from '../artifact/artifact.ts'
import { readArtifactFiles, sha256 } from '../artifact/folder.ts'
import { parsePeft, type PeftOptions } from '../peft/peft.ts'

/**
 * Reads and checks a prompt.
 * @throws {FormatError} `prompt-missing`, and the codes of the format it is in
 * @example const prompt = await openPrompt('./my-prompt')
 */
export async function openPrompt(path: string, options: PeftOptions = {}): Promise<SoftPrompt> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new FormatError('prompt-missing', `There is no prompt at ${path}.`, { facts: { path } })
  const files = await readArtifactFiles(path)
  if (files.has(MANIFEST_FILE)) {
    const prompt = parseArtifact(files)
    await checkHashes(files, prompt.manifest, sha256)
    return prompt
  }
  return parsePeft(textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE), fileOf(files, TENSOR_FILE), options).prompt
}
