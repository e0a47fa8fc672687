/** Repositories with ONNX files of bases that have none, or not all, of their own. */
export const MIRRORS: ReadonlyMap<string, string> = new Map([
  ['t5-small', 'Xenova/t5-small'],
  ['google-t5/t5-small', 'Xenova/t5-small'],
  ['t5-base', 'Xenova/t5-base'],
  ['google-t5/t5-base', 'Xenova/t5-base'],
  ['google/flan-t5-small', 'Xenova/flan-t5-small'],
  ['google/flan-t5-base', 'Xenova/flan-t5-base'],
])
