/** Gives a stock transformers.js T5 (4.3) the option `soft_prompt`; pipelines hand it on by themselves. */
import type { PreTrainedModel, Tensor } from '@huggingface/transformers'
import { scoresNotFinite } from '../../src/decode/finite.ts'
import { ConfigError, UnsupportedError } from '../../src/errors.ts'
import type { PromptBank } from '../../src/prompt/bank.ts'
import { joinPrompts, tokenRows } from '../../src/prompt/join.ts'
import { endedAtOwnEnd, trimRows } from './trim.ts'

/** One prompt for every row, or one (or none: null) for each. */
export type PromptChoice = string | null | readonly (string | null)[]

/** An encoder session that takes virtual token ids. */
export interface EncoderSession {
  readonly inputNames: readonly string[]
  readonly bank: PromptBank
  readonly vocabSize: number // V
  readonly width: number // D
  readonly dynamicallyQuantized: boolean
  // oxlint-disable-next-line typescript/no-explicit-any -- the runtime's own tensors, which this folder does not import
  run(feeds: any): Promise<Record<string, any>>
  release(): Promise<void>
}

export interface Attachment {
  readonly bank: PromptBank
  readonly session: EncoderSession
  /** What to know before trusting answers; empty where there is nothing to say. */
  readonly warnings: readonly string[]
  /** Takes the option away again. The encoder stays the patched one, which computes the same bits without prompts. */
  detach(): void
}

export interface AttachOptions {
  /** What a call without `soft_prompt` uses; default none. A function is asked each time. */
  readonly fallback?: PromptChoice | (() => PromptChoice)
}

/** A stock transformers.js model. */
export type StockModel = PreTrainedModel

const MIXED_ROWS =
  'The encoder is dynamically quantised: the rows of a batch share their activation scales, so the answer to a row may depend a little on the ' +
  'prompts of the others. Where that matters load the encoder in float ({ dtype: { encoder_model: "fp32", … } }) or ask one text at a time.'

type Inputs = Record<string, unknown>
/** The parts of a transformers.js model that are touched; its sessions are typed `any` there. */
export interface ModelParts {
  readonly config: {
    readonly d_model?: number
    readonly pad_token_id?: number | null
    readonly eos_token_id?: number | readonly number[] | null
  }
  readonly generation_config?: { readonly eos_token_id?: number | readonly number[] | null } | null
  sessions: Record<string, unknown>
  generate(inputs: Inputs): Promise<unknown>
  forward(inputs: Inputs): Promise<unknown>
}

const isSet = <T>(value: T): value is NonNullable<T> => value !== undefined && value !== null

/** The parts of a model that this library reaches into. */
export const partsOf = (model: PreTrainedModel): ModelParts => model as unknown as ModelParts

/**
 * Puts `session` in the place of the model's encoder session and overrides this one model's `generate` and `forward`.
 * @throws {UnsupportedError} `model-attached` when it already has an attachment
 */
export function attachSession(model: PreTrainedModel, session: EncoderSession, options: AttachOptions = {}): Attachment {
  const parts = partsOf(model)
  if (Object.hasOwn(parts, 'generate'))
    throw new UnsupportedError('model-attached', 'This model already has soft prompts attached; add to its bank, or detach() first.')
  const { generate, forward } = parts
  parts.sessions['model'] = session

  const join = (inputs: Inputs): { readonly joined: boolean; readonly inputs: Inputs } => {
    const { soft_prompt: asked, ...rest } = inputs
    const fallback = typeof options.fallback === 'function' ? options.fallback : () => options.fallback ?? null
    if (isSet(rest['encoder_outputs'])) {
      if (isSet(asked)) {
        throw new ConfigError(
          'prompt-encoder-outputs',
          'soft_prompt was given beside encoder_outputs, which are already encoded; encode with the prompt and leave soft_prompt out.',
        )
      }
      return { joined: false, inputs: rest }
    }
    const choice = (asked === undefined ? fallback() : asked) as PromptChoice
    return choice === null
      ? { joined: false, inputs: rest }
      : { joined: true, inputs: joinInputs(rest, choice, session, parts.config.pad_token_id ?? 0) }
  }

  parts.generate = async (given) => {
    const { joined, inputs } = join(given)
    if (!joined) return generate.call(parts, inputs)
    if (Number(inputs['guidance_scale'] ?? 0) > 1) {
      throw new UnsupportedError(
        'prompt-guidance',
        'transformers.js 4.3 has no classifier-free guidance for T5, with or without prompts; leave guidance_scale out.',
      )
    }
    const eos = endIds(parts, inputs)
    const prefix = (inputs['decoder_input_ids'] as { dims?: number[] } | undefined)?.dims?.at(-1) ?? 1
    const made = await generate.call(parts, {
      ...inputs,
      logits_processor: [...iterated(inputs['logits_processor']), checkedScores],
      stopping_criteria: [endedAtOwnEnd(eos, prefix), ...criteria(inputs['stopping_criteria'])],
    })
    const trim = (rows: Tensor): Tensor => trimRows(rows, eos, prefix, parts.config.pad_token_id ?? 0)
    const dict = made as { sequences?: Tensor }
    return dict.sequences === undefined ? trim(made as Tensor) : { ...dict, sequences: trim(dict.sequences) }
  }
  parts.forward = (given) => forward.call(parts, join(given).inputs)

  return {
    bank: session.bank,
    session,
    warnings: session.dynamicallyQuantized ? [MIXED_ROWS] : [],
    detach() {
      delete (parts as Partial<ModelParts>).generate
      delete (parts as Partial<ModelParts>).forward
    },
  }
}

/** Rows of one batch as virtual tokens, text and pads. */
function joinInputs(inputs: Inputs, choice: string | readonly (string | null)[], session: EncoderSession, padId: number): Inputs {
  const { inputs: alias, input_ids = alias, attention_mask, ...rest } = inputs as Record<string, Tensor | undefined>
  if (!isSet(input_ids))
    throw new ConfigError('prompt-input', 'soft_prompt needs input_ids: tokenize the text, or call the pipeline with text.')
  const rows = tokenRows(input_ids, attention_mask, padId)
  const names = typeof choice === 'string' ? Array<string>(rows.ids.shape[0] ?? 0).fill(choice) : choice
  const prompts = names.map((name) => (name === null ? null : session.bank.tokens(name)))
  const joined = joinPrompts(rows, prompts, session.vocabSize, padId)
  // The caller's tensor brings its class along, so no second copy of transformers.js can slip in.
  const TensorClass = input_ids.constructor as new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => Tensor
  return {
    ...rest,
    input_ids: new TensorClass('int64', joined.ids.data, joined.ids.shape),
    attention_mask: new TensorClass('int64', joined.mask.data, joined.mask.shape),
  }
}

/** The ids that end a row: the call's, the generation config's, the model's. */
function endIds(model: ModelParts, inputs: Inputs): readonly number[] {
  const config = inputs['generation_config'] as { eos_token_id?: number | number[] } | null | undefined
  const eos =
    (inputs['eos_token_id'] as number | number[] | undefined) ??
    config?.eos_token_id ??
    model.generation_config?.eos_token_id ??
    model.config.eos_token_id
  return isSet(eos) ? ([eos].flat() as number[]) : []
}

/** The next token's scores as they come, once they are seen to be numbers. */
function checkedScores(_: unknown, scores: Tensor): Tensor {
  for (const score of scores.data as Iterable<number>) if (Number.isNaN(score)) throw scoresNotFinite()
  return scores
}

const iterated = (given: unknown): readonly unknown[] => (isSet(given) ? [...(given as Iterable<unknown>)] : [])

/** Stopping criteria as transformers.js takes them: none, one (a callable), or a list. */
function criteria(given: unknown): readonly unknown[] {
  if (!isSet(given)) return []
  return Symbol.iterator in (given as object) ? [...(given as Iterable<unknown>)] : [given]
}
