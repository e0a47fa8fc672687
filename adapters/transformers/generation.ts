/** Which generation options are obeyed: transformers.js 4.3's own, or those of our beam search. What would be ignored is refused. */
import { UnsupportedError } from '../../src/errors.ts'

/** Options that transformers.js 4.3 takes for a T5 and does nothing with, by the value that asks for nothing (generation/configuration_utils.js). */
const IGNORED: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['num_beam_groups', 1],
  ['num_return_sequences', 1],
  ['diversity_penalty', 0],
  ['early_stopping', false],
  ['length_penalty', 1],
  ['exponential_decay_length_penalty', null],
  ['penalty_alpha', null],
  ['top_p', 1],
  ['typical_p', 1],
  ['epsilon_cutoff', 0],
  ['eta_cutoff', 0],
  ['encoder_repetition_penalty', 1],
  ['encoder_no_repeat_ngram_size', 0],
  ['force_words_ids', null],
  ['constraints', null],
  ['forced_decoder_ids', null],
  ['renormalize_logits', false],
  ['remove_invalid_values', false],
])

/** What beam search obeys. */
const OF_BEAMS: ReadonlySet<string> = new Set(['num_beams', 'max_new_tokens', 'length_penalty'])

type Options = Readonly<Record<string, unknown>>

const isSet = (value: unknown): boolean => value !== undefined && value !== null

const beamsOf = (options: Options): number => Number(options['num_beams'] ?? 1)

/** Names of options that the search they ask for does not obey. */
export function ignoredOptions(options: Options): string[] {
  const byBeams = beamsOf(options) !== 1
  return Object.entries(options).flatMap(([name, value]) => {
    const isObeyed = byBeams ? OF_BEAMS.has(name) : !IGNORED.has(name)
    return isObeyed || !isSet(value) || value === IGNORED.get(name) ? [] : [name]
  })
}

export type Generation =
  /** As transformers.js does it. */
  | { readonly search: 'stock'; readonly options: Options }
  | { readonly search: 'beams'; readonly beams: number; readonly maxNewTokens: number; readonly lengthPenalty: number }

/** What a transformers.js text pipeline generates at most by default. */
const MOST_NEW_TOKENS = 256

/**
 * How a call generates: by its own options, and by its prompts' defaults where it says nothing. Defaults that the search does not obey are left out.
 * @throws {UnsupportedError} `generation-option` for options of the call that would be ignored
 */
export function planGeneration(asked: Options, defaults: Options): Generation {
  const all: Options = { ...defaults, ...asked }
  const ignored = new Set(ignoredOptions(all))
  const beams = beamsOf(all)
  const refused = [...ignored].filter((name) => Object.hasOwn(asked, name))
  if (refused.length > 0) throw unobeyed(refused, beams)
  const options: Options = Object.fromEntries(Object.entries(all).filter(([name]) => !ignored.has(name)))
  if (beams === 1) return { search: 'stock', options }
  return {
    search: 'beams',
    beams,
    maxNewTokens: Number(options['max_new_tokens'] ?? MOST_NEW_TOKENS),
    lengthPenalty: Number(options['length_penalty'] ?? 1),
  }
}

function unobeyed(options: readonly string[], beams: number): UnsupportedError {
  const names = options.join(', ')
  const them = options.length === 1 ? 'it' : 'them'
  const message =
    beams === 1
      ? `${names} would be ignored: transformers.js 4 does nothing with ${them} here. Leave ${them} out; { num_beams: N, length_penalty: X } is a beam search, and one text is answered once.`
      : `A beam search (num_beams ${beams}) obeys max_new_tokens and length_penalty, not ${names}. Leave out ${names}, or say { num_beams: 1 }.`
  return new UnsupportedError('generation-option', message, { facts: { options } })
}
