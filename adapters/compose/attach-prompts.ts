/** Soft prompts for a transformers.js model or pipeline that the app has built itself; Node and page each open the prompts first. */
import { ConfigError, MismatchError } from '../../src/errors.ts'
import { createPromptBank, type PromptBank } from '../../src/prompt/bank.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { openPromptedSession, type PromptedSession, type PromptedSessionOptions, type Runtime } from '../onnxruntime/attach.ts'
import type { ExternalFile, ModelSource } from '../onnxruntime/source.ts'
import { mendStockTokenizer } from '../tokenizer/stock.ts'
import type { LoadOptions } from '../transformers/load.ts'
import { attachSession, partsOf, type Attachment, type AttachOptions, type StockModel } from '../transformers/attach.ts'

export interface EncoderOptions {
  /** The file that the model's encoder came from: `onnx/encoder_model*.onnx` as a path, bytes or Blob. */
  readonly encoder: ModelSource
  readonly externalData?: readonly ExternalFile[]
  /** The runtime; absent = the one that the model's own session was made by, so that no second copy is loaded. */
  readonly ort?: Runtime
  /** Session options; without execution providers among them, the model's device. */
  readonly session?: NonNullable<PromptedSessionOptions['session']>
}

/** A stock transformers.js model, or the pipeline that holds one. */
export type AttachTarget = StockModel | { readonly model: StockModel; readonly tokenizer?: object }

/** What a target's own sessions were loaded as, in transformers.js' words. */
export interface StockDtypes {
  readonly encoder: string
  readonly decoder: string
  readonly device: string
}

/** Execution providers by transformers.js device, where the names differ. */
const PROVIDER: Readonly<Record<string, string>> = { auto: 'cpu', gpu: 'webgpu' }

const modelOf = (target: AttachTarget): StockModel =>
  'model' in target && !('sessions' in target) ? (target.model as StockModel) : (target as StockModel)

/** @throws {ConfigError} `model-kind` for what is no encoder-decoder of transformers.js */
function sessionsOf(target: AttachTarget): { readonly encoder: StockSession; readonly decoder: StockSession } {
  const { sessions } = partsOf(modelOf(target))
  const [encoder, decoder] = [sessions?.['model'], sessions?.['decoder_model_merged']] as (StockSession | undefined)[]
  if (encoder !== undefined && decoder !== undefined) return { encoder, decoder }
  throw new ConfigError(
    'model-kind',
    'attachPrompts needs a transformers.js encoder-decoder (T5) with its sessions "model" and "decoder_model_merged".',
  )
}

/** Whether the target's encoder was patched before: its file is not needed again. */
export const isAttached = (target: AttachTarget): boolean => isPatched(sessionsOf(target).encoder)

/** @throws {ConfigError} `model-kind` */
export function dtypesOf(target: AttachTarget): StockDtypes {
  const { encoder, decoder } = sessionsOf(target)
  const { dtype = 'fp32', device = 'cpu' } = encoder.config ?? {}
  return { encoder: dtype, decoder: decoder.config?.dtype ?? 'fp32', device }
}

/**
 * Attaches opened prompts. The stock encoder session is released. A pipeline's tokenizer gives the ids of training until `detach`; that of a bare model is the app's own.
 * @param options without `encoder` only for a target that is attached already
 * @throws {UnsupportedError} `model-attached` | `model-kind`, or what the encoder file is; {MismatchError} `prompt-width` | `encoder-mismatch`
 */
export async function attachOpened(
  target: AttachTarget,
  prompts: Readonly<Record<string, SoftPrompt>> | PromptBank,
  options: AttachOptions & Partial<EncoderOptions>,
): Promise<Attachment> {
  const tokenizer = 'model' in target && !('sessions' in target) ? (target as { readonly tokenizer?: object }).tokenizer : undefined
  const model = modelOf(target)
  const { encoder: stock } = sessionsOf(target)
  const bank = isBank(prompts) ? prompts : createPromptBank(prompts)
  if (isPatched(stock)) return withTokenizer(attachSession(model, keepConfig(stock.withBank(bank), stock), options), tokenizer)
  const { encoder } = options
  if (encoder === undefined) {
    throw new ConfigError(
      'encoder-missing',
      'attachPrompts needs the file that the encoder came from: { encoder: "…/onnx/encoder_model.onnx" }.',
    )
  }
  const ort = options.ort ?? { InferenceSession: stock.constructor as Runtime['InferenceSession'] & StockSession['constructor'] }
  const session = await openEncoder(ort, stock.config?.device ?? 'cpu', partsOf(model).config.d_model, bank, { ...options, encoder })
  const attached = attachSession(model, keepConfig(session, stock), options)
  await stock.release()
  return withTokenizer(attached, tokenizer)
}

/** The attachment, with a pipeline's tokenizer mended as long as it lasts. */
function withTokenizer(attached: Attachment, tokenizer: object | undefined): Attachment {
  if (tokenizer === undefined) return attached
  const { warnings, restore } = mendStockTokenizer(tokenizer)
  return {
    ...attached,
    warnings: [...attached.warnings, ...warnings],
    detach: () => {
      attached.detach()
      restore()
    },
  }
}

/** The patched session of an encoder file, on a transformers.js device. @throws {MismatchError} `encoder-mismatch` when the model has another width */
export async function openEncoder(
  ort: Runtime,
  device: string,
  width: number | undefined, // D
  bank: PromptBank,
  options: Pick<EncoderOptions, 'encoder' | 'externalData' | 'session'>,
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
export const sessionOf = ({ session_options: session }: LoadOptions): Pick<EncoderOptions, 'session'> => (session ? { session } : {})

interface StockSession {
  readonly config?: { readonly device?: string; readonly dtype?: string }
  release(): Promise<void>
}

/** A model that was attached to and detached keeps its patched session. */
const isPatched = (session: StockSession | PromptedSession): session is StockSession & PromptedSession => 'withBank' in session

/** Whether these are prompts in a bank of the app's own. */
export const isBank = (prompts: unknown): prompts is PromptBank =>
  typeof prompts === 'object' && prompts !== null && 'feeds' in prompts && typeof prompts.feeds === 'function'

/** transformers.js reads a session's dtype and device from its `config`. */
const keepConfig = <T extends object>(session: T, { config }: StockSession): T => Object.assign(session, { config })
