/** Checkpoints with the sha256 of Node. */
import { createHash } from 'node:crypto'
import { formatCheckpoint, parseCheckpoint } from '../../src/train/checkpoint.ts'
import type { TrainState } from '../../src/train/state.ts'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const seal = (states: readonly TrainState[]): Uint8Array => formatCheckpoint(states, sha256)
export const unseal = (bytes: Uint8Array): TrainState[] => parseCheckpoint(bytes, sha256)
