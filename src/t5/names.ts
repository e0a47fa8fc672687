/** PyTorch's names of T5's weights, and the shape of each. Source: transformers `modeling_t5.py`. */
import type { T5Config } from './config.ts'

export type Side = 'encoder' | 'decoder'
type Part = 'SelfAttention' | 'EncDecAttention' | 'DenseReluDense'

/** Place of a sub-layer in its block: the encoder has two, the decoder three. */
const placeOf = (side: Side, part: Part): number => (part === 'SelfAttention' ? 0 : part === 'DenseReluDense' && side === 'decoder' ? 2 : 1)

/** `encoder.block.0.layer.0`, the prefix of one sub-layer. */
const layerName = (side: Side, block: number, part: Part): string => `${side}.block.${block}.layer.${placeOf(side, part)}`

export const partWeight = (side: Side, block: number, part: Part, weight: string): string =>
  `${layerName(side, block, part)}.${part}.${weight}.weight`
export const normWeight = (side: Side, block: number, part: Part): string => `${layerName(side, block, part)}.layer_norm.weight`
export const finalNormWeight = (side: Side): string => `${side}.final_layer_norm.weight`

/** Names under which checkpoints store the one embedding matrix. */
const EMBEDDING = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight']
const HEAD = 'lm_head.weight'

/** The embedding matrix [V, D]: the first of these names that a checkpoint has. */
export const embeddingNames = (config: T5Config): readonly string[] => (config.tied ? [...EMBEDDING, HEAD] : EMBEDDING)
/** The output matrix [V, D]; for untied models first its own. */
export const headNames = (config: T5Config): readonly string[] => (config.tied ? [...EMBEDDING, HEAD] : [HEAD, ...EMBEDDING])
