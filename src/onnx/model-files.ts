/** The files of an exported encoder-decoder, told by their names. Source: transformers.js 4.3 `utils/dtypes.js`; optimum's file names. */

/** Endings of file names by transformers.js' dtype, in the order in which they are taken where nobody chooses. */
export const DTYPE_SUFFIX: Readonly<Record<string, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
  q1: '_q1',
  q1f16: '_q1f16',
  bnb4: '_bnb4',
}

const PARTS = ['encoder_model', 'decoder_model_merged', 'decoder_model'] as const

export type OnnxPart = (typeof PARTS)[number]

/** The dtypes that each part is there in, best first. */
export type OnnxParts = Readonly<Record<OnnxPart, readonly string[]>>

/** `decoder_model_merged_quantized.onnx`; a dtype that is unknown has no ending. */
export const onnxFile = (part: OnnxPart, dtype: string): string => `${part}${DTYPE_SUFFIX[dtype] ?? ''}.onnx`

/** What of a model is among the names of a folder. */
export function onnxPartsOf(names: readonly string[]): OnnxParts {
  const there = new Set(names)
  const dtypesOf = (part: OnnxPart): string[] => Object.keys(DTYPE_SUFFIX).filter((dtype) => there.has(onnxFile(part, dtype)))
  return {
    encoder_model: dtypesOf('encoder_model'),
    decoder_model_merged: dtypesOf('decoder_model_merged'),
    decoder_model: dtypesOf('decoder_model'),
  }
}

/** Dtypes that a whole model is there in. @param decoders which files may be its decoder */
export const wholeDtypes = (parts: OnnxParts, decoders: readonly OnnxPart[] = ['decoder_model_merged']): readonly string[] =>
  parts.encoder_model.filter((dtype) => decoders.some((decoder) => parts[decoder].includes(dtype)))

/** `fp32 (encoder_model.onnx, decoder_model_merged.onnx), q8 (…)`; for people. */
export function describeParts(parts: OnnxParts): string {
  const dtypes = Object.keys(DTYPE_SUFFIX).filter((dtype) => PARTS.some((part) => parts[part].includes(dtype)))
  const described = dtypes.map((dtype) => {
    const files = PARTS.filter((part) => parts[part].includes(dtype)).map((part) => onnxFile(part, dtype))
    return `${dtype} (${files.join(', ')})`
  })
  return described.join(', ') || 'none'
}

/** Which files answer. */
export interface OnnxChoice {
  readonly encoder: string
  readonly decoder: string
  /** Of the encoder and of the decoder. */
  readonly dtypes: readonly [string, string]
}

/**
 * Chooses an encoder and a decoder: of the dtype, or the best that are there, of one dtype where that can be; undefined where they are not.
 * A decoder without cache does: the loop here decodes without one.
 */
export function chooseParts(parts: OnnxParts, dtype?: string): OnnxChoice | undefined {
  const decoders: readonly OnnxPart[] = ['decoder_model_merged', 'decoder_model']
  const decoderOf = (of: string | undefined): { readonly file: string; readonly dtype: string } | undefined => {
    const part = decoders.find((each) => (of === undefined ? parts[each].length > 0 : parts[each].includes(of)))
    const found = part && (of ?? parts[part][0])
    return part && found !== undefined ? { file: onnxFile(part, found), dtype: found } : undefined
  }
  const common = dtype ?? wholeDtypes(parts, decoders)[0]
  const encoder = common ?? parts.encoder_model[0]
  const decoder = decoderOf(common)
  if (encoder === undefined || !parts.encoder_model.includes(encoder) || decoder === undefined) return undefined
  return { encoder: onnxFile('encoder_model', encoder), decoder: decoder.file, dtypes: [encoder, decoder.dtype] }
}
