/** The states of a run's prompts as one safetensors file: tensors for the arrays, metadata for the rest. Written whole and renamed, so a crash leaves the one before. */
import { FormatError, MismatchError } from '../errors.ts'
import { formatSafetensors, parseSafetensors } from '../tensor/safetensors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { RunIdentity, TrainState } from './state.ts'

const VERSION = 2

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

/** States to the bytes of a checkpoint; the tensors of prompt k are named `k.…`. */
export function formatCheckpoint(states: readonly TrainState[]): Uint8Array {
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
  return formatSafetensors(tensors, { soft_prompts_checkpoint: JSON.stringify({ version: VERSION, states: rest }) })
}

/**
 * Bytes of a checkpoint to the states.
 * @throws {FormatError} `checkpoint-format` and the codes of safetensors.
 */
export function parseCheckpoint(bytes: Uint8Array, name = 'checkpoint'): TrainState[] {
  const { tensors, metadata } = parseSafetensors(bytes)
  const broken = (what: string): FormatError =>
    new FormatError('checkpoint-format', `${name} is no checkpoint of this version: ${what}. Delete it and train anew.`)
  const array = (key: string): Float32Array => {
    const found = tensors.get(key)
    if (found?.dtype !== 'F32') throw broken(`no F32 tensor ${key}`)
    return found.data as Float32Array
  }
  let read: { readonly version: number; readonly states: readonly Rest[] }
  try {
    read = JSON.parse(metadata['soft_prompts_checkpoint'] ?? '') as typeof read
  } catch {
    throw broken('its metadata is missing or not JSON')
  }
  if (read?.version !== VERSION) throw broken(`version ${read?.version}, expected ${VERSION}`)
  if (!Array.isArray(read.states) || read.states.some((each: unknown) => typeof each !== 'object' || each === null))
    throw broken('it lists no states')
  return read.states.map(({ optimizerStep, best, ...rest }: Rest, index) => {
    const prefix = `${index}.optimizer.`
    const moments = [...tensors.keys()].filter((key) => key.startsWith(prefix))
    return {
      ...rest,
      prompt: array(`${index}.prompt`),
      optimizer: { step: optimizerStep, moments: Object.fromEntries(moments.map((key) => [key.slice(prefix.length), array(key)])) },
      ...(best ? { best: { ...best, prompt: array(`${index}.best`) } } : {}),
    }
  })
}

/** Choices that may differ when a run goes on: they decide when it ends, not what a step does. */
function decisive(identity: RunIdentity): Record<string, unknown> {
  const { recipe, ...rest } = identity
  const { steps, patience: _, ...choices } = recipe
  // A falling rate depends on the number of steps; a constant one does not.
  return { ...rest, ...choices, ...(recipe.schedule === 'constant' ? {} : { steps }) }
}

/**
 * Checks that a checkpoint belongs to this run; more (or fewer) steps are allowed where the learning rate does not depend on them.
 * @throws {MismatchError} `resume-mismatch`, naming what differs.
 */
export function checkResume(saved: RunIdentity, wanted: RunIdentity): void {
  const before = decisive(saved)
  const now = decisive(wanted)
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((name) => before[name] !== now[name])
  if (names.length === 0) return
  const shown = names.map((name) => `${name} ${JSON.stringify(before[name])} then, ${JSON.stringify(now[name])} now`)
  throw new MismatchError(
    'resume-mismatch',
    `The checkpoint is of another run: ${shown.join('; ')}. Resume with what it began with, or train anew into another folder.`,
    { facts: { names } },
  )
}
