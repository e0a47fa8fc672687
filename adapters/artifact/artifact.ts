/** The artifact as bytes by file name: parse, format, check. Pure, so it runs in a browser; sha256 is given. The format is described in SPEC.md. */
import { FormatError, MismatchError, ShapeError, UnsupportedError } from '../../src/errors.ts'
import { formatAdapterConfig, parseAdapterConfig } from '../../src/prompt/adapter-config.ts'
import { canonicalBase } from '../../src/prompt/base-name.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { lengthOf, softPrompt, widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { fromFloat32, toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import { formatSafetensors, parseSafetensors } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { formatManifest, parseManifest } from './manifest.ts'

export const CONFIG_FILE = 'adapter_config.json'
export const TENSOR_FILE = 'adapter_model.safetensors'
export const MANIFEST_FILE = 'soft_prompt.json'
export const CARD_FILE = 'README.md'
export const LOG_FILE = 'training_log.jsonl'
export const CURVE_FILE = 'loss.svg'
/** PEFT's name of the matrix. */
export const TENSOR_NAME = 'prompt_embeddings'
/** Files whose sha256 the manifest holds. The card is not among them: people edit it. */
export const HASHED_FILES: readonly string[] = [CONFIG_FILE, TENSOR_FILE, LOG_FILE]

/** The header of our tensor file has about 100 bytes. */
const MAX_HEADER_BYTES = 1 << 20

export type Files = ReadonlyMap<string, Uint8Array>
/** sha256 in hex; node:crypto or WebCrypto. */
export type Sha256 = (bytes: Uint8Array) => string | Promise<string>

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Bytes as UTF-8 text. @throws {FormatError} `artifact-text` */
export function textOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new FormatError('artifact-text', `${name} is not UTF-8 text.`, { cause })
  }
}

/** A file of the artifact. @throws {FormatError} `artifact-file-missing` */
export function fileOf(files: Files, name: string): Uint8Array {
  const found = files.get(name)
  if (found) return found
  throw new FormatError(
    'artifact-file-missing',
    `${name} is missing; there is ${[...files.keys()].slice(0, 10).join(', ') || 'nothing'}.`,
    {
      facts: { name },
    },
  )
}

/**
 * Reads an artifact: configuration, matrix and manifest have to agree. Hashes are `checkHashes`' part.
 * @throws {FormatError} `artifact-file-missing`, `safetensors-*`, `json-*`
 * @throws {UnsupportedError} `artifact-type`
 * @throws {ShapeError} `artifact-tensor` | `artifact-shape` | `prompt-not-finite`
 * @throws {MismatchError} `artifact-base`
 */
export function parseArtifact(files: Files): SoftPrompt {
  const manifest = parseManifest(textOf(fileOf(files, MANIFEST_FILE), MANIFEST_FILE))
  const config = parseAdapterConfig(textOf(fileOf(files, CONFIG_FILE), CONFIG_FILE))
  if (config.peftType !== 'PROMPT_TUNING' || (config.submodules ?? 1) !== 1) {
    throw new UnsupportedError(
      'artifact-type',
      `${CONFIG_FILE} says ${config.peftType} with ${config.submodules} submodules; beside ${MANIFEST_FILE} it has to be PROMPT_TUNING with 1.`,
    )
  }
  if (config.base !== undefined && canonicalBase(config.base) !== canonicalBase(manifest.base.id)) {
    throw new MismatchError('artifact-base', `${CONFIG_FILE} names the base ${config.base}, ${MANIFEST_FILE} names ${manifest.base.id}.`)
  }
  const { tensors } = parseSafetensors(fileOf(files, TENSOR_FILE), { maxHeaderBytes: MAX_HEADER_BYTES })
  const stored = tensors.get(TENSOR_NAME)
  if (!stored || tensors.size !== 1) {
    throw new ShapeError(
      'artifact-tensor',
      `${TENSOR_FILE} has to hold ${TENSOR_NAME} alone, it holds ${[...tensors.keys()].slice(0, 5).join(', ') || 'nothing'}.`,
    )
  }
  const { shape } = stored
  const expected = [config.length, config.width ?? shape[1]]
  if (shape.length !== 2 || shape[0] !== expected[0] || shape[1] !== expected[1]) {
    throw new ShapeError('artifact-shape', `${TENSOR_NAME} is [${shape.join(', ')}], ${CONFIG_FILE} says [${expected.join(', ')}].`, {
      facts: { shape, expected },
    })
  }
  return softPrompt(asF32(stored), manifest)
}

/** A float tensor in F32. @throws {ShapeError} `prompt-dtype` */
export function asF32(stored: Tensor): Tensor<'F32'> {
  const { dtype, shape, data } = stored
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new ShapeError('prompt-dtype', `A prompt is stored in F32, F16 or BF16, this one in ${dtype}.`, { facts: { dtype } })
  }
  return tensor('F32', shape, toFloat32(dtype, data as Float32Array | Uint16Array))
}

export interface FormatOptions {
  readonly sha256: Sha256
  /** Stored dtype; default F32. F16 halves the file, with relative error 2^-11. */
  readonly dtype?: FloatDtype
  /** The training log and the card, where there are any. */
  readonly log?: Uint8Array
  readonly card?: string
  /** Encoder heads and layers, for the PEFT configuration. */
  readonly heads?: number
  readonly layers?: number
}

/**
 * An artifact's files, in the order they are listed in SPEC.md. Same prompt, same bytes.
 * @throws {UnsupportedError} `prompt-f16-range`
 */
export async function formatArtifact(prompt: SoftPrompt, options: FormatOptions): Promise<Map<string, Uint8Array>> {
  const { embeddings, manifest } = prompt
  const { dtype = 'F32', heads, layers } = options
  const { id, revision } = manifest.base
  const config = formatAdapterConfig({
    ...(id === '' ? {} : { base: id }),
    ...(revision === undefined ? {} : { revision }),
    length: lengthOf(prompt),
    width: widthOf(prompt),
    ...(heads === undefined ? {} : { heads }),
    ...(layers === undefined ? {} : { layers }),
  })
  const stored = { dtype, shape: embeddings.shape, data: fromFloat32(dtype, embeddings.data) } as Tensor
  refuseOverflow(embeddings.data, dtype)
  const files = new Map([
    [CONFIG_FILE, utf8(config)],
    [TENSOR_FILE, formatSafetensors(new Map([[TENSOR_NAME, stored]]), { format: 'pt' })],
  ])
  if (options.log) files.set(LOG_FILE, options.log)
  const hashes: Record<string, string> = {}
  for (const [name, bytes] of files) hashes[name] = await options.sha256(bytes)
  const whole: Manifest = { ...manifest, files: hashes }
  files.set(MANIFEST_FILE, utf8(formatManifest(whole)))
  if (options.card !== undefined) files.set(CARD_FILE, utf8(options.card))
  return files
}

/** The largest F16 that a value still rounds to. */
const LARGEST_F16 = 65_519.99

/** @throws {UnsupportedError} `prompt-f16-range` */
function refuseOverflow(values: Float32Array, dtype: FloatDtype): void {
  const large = dtype === 'F16' ? values.find((value) => Math.abs(value) > LARGEST_F16) : undefined
  if (large === undefined) return
  throw new UnsupportedError('prompt-f16-range', `The value ${large} is beyond F16 (at most 65504); keep F32, or take BF16.`, {
    facts: { value: large },
  })
}

/**
 * Compares every hashed file with the manifest.
 * @throws {FormatError} `artifact-file-missing`
 * @throws {MismatchError} `artifact-hash`
 */
export async function checkHashes(files: Files, manifest: Manifest, sha256: Sha256): Promise<void> {
  for (const [name, expected] of Object.entries(manifest.files ?? {})) {
    // A newer writer may hash files that this reader knows nothing of.
    if (!HASHED_FILES.includes(name)) continue
    const got = await sha256(fileOf(files, name))
    if (got === expected) continue
    throw new MismatchError(
      'artifact-hash',
      `${name} is not the file the manifest was written for: sha256 ${got}, expected ${expected}. Pull it again, or write it anew with convert.`,
      {
        facts: { name, got, expected },
      },
    )
  }
}
