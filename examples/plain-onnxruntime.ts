/** A prompt on onnxruntime alone: the stock encoder file, opened so that it takes virtual tokens. */
import * as ort from 'onnxruntime-node'
import { openPrompt } from 'soft-prompts/node'
import { openPromptedSession } from 'soft-prompts/onnxruntime'

/** The encoder's hidden states of token ids with the prompt in front of row 0 and nothing in front of row 1: [2, P + T, D]. */
export async function encode(promptFolder: string, ids: readonly number[]): Promise<readonly number[]> {
  const encoder = await openPromptedSession(ort, 'models/t5-tiny-en/onnx/encoder_model.onnx')
  encoder.bank.add('sentiment', await openPrompt(promptFolder))
  const rows = [...ids, ...ids].map(BigInt)
  const feeds = encoder.join(
    {
      input_ids: new ort.Tensor('int64', BigInt64Array.from(rows), [2, ids.length]),
      attention_mask: new ort.Tensor('int64', new BigInt64Array(rows.length).fill(1n), [2, ids.length]),
    },
    ['sentiment', null],
  )
  const { last_hidden_state: hidden } = await encoder.run(feeds)
  await encoder.release()
  return hidden?.dims ?? []
}
