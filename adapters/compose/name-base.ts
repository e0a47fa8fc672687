/** Gives a prompt's base model another name in the prompt's files: configuration and manifest together, a path in its card too. All else stays, byte for byte. */
import { canonicalBase, isPath, renamePath } from '../../src/prompt/base-name.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { isObject, parseStrictJson } from '../../src/tensor/strict-json.ts'
import { CARD_FILE, CONFIG_FILE, fileOf, MANIFEST_FILE, textOf, type Files } from '../artifact/artifact.ts'
import { sha256 } from '../artifact/folder.ts'
import { formatManifest, parseManifest } from '../artifact/manifest.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * A base under another name: the same model, so what was measured of it stays. A commit is of the repository that had it, and a path of anything is left out.
 * The fingerprint tells where the name is of another model.
 */
export function renamedBase({ id, revision, onnxId, ...rest }: BaseModel, name: string): BaseModel {
  return {
    id: name,
    ...(revision !== undefined && canonicalBase(id) === canonicalBase(name) ? { revision } : {}),
    ...(onnxId === undefined || isPath(onnxId) ? {} : { onnxId }),
    ...rest,
  }
}

/** PEFT's configuration with another base; other keys and their order stay. */
function renamedConfig(text: string, { id, revision }: BaseModel): string {
  const json = parseStrictJson(text, CONFIG_FILE)
  // Refused where the prompt was read.
  if (!isObject(json)) return text
  const { base_model_name_or_path: old, tokenizer_name_or_path: tokenizer } = json
  const changed = {
    ...json,
    base_model_name_or_path: id,
    ...(revision === undefined && json['revision'] === undefined ? {} : { revision: revision ?? null }),
    ...(typeof tokenizer === 'string' && (tokenizer === old || isPath(tokenizer)) ? { tokenizer_name_or_path: id } : {}),
  }
  return `${JSON.stringify(changed, null, 2)}${text.endsWith('\n') ? '\n' : ''}`
}

/**
 * The files of an artifact or plain PEFT adapter, with another base.
 * @throws {FormatError} `artifact-file-missing` | `artifact-text` | `json-*`
 */
export async function nameBase(files: Files, base: BaseModel): Promise<Map<string, Uint8Array>> {
  const text = textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE)
  const config = utf8(renamedConfig(text, base))
  const named = new Map(files).set(CONFIG_FILE, config)
  const manifestBytes = files.get(MANIFEST_FILE)
  const manifest = manifestBytes && parseManifest(textOf(manifestBytes, MANIFEST_FILE))
  if (manifest) {
    const hashes = { ...manifest.files, [CONFIG_FILE]: await sha256(config) }
    named.set(MANIFEST_FILE, utf8(formatManifest({ ...manifest, base, files: hashes })))
  }
  const card = files.get(CARD_FILE)
  const old = manifest?.base.id ?? textIn(text, 'base_model_name_or_path')
  // PEFT writes the path of a base into its cards.
  if (card && isPath(old)) named.set(CARD_FILE, utf8(renamePath(textOf(card, CARD_FILE), old, base.id)))
  return named
}

function textIn(config: string, key: string): string {
  const json = parseStrictJson(config, CONFIG_FILE)
  const value = isObject(json) ? json[key] : undefined
  return typeof value === 'string' ? value : ''
}

/** Whether the files name a path where a base, its tokenizer or its ONNX files are meant. */
export function namesPath(files: Files, { id, onnxId = '' }: BaseModel): boolean {
  return [id, onnxId, textIn(textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE), 'tokenizer_name_or_path')].some(isPath)
}
