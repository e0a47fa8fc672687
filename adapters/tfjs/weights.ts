/** Weights as tfjs tensors, each read from its file once and shared by all programs of an engine. */
import { UnsupportedError } from '../../src/errors.ts'
import { toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import type { WeightRef } from '../../src/tensor/weights.ts'
import { readRange } from '../disk/ranges.ts'
import type { TfTensor, Tfjs } from './runtime.ts'

export interface WeightStore {
  /** The weight's tensor; each call wants a `release`. @throws {UnsupportedError} `engine-dtype` @throws {FormatError} `weights-truncated` */
  acquire(name: string, ref: WeightRef): Promise<TfTensor>
  /** Its memory is freed when nobody uses it any more. */
  release(ref: WeightRef): Promise<void>
}

export function createWeightStore(tf: Tfjs): WeightStore {
  const held = new Map<WeightRef, { readonly tensor: Promise<TfTensor>; users: number }>()
  return {
    acquire: async (name, ref) => {
      const entry = held.get(ref) ?? { tensor: readWeight(tf, name, ref), users: 0 }
      held.set(ref, entry)
      entry.users++
      return entry.tensor.catch((cause: unknown) => {
        held.delete(ref)
        throw cause
      })
    },
    release: async (ref) => {
      const entry = held.get(ref)
      if (!entry || --entry.users > 0) return
      held.delete(ref)
      ;(await entry.tensor).dispose()
    },
  }
}

async function readWeight(tf: Tfjs, name: string, ref: WeightRef): Promise<TfTensor> {
  const { dtype, shape, source, offsetBytes, sizeBytes } = ref
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new UnsupportedError('engine-dtype', `${name} is stored as ${dtype}; tfjs takes weights in F32, F16 or BF16.`, {
      facts: { name, dtype },
    })
  }
  const bytes =
    typeof source === 'string' ? await readRange(source, offsetBytes, sizeBytes) : source.slice(offsetBytes, offsetBytes + sizeBytes)
  const words = dtype === 'F32' ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer)
  return tf.tensor(toFloat32(dtype satisfies FloatDtype, words), [...shape], 'float32')
}
