/** A run's state as one safetensors file: tensors for the arrays, metadata for the rest. Written whole and renamed, so a crash leaves the one before. */
import { FormatError, MismatchError } from '../errors.ts'
import { formatSafetensors, parseSafetensors } from '../tensor/safetensors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { RunIdentity, TrainState } from './state.ts'

const VERSION = 1

/** What of the state is no array. */
interface Rest {
  readonly version: number
  readonly identity: RunIdentity
  readonly step: number
  readonly optimizerStep: number
  readonly best?: { readonly step: number; readonly metrics: NonNullable<TrainState['best']>['metrics'] }
  readonly stale: number
  readonly window: TrainState['window']
}

const flat = (values: Float32Array): Tensor<'F32'> => tensor('F32', [values.length], values)

/** State to the bytes of a checkpoint. */
export function formatCheckpoint(state: TrainState): Uint8Array {
  const { identity, step, optimizer, best, stale, window } = state
  const tensors = new Map<string, Tensor>([['prompt', flat(state.prompt)]])
  for (const [name, values] of Object.entries(optimizer.moments)) tensors.set(`optimizer.${name}`, flat(values))
  if (best) tensors.set('best', flat(best.prompt))
  const rest: Rest = {
    version: VERSION,
    identity,
    step,
    optimizerStep: optimizer.step,
    ...(best ? { best: { step: best.step, metrics: best.metrics } } : {}),
    stale,
    window,
  }
  return formatSafetensors(tensors, { soft_prompts_checkpoint: JSON.stringify(rest) })
}

/**
 * Bytes of a checkpoint to the state.
 * @throws {FormatError} `checkpoint-format` and the codes of safetensors.
 */
export function parseCheckpoint(bytes: Uint8Array, name = 'checkpoint'): TrainState {
  const { tensors, metadata } = parseSafetensors(bytes)
  const broken = (what: string): FormatError =>
    new FormatError('checkpoint-format', `${name} is no checkpoint of this version: ${what}. Delete it and train anew.`)
  const array = (key: string): Float32Array => {
    const found = tensors.get(key)
    if (found?.dtype !== 'F32') throw broken(`no F32 tensor ${key}`)
    return found.data as Float32Array
  }
  let rest: Rest
  try {
    rest = JSON.parse(metadata['soft_prompts_checkpoint'] ?? '') as Rest
  } catch {
    throw broken('its metadata is missing or not JSON')
  }
  if (rest.version !== VERSION) throw broken(`version ${rest.version}, expected ${VERSION}`)
  const moments = [...tensors.keys()].filter((key) => key.startsWith('optimizer.'))
  return {
    identity: rest.identity,
    step: rest.step,
    prompt: array('prompt'),
    optimizer: {
      step: rest.optimizerStep,
      moments: Object.fromEntries(moments.map((key) => [key.slice('optimizer.'.length), array(key)])),
    },
    ...(rest.best ? { best: { ...rest.best, prompt: array('best') } } : {}),
    stale: rest.stale,
    window: rest.window,
  }
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
