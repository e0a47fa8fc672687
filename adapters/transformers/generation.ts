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

/** Names of options that no search here obeys. */
export function ignoredOptions(options: Options): string[] {
  const byBeams = Number(options['num_beams'] ?? 1) > 1
  return Object.entries(options).flatMap(([name, value]) => {
    if (!isSet(value) || !IGNORED.has(name) || value === IGNORED.get(name)) return []
    return byBeams && OF_BEAMS.has(name) ? [] : [name]
  })
}

export type Generation =
  /** As transformers.js does it. */
  | { readonly search: 'stock'; readonly options: Options }
  | { readonly search: 'beams'; readonly beams: number; readonly maxNewTokens: number; readonly lengthPenalty: number }

/** What a transformers.js text pipeline generates at most by default. */
const MOST_NEW_TOKENS = 256

/**
 * How a call generates: by its own options, and by its prompts' defaults where it says nothing.
 * @throws {UnsupportedError} `generation-option` for options that would be ignored
 */
export function planGeneration(asked: Options, defaults: Options): Generation {
  const ignored = ignoredOptions(asked)
  if (ignored.length > 0) {
    throw new UnsupportedError(
      'generation-option',
      `${ignored.join(', ')} would be ignored: transformers.js 4 does nothing with ${ignored.length === 1 ? 'it' : 'them'} here. ` +
        `Leave ${ignored.length === 1 ? 'it' : 'them'} out; { num_beams: N, length_penalty: X } is a beam search, and one text is answered once.`,
      { facts: { options: ignored } },
    )
  }
  const obeyed = Object.fromEntries(Object.entries(defaults).filter(([name]) => !ignoredOptions(defaults).includes(name)))
  const options: Options = { ...obeyed, ...asked }
  const beams = Number(options['num_beams'] ?? 1)
  if (beams === 1) return { search: 'stock', options }
  const others = Object.keys(asked).filter((name) => isSet(asked[name]) && !OF_BEAMS.has(name) && asked[name] !== IGNORED.get(name))
  if (others.length > 0) {
    throw new UnsupportedError(
      'generation-option',
      `A beam search (num_beams ${beams}) obeys max_new_tokens and length_penalty, not ${others.join(', ')}. Leave out ${others.join(', ')}, or say { num_beams: 1 }.`,
      { facts: { options: others } },
    )
  }
  return {
    search: 'beams',
    beams,
    maxNewTokens: Number(options['max_new_tokens'] ?? MOST_NEW_TOKENS),
    lengthPenalty: Number(options['length_penalty'] ?? 1),
  }
}
