/** The browser's runtime (onnxruntime-web, WebAssembly): the same surgery, weights as external data in memory. */
import { readFileSync } from 'node:fs'
import * as node from 'onnxruntime-node'
import * as web from 'onnxruntime-web'
import { describe, expect, it } from 'vitest'
import { openPromptedSession, type Runtime } from '../../adapters/onnxruntime/attach.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { encoderOf, promptsOf, reference } from './fixtures.ts'

const ref = reference('tiny-t5-v11')
const bytes = new Uint8Array(readFileSync(encoderOf('tiny-t5-v11')))

async function hiddenOf(runtime: Runtime & { readonly Tensor: typeof node.Tensor }, source: Uint8Array | Blob): Promise<Float32Array> {
  const session = await openPromptedSession(runtime, source, { bank: createPromptBank(promptsOf('tiny-t5-v11')) })
  const dims = [4, ref.input_ids[0]?.length ?? 0]
  const feeds = {
    input_ids: new runtime.Tensor('int64', BigInt64Array.from(ref.input_ids.flat(), BigInt), dims),
    attention_mask: new runtime.Tensor('int64', BigInt64Array.from(ref.attention_mask.flat(), BigInt), dims),
  }
  const { last_hidden_state: hidden } = await session.run(session.join(feeds, ['a', null, 'b', 'c']))
  await session.release()
  return (hidden as node.Tensor).data as Float32Array
}

describe('onnxruntime-web', () => {
  it.each([
    ['bytes', bytes],
    ['a Blob', new Blob([bytes])],
  ] as const)('from %s, computes what onnxruntime-node computes', async (_, source) => {
    const ours = await hiddenOf(web as never, source)
    const theirs = await hiddenOf(node, bytes)
    expect(ours.length).toBe(theirs.length)
    expect(ours.reduce((most, value, index) => Math.max(most, Math.abs(value - (theirs[index] as number))), 0)).toBeLessThan(2e-5)
  })
})
