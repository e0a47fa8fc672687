/** A T5 of a given shape with random weights, as a folder that this library and transformers open. Speed does not depend on the values. */
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseT5Config } from '../src/t5/config.ts'
import { buildStep } from '../src/t5/step.ts'
import { createRandom } from '../src/tensor/random.ts'
import { sizeOf } from '../src/tensor/tensor.ts'

/** T5 v1.0 (Raffel et al. 2020), and one for smoke tests. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  tiny: { d_model: 64, num_layers: 2, num_heads: 4, d_kv: 16, d_ff: 128, vocab_size: 1000 },
  small: { d_model: 512, num_layers: 6, num_heads: 8, d_kv: 64, d_ff: 2048, vocab_size: 32_128 },
  base: { d_model: 768, num_layers: 12, num_heads: 12, d_kv: 64, d_ff: 3072, vocab_size: 32_128 },
  large: { d_model: 1024, num_layers: 24, num_heads: 16, d_kv: 64, d_ff: 4096, vocab_size: 32_128 },
}
/** Random numbers made; a prime, so that rows of matrices do not repeat. */
const POOL = 1_048_583

/** Writes `config.json` and `model.safetensors` (F32), tensor by tensor. */
export async function writeRandomT5(dir: string, shape: Readonly<Record<string, number>>): Promise<void> {
  const json = {
    architectures: ['T5ForConditionalGeneration'],
    model_type: 't5',
    ...shape,
    num_decoder_layers: shape['num_layers'],
    feed_forward_proj: 'relu',
    tie_word_embeddings: true,
    dropout_rate: 0,
    pad_token_id: 0,
    eos_token_id: 1,
    decoder_start_token_id: 0,
  }
  await writeFile(join(dir, 'config.json'), JSON.stringify(json))
  const config = parseT5Config(json)
  const weights = buildStep(config).weights.map(({ names, value }) => ({ name: names[0] as string, shape: value.shape as number[] }))
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let offset = 0
  for (const { name, shape: dims } of weights) {
    const end = offset + 4 * sizeOf(dims)
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [offset, end] }
    offset = end
  }
  const random = createRandom(1)
  // uniform, of standard deviation 1
  const pool = Float32Array.from({ length: POOL }, () => Math.sqrt(12) * (random.uniform() - 0.5))
  const text = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  const file = await open(join(dir, 'model.safetensors'), 'w')
  await file.write(Buffer.concat([length, padded]))
  let at = 0
  for (const { name, shape: dims } of weights) {
    const deviation = deviationOf(name, dims, config.width * config.headWidth)
    const values = Float32Array.from({ length: sizeOf(dims) }, (_, index) =>
      deviation === 0 ? 1 : deviation * (pool[(at + index) % POOL] as number),
    )
    at += values.length
    await file.writeFile(new Uint8Array(values.buffer))
  }
  await file.close()
}

/** As T5 initialises: attention is not scaled, its queries are. 0 = a vector of ones. */
function deviationOf(name: string, dims: readonly number[], query: number): number {
  if (dims.length === 1) return 0
  if (name.includes('shared')) return 1
  if (name.endsWith('.q.weight')) return query ** -0.5
  return (dims[1] as number) ** -0.5
}
