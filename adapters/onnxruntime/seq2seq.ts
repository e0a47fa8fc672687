/** The decoder interface over stock ONNX files on onnxruntime: a patched encoder, and a decoder run without its cache. */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import type { Encoded, EncodeInput, Seq2Seq } from '../../src/decode/seq2seq.ts'
import { SoftPromptError, UnsupportedError } from '../../src/errors.ts'
import type { T5Config } from '../../src/t5/config.ts'
import { fromFloat32, toFloat32 } from '../../src/tensor/half.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import { openDecoderSession, openPromptedSession, type PromptedSession } from './attach.ts'
import { deviceFailed, deviceOf } from './devices.ts'
import type { OnnxRuntime } from './engine.ts'

export interface StockOptions {
  /** Execution provider: `cpu` (default), `webgpu`, `cuda`, … */
  readonly device?: string
  readonly threads?: number
  readonly memory?: 'fast' | 'low'
}

export interface StockSeq2Seq extends Seq2Seq {
  /** Rows of a batch influence each other: the encoder's activations share their scales. */
  readonly dynamicallyQuantized: boolean
}

/**
 * Opens an encoder and a decoder file (merged, or without cache); weights stay on disk.
 * @throws {UnsupportedError} what the encoder's surgery refuses, `decoder-input` for a decoder of another kind
 * @throws {UnsupportedError} `engine-load` | `engine-device-missing` where the runtime refuses a file
 * @throws {ConfigError} `encoder-missing` | `decoder-missing` | `engine-device`
 */
export async function openStockSeq2Seq(
  ort: OnnxRuntime,
  files: { readonly encoder: string; readonly decoder: string },
  config: T5Config,
  options: StockOptions = {},
): Promise<StockSeq2Seq> {
  const session = sessionOptions(options)
  const loading = (file: string) => (cause: unknown) => refused(cause, `load ${file}`, options.device)
  const encoder = await openPromptedSession(ort, files.encoder, { session }).catch(loading(files.encoder))
  try {
    const decoder = await openDecoderSession(ort, files.decoder, session).catch(loading(files.decoder))
    return stockSeq2Seq(ort, encoder, decoder, config)
  } catch (error) {
    await encoder.release()
    throw error
  }
}

/** What the runtime says, in an error of ours. @throws {UnsupportedError} `engine-device-missing` | `engine-load` */
function refused(cause: unknown, doing: string, device = 'cpu'): never {
  if (cause instanceof SoftPromptError) throw cause
  if (device !== 'cpu') throw deviceFailed(device, cause)
  throw new UnsupportedError('engine-load', `onnxruntime could not ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  })
}

function sessionOptions({ device = 'cpu', threads, memory }: StockOptions): InferenceSession.SessionOptions {
  deviceOf(device)
  return {
    executionProviders: [device],
    logSeverityLevel: 3, // errors only: they are thrown
    enableMemPattern: false,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(memory === 'low' ? { extra: { session: { disable_prepacking: '1' } } } : {}),
  }
}

function stockSeq2Seq(ort: OnnxRuntime, encoder: PromptedSession, decoder: InferenceSession, config: T5Config): StockSeq2Seq {
  const make = ort.Tensor as unknown as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor
  const toOrt = ({ data, shape }: Tensor<'I64'>): OrtTensor => new make('int64', data, shape)
  const inputs = decoderInputs(decoder)
  const hiddenType = inputs.get('encoder_hidden_states')?.type ?? 'float32'
  /** What the encoder gave, in its own dtype. */
  const held = new WeakMap<Encoded, OrtTensor>()
  const zeros = (name: string, rows: number): OrtTensor => {
    const { type, shape } = inputs.get(name) as Input
    if (name === 'use_cache_branch') return new make('bool', Uint8Array.of(0), [1])
    const [, heads, , width] = shape
    const dims = [rows, typeof heads === 'number' ? heads : config.heads, 0, typeof width === 'number' ? width : config.headWidth]
    return new make(type, type === 'float16' ? new Uint16Array() : new Float32Array(), dims)
  }
  return {
    dynamicallyQuantized: encoder.dynamicallyQuantized,
    async encode(input) {
      const { session, names } = withPrompts(encoder, input)
      const feeds = session.join({ input_ids: toOrt(input.inputIds), attention_mask: toOrt(input.attentionMask) }, names, config.padId)
      const { last_hidden_state: made } = await session.run(feeds)
      const { data, dims } = feeds['attention_mask'] as OrtTensor
      const encoded = { hidden: toF32(made as OrtTensor), mask: tensor('I64', dims, data as BigInt64Array) }
      held.set(encoded, made as OrtTensor)
      return encoded
    },
    async step(encoded, decoderIds) {
      const own = held.get(encoded)
      const given: Record<string, OrtTensor> = {
        input_ids: toOrt(decoderIds),
        encoder_attention_mask: toOrt(encoded.mask),
        encoder_hidden_states: own?.type === hiddenType ? own : ofType(make, hiddenType, encoded.hidden),
      }
      const rows = decoderIds.shape[0] as number
      const feeds = Object.fromEntries([...inputs.keys()].map((name) => [name, given[name] ?? zeros(name, rows)]))
      const { logits } = await decoder.run(feeds, ['logits'])
      return toF32(logits as OrtTensor)
    },
    dispose: async () => {
      await encoder.release()
      await decoder.release()
    },
  }
}

/** The encoder with the prompts of a batch, and which one each row uses. */
function withPrompts(encoder: PromptedSession, input: EncodeInput): { session: PromptedSession; names: (string | null)[] } {
  const { prompts, promptIndex, promptLengths } = input
  const rows = input.inputIds.shape[0] as number
  const bank = createPromptBank({}, encoder.width)
  if (prompts === undefined) return { session: encoder.withBank(bank), names: Array<null>(rows).fill(null) }
  const [count, most, width] = prompts.shape as [number, number, number]
  for (let each = 0; each < count; each++) {
    const length = promptLengths?.[each] ?? most
    // A shorter prompt's rows are its last.
    const data = prompts.data.slice(((each + 1) * most - length) * width, (each + 1) * most * width)
    if (length > 0) bank.add(String(each), softPrompt(tensor('F32', [length, width], data), { base: { id: '' } }))
  }
  const names = Array.from({ length: rows }, (_, row) => String(promptIndex?.data[row] ?? 0n))
  return { session: encoder.withBank(bank), names: names.map((name) => (bank.has(name) ? name : null)) }
}

interface Input {
  readonly type: string
  readonly shape: readonly (number | string)[]
}

/** Inputs that the loop feeds itself; what else a decoder wants is its cache, of no length. */
const FED: ReadonlySet<string> = new Set(['input_ids', 'encoder_attention_mask', 'encoder_hidden_states', 'use_cache_branch'])

/** @throws {UnsupportedError} `decoder-input` */
function decoderInputs({ inputMetadata, outputNames }: InferenceSession): ReadonlyMap<string, Input> {
  const inputs = new Map(inputMetadata.map((input): [string, Input] => [input.name, input.isTensor ? input : { type: '', shape: [] }]))
  const odd = [...inputs.keys()].filter((name) => !FED.has(name) && !name.startsWith('past_key_values.'))
  // With a cache and no branch to go without it, the first token would have nothing to go on.
  const pastOnly = !inputs.has('use_cache_branch') && [...inputs.keys()].some((name) => name.startsWith('past_key_values.'))
  if (odd.length === 0 && !pastOnly && outputNames.includes('logits') && inputs.has('input_ids')) return inputs
  throw new UnsupportedError(
    'decoder-input',
    `The decoder file has the inputs ${[...inputs.keys()].slice(0, 8).join(', ')}: expected a T5 decoder_model_merged.onnx or decoder_model.onnx as optimum exports it.`,
    { facts: { inputs: [...inputs.keys()] } },
  )
}

function ofType(
  make: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor,
  type: string,
  { data, shape }: Tensor<'F32'>,
): OrtTensor {
  return type === 'float16' ? new make(type, fromFloat32('F16', data), shape) : new make('float32', data, shape)
}

/** A runtime's tensor in F32; halves come as 16-bit words, or as numbers where the platform has such arrays. */
function toF32({ type, dims, data }: OrtTensor): Tensor<'F32'> {
  if (type === 'float32') return tensor('F32', dims, data as Float32Array)
  const floats = data instanceof Uint16Array ? toFloat32('F16', data) : Float32Array.from(data as Float32Array)
  return tensor('F32', dims, floats)
}
