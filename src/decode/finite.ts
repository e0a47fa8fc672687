/** What is said of scores that cannot be right. */
import { UnsupportedError } from '../errors.ts'

/**
 * Scores that are no numbers: arithmetic overflowed on the way, mostly in F16 (T5's feed-forward passes 65,504 there).
 * An answer made from them would be the first label, or no text at all.
 */
export const scoresNotFinite = (): UnsupportedError =>
  new UnsupportedError(
    'scores-not-finite',
    'The model gives scores that are no numbers (NaN): its arithmetic overflows with this prompt and text, as T5 in fp16 may. ' +
      'Use its fp32 or q8 files, and if that does not help, look whether the prompt is sound.',
  )
