/** The decoder interface over a stock transformers.js model: its encoder session, its merged decoder without cache. */
import type { PreTrainedModel, Tensor as HubTensor } from '@huggingface/transformers'
import type { Encoded, Seq2Seq } from '../../src/decode/seq2seq.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { partsOf, type EncoderSession } from './attach.ts'

/** transformers.js' own Tensor class. */
export type TensorClass = new (...args: [type: string, data: unknown, dims: readonly number[]] | [ort: unknown]) => HubTensor

/** Wraps a model that has an attached encoder; ids may be virtual, so `prompts` of the input are not used. */
export function stockSeq2Seq(model: PreTrainedModel, session: EncoderSession, TensorClass: TensorClass): Seq2Seq {
  const parts = partsOf(model)
  const toHub = ({ shape, data }: Tensor<'I64'>): HubTensor => new TensorClass('int64', data, shape)
  /** What the decoder takes, in the encoder's own dtype. */
  const held = new WeakMap<Encoded, { readonly outputs: HubTensor; readonly mask: HubTensor }>()
  let dtype = 'float32'
  return {
    async encode({ inputIds, attentionMask }) {
      const mask = toHub(attentionMask)
      const made = await session.run({ input_ids: ortOf(toHub(inputIds)), attention_mask: ortOf(mask) })
      const outputs = new TensorClass(made['last_hidden_state'])
      dtype = outputs.type
      const encoded = { hidden: toF32(outputs), mask: attentionMask }
      held.set(encoded, { outputs, mask })
      return encoded
    },
    async step(encoded, decoderIds) {
      const { outputs, mask } = held.get(encoded) ?? {
        outputs: new TensorClass('float32', encoded.hidden.data, encoded.hidden.shape).to(dtype as 'float32'),
        mask: toHub(encoded.mask),
      }
      const made = (await parts.forward({ encoder_outputs: outputs, attention_mask: mask, decoder_input_ids: toHub(decoderIds) })) as {
        logits: HubTensor
      }
      return toF32(made.logits)
    },
    dispose: () => Promise.resolve(),
  }
}

const ortOf = (tensor: HubTensor): unknown => (tensor as unknown as { readonly ort_tensor: unknown }).ort_tensor

function toF32(tensor: HubTensor): Tensor<'F32'> {
  const { dims, data } = tensor.to('float32')
  return { dtype: 'F32', shape: dims, data: data as Float32Array }
}
