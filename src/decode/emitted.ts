/** The decoder interface over this library's own graphs, on any engine. */
import { ShapeError } from '../errors.ts'
import type { Engine, Program } from '../graph/engine.ts'
import { areShort } from '../t5/blocks.ts'
import { buildDecoder, buildEncoder } from '../t5/models.ts'
import { packRows } from '../t5/layout.ts'
import { positionBuckets } from '../t5/positions.ts'
import type { T5Config } from '../t5/config.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { WeightTable } from '../tensor/weights.ts'
import type { Encoded, EncodeInput, Seq2Seq } from './seq2seq.ts'

/** Loads the encoder and the decoder of a T5. Without prompts the same encoder runs with prompts of length 0. */
export async function emittedSeq2Seq(engine: Engine, config: T5Config, weights: WeightTable): Promise<Seq2Seq> {
  const encoder = await engine.load(buildEncoder(config), weights)
  const short = await engine.load(buildDecoder(config), weights)
  // Only generation gets that far: made when it does.
  let long: Promise<Program> | undefined
  const decoderFor = (tokens: number): Program | Promise<Program> =>
    areShort(config, tokens) ? short : (long ??= engine.load(buildDecoder(config, { targetTokens: tokens }), weights))
  return {
    encode: async (input) => {
      const { prompts, promptIndex, seen } = promptsOf(input, config)
      const packed = packRows(config, input.inputIds, input.attentionMask, seen)
      const mask = packed['encoder_mask'] as Tensor<'I64'>
      const positions = mask.shape[1] as number
      const { last_hidden_state: hidden } = await encoder.run({
        ...packed,
        prompts,
        prompt_index: promptIndex,
        encoder_buckets: positionBuckets(positions, positions, config, true),
      })
      return { hidden: hidden as Tensor<'F32'>, mask } satisfies Encoded
    },
    step: async (encoded, decoderIds) => {
      const length = decoderIds.shape[1] as number
      const decoder = await decoderFor(length)
      const { logits } = await decoder.run({
        decoder_input_ids: decoderIds,
        decoder_buckets: positionBuckets(length, length, config, false),
        encoder_hidden_states: encoded.hidden,
        encoder_attention_mask: encoded.mask,
      })
      return logits as Tensor<'F32'>
    },
    dispose: async () => {
      await encoder.dispose()
      await short.dispose()
      await (await long)?.dispose()
    },
  }
}

/** The prompts of a batch, and which of their rows [B, P] are seen; where there are no prompts, one of no tokens. @throws {ShapeError} `prompts-index` */
function promptsOf(input: EncodeInput, { width }: T5Config): { prompts: Tensor<'F32'>; promptIndex: Tensor<'I64'>; seen: Tensor<'I64'> } {
  const rows = input.inputIds.shape[0] as number
  const { prompts = tensor('F32', [1, 0, width], new Float32Array()), promptIndex = tensor('I64', [rows], new BigInt64Array(rows)) } = input
  const [count = 0, length = 0, promptWidth] = prompts.shape
  const lengths = input.promptLengths ?? Array<number>(count).fill(length)
  const fits = lengths.length === count && lengths.every((own) => own >= 0 && own <= length)
  if (!fits || promptWidth !== width || promptIndex.data.some((index) => index < 0n || index >= BigInt(count))) {
    throw new ShapeError(
      'prompts-index',
      `Prompts [${prompts.shape.join(', ')}] of lengths ${lengths.join(', ')} with index ${promptIndex.data.join(', ')}: expected [K, P, ${width}], lengths up to P and indices below K.`,
      {
        facts: { shape: prompts.shape, width },
      },
    )
  }
  const seen = new BigInt64Array(rows * length).fill(1n)
  for (const [row, index] of promptIndex.data.entries())
    seen.fill(0n, row * length, (row + 1) * length - (lengths[Number(index)] as number))
  return { prompts, promptIndex, seen: tensor('I64', [rows, length], seen) }
}
