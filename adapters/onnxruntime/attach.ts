/** A session that takes soft prompts, on an injected onnxruntime (node or web): hides the added input and feeds it from a prompt bank. */
import type { InferenceSession, InferenceSessionFactory, Tensor as OrtTensor } from 'onnxruntime-common'
import { createPromptBank, type PromptBank } from '../../src/prompt/bank.ts'
import { joinPrompts, tokenRows } from '../../src/prompt/join.ts'
import { ROWS_INPUT } from '../../src/onnx/surgery.ts'
import { openDecoderSkeleton, openPatched, type ExternalFile, type ModelSource, type PatchedSource } from './source.ts'

/** What is used of onnxruntime-node or onnxruntime-web; tensors are made by the class of the tensors that come in. */
export interface Runtime {
  readonly InferenceSession: Pick<InferenceSessionFactory, 'create'>
}

export type Feeds = Readonly<Record<string, OrtTensor>>

export interface PromptedSessionOptions {
  /** Shared between sessions, or absent: an empty one is made. */
  readonly bank?: PromptBank
  /** Session options of onnxruntime: execution providers, threads, … */
  readonly session?: InferenceSession.SessionOptions
  /** Files that a model given as bytes keeps its weights in. */
  readonly externalData?: readonly ExternalFile[]
}

/** An encoder session as it was, that also takes virtual token ids (>= V). */
export interface PromptedSession {
  /** Without the added input. */
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  readonly bank: PromptBank
  readonly vocabSize: number // V
  readonly width: number // D
  /** Rows of one batch influence each other through their common activation scales: expect small differences between batches. */
  readonly dynamicallyQuantized: boolean
  /** Puts prompts in front of `input_ids` and `attention_mask` [B, T]: one name for all rows, or a name or null for each. */
  join(feeds: Feeds, prompts: string | readonly (string | null)[], padId?: number): Record<string, OrtTensor>
  /** The same session with other prompts: sessions may share a bank, and banks a session. */
  withBank(bank: PromptBank): PromptedSession
  run(feeds: Feeds, options?: InferenceSession.RunOptions): Promise<Record<string, OrtTensor>>
  release(): Promise<void>
}

/**
 * Opens an encoder for soft prompts. From a path only its headers are read, and the weights stay on disk.
 * @example
 * const encoder = await openPromptedSession(ort, 'onnx/encoder_model.onnx')
 * encoder.bank.add('sst2', prompt)
 * const feeds = encoder.join({ input_ids, attention_mask }, ['sst2', null])
 * const { last_hidden_state } = await encoder.run(feeds)
 * @throws {UnsupportedError} for a file that is not a plain T5 encoder; the message says what it is
 */
export async function openPromptedSession(
  ort: Runtime,
  source: ModelSource,
  options: PromptedSessionOptions = {},
): Promise<PromptedSession> {
  const { bytes, folder, externalData, vocabSize, width, dynamicallyQuantized, int32Ids } = await openPatched(source, options.externalData)
  const bank = options.bank ?? createPromptBank({}, width)
  const session = await ort.InferenceSession.create(bytes, {
    ...options.session,
    ...(externalData === undefined ? {} : { externalData }),
    ...(folder === undefined ? {} : { extra: extraWithFolder(options.session?.extra, folder) }),
  })
  return prompted(session, bank, { vocabSize, width, dynamicallyQuantized, int32Ids })
}

/** A decoder's own session, opened as prompted ones are: only headers read, the weights left on disk. @throws {ConfigError} `decoder-missing` */
export async function openDecoderSession(
  ort: Runtime,
  file: string,
  options: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  const { bytes, folder } = await openDecoderSkeleton(file)
  return ort.InferenceSession.create(bytes, { ...options, extra: extraWithFolder(options.extra, folder) })
}

type Facts = Pick<PatchedSource, 'vocabSize' | 'width' | 'dynamicallyQuantized' | 'int32Ids'>

/** A tensor of the runtime that `like` belongs to. */
function make(like: OrtTensor, type: string, data: unknown, dims: readonly number[]): OrtTensor {
  const TensorClass = like.constructor as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor
  return new TensorClass(type, data, dims)
}

function prompted(session: InferenceSession, bank: PromptBank, facts: Facts): PromptedSession {
  const { vocabSize, width, dynamicallyQuantized, int32Ids } = facts
  bank.fit(width)
  const makeIds = (like: OrtTensor, data: BigInt64Array, dims: readonly number[]): OrtTensor =>
    int32Ids ? make(like, 'int32', Int32Array.from(data, Number), dims) : make(like, 'int64', data, dims)
  return {
    inputNames: session.inputNames.filter((name) => name !== ROWS_INPUT),
    outputNames: session.outputNames,
    bank,
    vocabSize,
    width,
    dynamicallyQuantized,
    join(feeds, prompts, padId = 0) {
      const { input_ids: ids, attention_mask: mask, ...rest } = feeds as Record<string, OrtTensor>
      const rows = tokenRows(ids as OrtTensor, mask, padId)
      const names = typeof prompts === 'string' ? Array<string>(rows.ids.shape[0] ?? 0).fill(prompts) : prompts
      const tokens = names.map((name) => (name === null ? null : bank.tokens(name)))
      const joined = joinPrompts(rows, tokens, vocabSize, padId)
      return {
        ...rest,
        input_ids: makeIds(ids as OrtTensor, joined.ids.data, joined.ids.shape),
        attention_mask: make(ids as OrtTensor, 'int64', joined.mask.data, joined.mask.shape),
      }
    },
    withBank: (other) => prompted(session, other, facts),
    async run(feeds, runOptions) {
      const ids = feeds['input_ids']
      if (ids === undefined) return (await session.run(feeds, runOptions)) as Record<string, OrtTensor> // the runtime's own words
      const fed = bank.feeds(ids.data as BigInt64Array | Int32Array, vocabSize, width)
      const rows = make(ids, 'float32', fed.rows.data, fed.rows.shape)
      // Without virtual tokens the caller's own tensor goes through, if it is of the model's type.
      const input_ids = fed.prompted || (int32Ids && ids.type !== 'int32') ? makeIds(ids, fed.ids, ids.dims) : ids
      return (await session.run({ ...feeds, input_ids, [ROWS_INPUT]: rows }, runOptions)) as Record<string, OrtTensor>
    },
    release: () => session.release(),
  }
}

function extraWithFolder(extra: Record<string, unknown> | undefined, folder: string): Record<string, unknown> {
  return { ...extra, session: { ...(extra?.['session'] as Record<string, unknown>), model_external_initializers_file_folder_path: folder } }
}
