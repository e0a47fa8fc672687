/** Repositories with ONNX files of bases that have none, or not all, of their own. */
import { canonicalBase } from '../../src/prompt/base-name.ts'

export const MIRRORS: ReadonlyMap<string, string> = new Map([
  ['google-t5/t5-small', 'Xenova/t5-small'],
  ['google-t5/t5-base', 'Xenova/t5-base'],
  ['google/flan-t5-small', 'Xenova/flan-t5-small'],
  ['google/flan-t5-base', 'Xenova/flan-t5-base'],
])

/** The repository that is known to have a base's ONNX files, besides its own. */
export const mirrorOf = (base: string): string | undefined => MIRRORS.get(canonicalBase(base))
