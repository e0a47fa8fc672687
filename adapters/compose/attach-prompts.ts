/** Soft prompts for a transformers.js model or pipeline that the app has built itself. */
import { ConfigError, MismatchError } from '../../src/errors.ts'
import { createPromptBank, type PromptBank } from '../../src/prompt/bank.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { openPromptedSession, type PromptedSession, type PromptedSessionOptions, type Runtime } from '../onnxruntime/attach.ts'
import type { ExternalFile, ModelSource } from '../onnxruntime/source.ts'
import type { LoadOptions } from '../transformers/load.ts'
import { attachSession, partsOf, type Attachment, type AttachOptions, type StockModel } from '../transformers/attach.ts'

export interface AttachPromptsOptions extends AttachOptions {
  /** The file that the model's encoder came from: `onnx/encoder_model*.onnx` as a path, bytes or Blob. */
  readonly encoder: ModelSource
  readonly externalData?: readonly ExternalFile[]
  /** The runtime; absent = the one that the model's own session was made by, so that no second copy is loaded. */
  readonly ort?: Runtime
  /** Session options; without execution providers among them, the model's device. */
  readonly session?: NonNullable<PromptedSessionOptions['session']>
}

/** Execution providers by transformers.js device, where the names differ. */
const PROVIDER: Readonly<Record<string, string>> = { auto: 'cpu', gpu: 'webgpu' }

/**
 * Attaches prompts to a stock transformers.js T5: afterwards `model.generate({ …, soft_prompt })` and `pipe(text, { soft_prompt })` take
 * a prompt's name, or a name or null for each row. The stock encoder session is released.
 * @example
 * const pipe = await pipeline('text2text-generation', 'Xenova/t5-small')
 * const { bank, detach } = await attachPrompts(pipe, { sst2: prompt }, { encoder: 'models/t5-small/onnx/encoder_model.onnx' })
 * await pipe(['a film of charm', 'wie geht es'], { soft_prompt: ['sst2', null] })
 * @throws {UnsupportedError} `model-attached` | `model-kind`, or what the encoder file is; {MismatchError} `prompt-width` | `encoder-mismatch`
 */
export async function attachPrompts(
  target: StockModel | { readonly model: StockModel },
  prompts: Readonly<Record<string, SoftPrompt>> | PromptBank,
  options: AttachPromptsOptions,
): Promise<Attachment> {
  const model = 'model' in target && !('sessions' in target) ? (target.model as StockModel) : (target as StockModel)
  const parts = partsOf(model)
  const stock = parts.sessions?.['model'] as StockSession | undefined
  if (stock === undefined || parts.sessions['decoder_model_merged'] === undefined) {
    throw new ConfigError(
      'model-kind',
      'attachPrompts needs a transformers.js encoder-decoder (T5) with its sessions "model" and "decoder_model_merged".',
    )
  }
  const bank = isBank(prompts) ? prompts : createPromptBank(prompts)
  if (isPatched(stock)) return attachSession(model, keepConfig(stock.withBank(bank), stock), options)
  const ort = options.ort ?? { InferenceSession: stock.constructor as unknown as Runtime['InferenceSession'] }
  const session = await openEncoder(ort, stock.config?.device ?? 'cpu', parts.config.d_model, bank, options)
  const attached = attachSession(model, keepConfig(session, stock), options)
  await stock.release()
  return attached
}

/** The patched session of an encoder file, on a transformers.js device. @throws {MismatchError} `encoder-mismatch` when the model has another width */
export async function openEncoder(
  ort: Runtime,
  device: string,
  width: number | undefined, // D
  bank: PromptBank,
  options: Pick<AttachPromptsOptions, 'encoder' | 'externalData' | 'session'>,
): Promise<PromptedSession> {
  const session = await openPromptedSession(ort, options.encoder, {
    bank,
    session: { executionProviders: [PROVIDER[device] ?? device], ...options.session },
    ...(options.externalData === undefined ? {} : { externalData: options.externalData }),
  })
  if (width === undefined || width === session.width) return session
  await session.release()
  throw new MismatchError(
    'encoder-mismatch',
    `The encoder file has hidden size ${session.width}, the model ${width}: give the file that this model was loaded from.`,
    {
      facts: { expected: width, got: session.width },
    },
  )
}

/** Session options of a load, where it has any. */
export const sessionOf = ({ session_options: session }: LoadOptions): Pick<AttachPromptsOptions, 'session'> => (session ? { session } : {})

interface StockSession {
  readonly config?: { readonly device?: string; readonly dtype?: string }
  release(): Promise<void>
}

/** A model that was attached to and detached keeps its patched session. */
const isPatched = (session: StockSession | PromptedSession): session is StockSession & PromptedSession => 'withBank' in session

const isBank = (prompts: Readonly<Record<string, SoftPrompt>> | PromptBank): prompts is PromptBank => typeof prompts['feeds'] === 'function'

/** transformers.js reads a session's dtype and device from its `config`. */
const keepConfig = <T extends object>(session: T, { config }: StockSession): T => Object.assign(session, { config })
