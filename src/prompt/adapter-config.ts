/** PEFT's `adapter_config.json` for prompt learning (PEFT 0.21, `PromptLearningConfig`, `PromptTuningConfig`), read and written. */
import { ConfigError, FormatError, UnsupportedError } from '../errors.ts'
import { isObject, parseStrictJson, type Json } from '../tensor/strict-json.ts'

/** What of an adapter's configuration a soft prompt needs. */
export interface AdapterConfig {
  readonly peftType: string
  readonly taskType: string | undefined
  readonly base: string | undefined
  readonly revision: string | undefined
  /** P; PEFT may store 2P rows (see `submodules`). */
  readonly length: number
  readonly width: number | undefined // D
  /** Halves of the stored matrix: PEFT's default for encoder-decoders is 2, of which the second is never used. */
  readonly submodules: number | undefined
}

/** Larger prompts than any published: the longest of the paper has 150 tokens, T5 XXL a width of 4096. */
export const MAX_LENGTH = 10_000
export const MAX_WIDTH = 65_536

const wrong = (key: string, expected: string, got: Json | undefined): ConfigError =>
  new ConfigError('adapter-config-value', `adapter_config.json: ${key} has to be ${expected}, got ${JSON.stringify(got)?.slice(0, 80)}.`, {
    facts: { key, got },
  })

/** What to say of an adapter of the library `adapters` (AdapterHub), whose adapter_config.json is another one. */
export const adapterHub = (where: string): UnsupportedError =>
  new UnsupportedError(
    'adapter-hub',
    `${where} holds an adapter of AdapterHub's library "adapters", not of PEFT: its format is another one and is not read. Save the prompt's matrix in Python with numpy.save(path, prompt) and open that .npy.`,
  )

/** What to say of an adapter whose tensors lie in PEFT's older file only. */
export const pickled = (where: string): UnsupportedError =>
  new UnsupportedError(
    'peft-pickle',
    `${where} has its tensors only as adapter_model.bin, a pickle, which can run code when it is read. Save it again in Python: model.save_pretrained(folder) with a current PEFT writes adapter_model.safetensors.`,
  )

/**
 * Text of `adapter_config.json` to its meaning.
 * @throws {FormatError} `json-*` | `adapter-config`
 * @throws {UnsupportedError} `adapter-hub`
 * @throws {ConfigError} `adapter-config-value`
 */
export function parseAdapterConfig(text: string): AdapterConfig {
  const json = parseStrictJson(text, 'adapter_config.json')
  if (!isObject(json)) throw new FormatError('adapter-config', 'adapter_config.json holds no object: this is no PEFT adapter.')
  const text_ = (key: string): string | undefined => {
    const value = json[key]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string' || value.length > 500) throw wrong(key, 'a short text', value)
    return value
  }
  const count = (key: string, most: number): number | undefined => {
    const value = json[key]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
      throw wrong(key, `a whole number from 1 to ${most}`, value)
    return value
  }
  // What the library AdapterHub has made, by keys of its own.
  if (json['peft_type'] === undefined && (json['model_class'] !== undefined || json['config_id'] !== undefined))
    throw adapterHub('This folder')
  const peftType = text_('peft_type')
  if (peftType === undefined) throw wrong('peft_type', 'the name of a PEFT method', json['peft_type'])
  return {
    peftType,
    taskType: text_('task_type'),
    base: text_('base_model_name_or_path'),
    revision: text_('revision'),
    length: count('num_virtual_tokens', MAX_LENGTH) ?? 0,
    width: count('token_dim', MAX_WIDTH),
    submodules: count('num_transformer_submodules', 2),
  }
}

/** The version whose keys are written: a later PEFT reads them, an earlier one warns of none. */
export const PEFT_VERSION = '0.21.0'

export interface AdapterFacts {
  readonly base?: string
  readonly revision?: string
  readonly length: number // P
  readonly width: number // D
  /** Attention heads and layers of the encoder, where known. */
  readonly heads?: number
  readonly layers?: number
}

/** `adapter_config.json` as PEFT writes it for a plain prompt: sorted keys, two spaces, no final newline, no key of ours (PEFT warns of unknown ones). */
export function formatAdapterConfig({ base, revision, length, width, heads, layers }: AdapterFacts): string {
  const config = {
    auto_mapping: null,
    base_model_name_or_path: base ?? null,
    inference_mode: true,
    modules_to_save: null,
    num_attention_heads: heads ?? null,
    num_layers: layers ?? null,
    num_transformer_submodules: 1,
    num_virtual_tokens: length,
    peft_type: 'PROMPT_TUNING',
    peft_version: PEFT_VERSION,
    prompt_tuning_init: 'RANDOM',
    prompt_tuning_init_text: null,
    revision: revision ?? null,
    task_type: 'SEQ_2_SEQ_LM',
    token_dim: width,
    tokenizer_kwargs: null,
    tokenizer_name_or_path: null,
  }
  return JSON.stringify(config, null, 2)
}
