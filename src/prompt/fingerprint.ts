/** What tells one base model from another of the same shape. */

/** Rows of a model's embedding matrix, wherever they lie: safetensors, an ONNX file, a quantised table. */
export interface EmbeddingTable {
  readonly vocabSize: number // V
  readonly width: number // D
  /** The rows of these ids in F32. */
  rows(ids: readonly number[]): Float32Array // [ids.length, D]
}
