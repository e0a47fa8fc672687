/** A table as a BF16 checkpoint of the same model would give it. */
import type { EmbeddingTable } from '../../src/prompt/fingerprint.ts'
import { fromBF16, toBF16 } from '../../src/tensor/half.ts'

export const bf16ToF32OfF32 = (table: EmbeddingTable): EmbeddingTable => ({
  vocabSize: table.vocabSize,
  width: table.width,
  rows: (ids) => table.rows(ids).map((value) => fromBF16(toBF16(value))),
})
