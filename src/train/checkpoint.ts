/**
 * The states of a run's prompts as one safetensors file: tensors for the arrays, metadata for the rest, and what each prompt's log came to. Written whole and renamed, so a crash leaves the one before.
 * Its first entry is the sha256 of the whole file, counted with zeros in its own place: a bit that has changed, in whatever part, is seen before anything is read from it.
 */
import { FormatError } from '../errors.ts'
import { formatSafetensors, LENGTH_BYTES, parseSafetensors } from '../tensor/safetensors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { RunIdentity, TrainState } from './state.ts'

const VERSION = 3
/** The last version without a digest. */
const UNSEALED = 2

/** sha256 in hex. */
export type Sha256 = (bytes: Uint8Array) => string

/** What a log came to when the states were stored. */
export interface SealedLog {
  readonly sizeBytes: number
  /** Of these bytes, in hex. */
  readonly sha256: string
}

/** What is stored of a run, for it to go on. */
export interface Checkpoint {
  /** Of each prompt. */
  readonly states: readonly TrainState[]
  /** The log of each prompt, up to its state; what stands behind it was written later. */
  readonly logs: readonly SealedLog[]
}

/** What of a state is no array. */
interface Rest {
  readonly identity: RunIdentity
  readonly step: number
  readonly optimizerStep: number
  readonly best?: { readonly step: number; readonly metrics: NonNullable<TrainState['best']>['metrics'] }
  readonly evaluationDue?: true
  readonly stale: number
  readonly window: TrainState['window']
}

const flat = (values: Float32Array): Tensor<'F32'> => tensor('F32', [values.length], values)

/** What stands before the digest; safetensors writes metadata first, in the order given. */
const BEFORE_SEAL = '{"__metadata__":{"sha256":"'
const SEAL_FROM = LENGTH_BYTES + BEFORE_SEAL.length
const SEAL_TO = SEAL_FROM + 64
const NO_SEAL = '0'.repeat(SEAL_TO - SEAL_FROM)

const textOf = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes)

/** The file with another text in the digest's place. */
function sealedAs(seal: string, bytes: Uint8Array): Uint8Array {
  const sealed = bytes.slice()
  sealed.set(new TextEncoder().encode(seal), SEAL_FROM)
  return sealed
}

/** The bytes of a checkpoint; the tensors of prompt k are named `k.…`. */
export function formatCheckpoint({ states, logs }: Checkpoint, sha256: Sha256): Uint8Array {
  const tensors = new Map<string, Tensor>()
  const rest = states.map((state, index): Rest => {
    const { identity, step, optimizer, best, evaluationDue, stale, window } = state
    tensors.set(`${index}.prompt`, flat(state.prompt))
    for (const [name, values] of Object.entries(optimizer.moments)) tensors.set(`${index}.optimizer.${name}`, flat(values))
    if (best) tensors.set(`${index}.best`, flat(best.prompt))
    return {
      identity,
      step,
      optimizerStep: optimizer.step,
      ...(best ? { best: { step: best.step, metrics: best.metrics } } : {}),
      ...(evaluationDue ? { evaluationDue } : {}),
      stale,
      window,
    }
  })
  const blank = formatSafetensors(tensors, {
    sha256: NO_SEAL,
    soft_prompts_checkpoint: JSON.stringify({ version: VERSION, states: rest, logs }),
  })
  return sealedAs(sha256(blank), blank)
}

/** Whether the digest is that of the file; undefined where none is in its place. */
function isWhole(bytes: Uint8Array, sha256: Sha256): boolean | undefined {
  if (textOf(bytes.subarray(LENGTH_BYTES, SEAL_FROM)) !== BEFORE_SEAL || bytes.length < SEAL_TO) return undefined
  return textOf(bytes.subarray(SEAL_FROM, SEAL_TO)) === sha256(sealedAs(NO_SEAL, bytes))
}

const damaged = (name: string, cause?: unknown): FormatError =>
  new FormatError(
    'checkpoint-damaged',
    `${name} is damaged: its bytes are not those that the run wrote, so nothing of it is used and nothing was changed. Put a copy in its place; without one, train anew (overwrite it, or choose another folder): a prompt beside it is as it was, and another run can begin from it.`,
    { facts: { path: name }, cause },
  )

const old = (name: string): FormatError =>
  new FormatError(
    'checkpoint-old',
    `${name} is of an earlier version, which kept no digest of it and of the model's weights: whether it is whole and goes on with the same model cannot be told. Go on with that version, or train anew (overwrite it, or choose another folder).`,
    { facts: { path: name } },
  )

/** What is not sealed: an earlier version's checkpoint, where all the rest of it is as that version wrote it, else a damaged one. */
function unsealed(bytes: Uint8Array, name: string): FormatError {
  try {
    const { metadata } = parseSafetensors(bytes)
    const { version } = JSON.parse(metadata['soft_prompts_checkpoint'] ?? '') as { readonly version?: unknown }
    return version === UNSEALED && Object.keys(metadata).length === 1 ? old(name) : damaged(name)
  } catch (cause) {
    return damaged(name, cause)
  }
}

function isSealedLog(value: unknown): value is SealedLog {
  if (typeof value !== 'object' || value === null) return false
  const { sizeBytes, sha256 } = value as Partial<Record<keyof SealedLog, unknown>>
  return Number.isSafeInteger(sizeBytes) && (sizeBytes as number) >= 0 && typeof sha256 === 'string'
}

/**
 * Bytes of a checkpoint to what was stored.
 * @throws {FormatError} `checkpoint-damaged`; `checkpoint-old` of a version that kept no digest; `checkpoint-format` of a version to come
 */
export function parseCheckpoint(bytes: Uint8Array, sha256: Sha256, name = 'The checkpoint'): Checkpoint {
  const whole = isWhole(bytes, sha256)
  if (whole === undefined) throw unsealed(bytes, name)
  if (!whole) throw damaged(name)
  const { tensors, metadata } = parseSafetensors(bytes)
  const broken = (what: string): FormatError =>
    new FormatError(
      'checkpoint-format',
      `${name} is no checkpoint of this version: ${what}. Go on with the version that wrote it, or train anew.`,
    )
  const array = (key: string): Float32Array => {
    const found = tensors.get(key)
    if (found?.dtype !== 'F32') throw broken(`no F32 tensor ${key}`)
    return found.data as Float32Array
  }
  let read: { readonly version: number; readonly states: readonly Rest[]; readonly logs?: readonly unknown[] }
  try {
    read = JSON.parse(metadata['soft_prompts_checkpoint'] ?? '') as typeof read
  } catch {
    throw broken('its metadata is missing or not JSON')
  }
  if (read?.version !== VERSION) throw broken(`version ${read?.version}, expected ${VERSION}`)
  if (!Array.isArray(read.states) || read.states.some((each: unknown) => typeof each !== 'object' || each === null))
    throw broken('it lists no states')
  const { logs } = read
  if (!Array.isArray(logs) || logs.length !== read.states.length || !logs.every(isSealedLog))
    throw broken('it does not say what each log came to')
  const states = read.states.map(({ optimizerStep, best, ...rest }: Rest, index) => {
    const prefix = `${index}.optimizer.`
    const moments = [...tensors.keys()].filter((key) => key.startsWith(prefix))
    return {
      ...rest,
      prompt: array(`${index}.prompt`),
      optimizer: { step: optimizerStep, moments: Object.fromEntries(moments.map((key) => [key.slice(prefix.length), array(key)])) },
      ...(best ? { best: { ...best, prompt: array(`${index}.best`) } } : {}),
    }
  })
  return { states, logs }
}
