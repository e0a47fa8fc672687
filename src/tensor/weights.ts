/** Where a stored weight lies: never its bytes. Training, export and attaching point runtimes at these ranges in place. */
import type { Dtype } from './tensor.ts'

/** One tensor inside a file: `sizeBytes` bytes at `offsetBytes`. */
export interface WeightRef {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** A real path (symbolic links resolved) in Node, or the file's bytes where there is no file system. */
  readonly source: string | Uint8Array
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/** All weights of a checkpoint by their PyTorch names (`encoder.block.0.layer.0.SelfAttention.q.weight`). */
export type WeightTable = ReadonlyMap<string, WeightRef>
