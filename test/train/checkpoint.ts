/** Checkpoints with the sha256 of Node. */
import { createHash } from 'node:crypto'
import { formatCheckpoint, parseCheckpoint } from '../../src/train/checkpoint.ts'
import type { TrainState } from '../../src/train/state.ts'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const EMPTY = { sizeBytes: 0, sha256: sha256(new Uint8Array()) }
/** States of runs whose logs are empty. */
export const seal = (states: readonly TrainState[]): Uint8Array => formatCheckpoint({ states, logs: states.map(() => EMPTY) }, sha256)
export const unseal = (bytes: Uint8Array): readonly TrainState[] => parseCheckpoint(bytes, sha256).states
