/** T5's relative position buckets, computed on the host. Source: `_relative_position_bucket` of transformers `modeling_t5.py`. */
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { T5Config } from './config.ts'

/**
 * The bucket of a relative position (key − query). In f32 steps as PyTorch computes it, because the edges of buckets fall on integers.
 * Decoders look back only: a later key gets the bucket after the last, which the graph reads as "not visible".
 */
export function bucketOf(relative: number, config: T5Config, bidirectional: boolean): number {
  if (!bidirectional && relative > 0) return config.buckets
  const buckets = bidirectional ? Math.floor(config.buckets / 2) : config.buckets
  const start = bidirectional && relative > 0 ? buckets : 0
  const distance = Math.abs(relative)
  const exact = Math.floor(buckets / 2)
  if (distance < exact) return start + distance
  const ratio = Math.fround(Math.fround(Math.log(Math.fround(distance / exact))) / Math.fround(Math.log(config.maxDistance / exact)))
  return start + Math.min(buckets - 1, exact + Math.trunc(Math.fround(ratio * (buckets - exact))))
}

/** Buckets of every query and key position: [queries, keys] i64. */
export function positionBuckets(queries: number, keys: number, config: T5Config, bidirectional: boolean): Tensor<'I64'> {
  // one value for each distance, from key 0 seen by the last query on
  const byDistance = Array.from({ length: queries + keys - 1 }, (_, index) => BigInt(bucketOf(index - queries + 1, config, bidirectional)))
  const data = new BigInt64Array(queries * keys)
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < keys; key++) data[query * keys + key] = byDistance[key - query + queries - 1] as bigint
  }
  return tensor('I64', [queries, keys], data)
}
