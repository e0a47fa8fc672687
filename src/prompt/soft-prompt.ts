/** The soft prompt as a value: P virtual tokens of width D, and what is known about them. */
import { ShapeError } from '../errors.ts'
import { sizeOf, type Tensor } from '../tensor/tensor.ts'
import type { Manifest } from './manifest.ts'

export interface SoftPrompt {
  /** The virtual tokens' embeddings, in F32 whatever the file held. */
  readonly embeddings: Tensor<'F32'> // [P, D]
  /** Everything known beside the numbers; a plain PEFT adapter yields only `base`. */
  readonly manifest: Manifest
}

export const isSoftPrompt = (value: unknown): value is SoftPrompt =>
  typeof value === 'object' && value !== null && 'embeddings' in value && 'manifest' in value

/** P, the number of virtual tokens. */
export const lengthOf = (prompt: SoftPrompt): number => prompt.embeddings.shape[0] ?? 0
/** D, the hidden size the prompt was made for. */
export const widthOf = (prompt: SoftPrompt): number => prompt.embeddings.shape[1] ?? 0

/**
 * Makes a prompt and checks what every later part relies on: rank 2, at least one virtual token, only finite values.
 * @throws {ShapeError} `prompt-shape` | `prompt-not-finite`
 */
export function softPrompt(embeddings: Tensor<'F32'>, manifest: Manifest): SoftPrompt {
  const { shape, data } = embeddings
  if (shape.length !== 2 || sizeOf(shape) === 0 || data.length !== sizeOf(shape)) {
    throw new ShapeError('prompt-shape', `A soft prompt is a filled [P, D] matrix, got [${shape.join(', ')}].`, { facts: { shape } })
  }
  const bad = firstNotFinite(data)
  if (bad >= 0) {
    const width = shape[1] as number
    const row = Math.floor(bad / width)
    throw new ShapeError(
      'prompt-not-finite',
      `Virtual token ${row} holds ${data[bad]} at column ${bad % width}; every value must be finite.`,
      {
        facts: { row, column: bad % width },
      },
    )
  }
  return { embeddings, manifest }
}

/** A plain loop: calling a function for each of 400,000 values takes longer than reading the file. */
function firstNotFinite(data: Float32Array): number {
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    // Infinity - Infinity and NaN - NaN are NaN.
    if (value - value !== 0) return index
  }
  return -1
}
