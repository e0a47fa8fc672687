/** The tokenizer as the core sees it: injected, so that no tokenizer package is loaded before it is needed. */
export interface Tokenizer {
  /** Text to piece ids with `</s>` at the end, untruncated. */
  encode(text: string): number[]
  /** Piece ids to text, special pieces left out. */
  decode(ids: readonly number[]): string
  /** Every piece by id, for label initialisation, inspection and the fingerprint. */
  readonly pieces: readonly string[]
  readonly padId: number
  readonly eosId: number
}
