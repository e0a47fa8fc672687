/** The one decoder interface: implemented by the emitted graphs and by stock ONNX files. */
import type { Tensor } from '../tensor/tensor.ts'

/** A padded batch of inputs, each row with the prompt it uses. */
export interface EncodeInput {
  readonly inputIds: Tensor<'I64'> // [B, T]
  readonly attentionMask: Tensor<'I64'> // [B, T]
  /** Prompts and which one each row uses; absent = the bare model. */
  readonly prompts?: Tensor<'F32'> // [K, P, D]
  readonly promptIndex?: Tensor<'I64'> // [B]
  /** How many of a prompt's rows count, its last; what stands before them is seen by nobody. Absent = all P. */
  readonly promptLengths?: readonly number[] // [K]
}

/** Encoder output; `hidden` may hold the prompt's positions first. */
export interface Encoded {
  readonly hidden: Tensor<'F32'> // [B, S, D]
  readonly mask: Tensor<'I64'> // [B, S]
}

export interface Seq2Seq {
  encode(input: EncodeInput): Promise<Encoded>
  /** Next-token scores after each of the decoder's tokens; `decoderIds` starts with the decoder start token. */
  step(encoded: Encoded, decoderIds: Tensor<'I64'> /* [B, U] */): Promise<Tensor<'F32'>> // [B, U, V]
  dispose(): Promise<void>
}
