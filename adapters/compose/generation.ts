/** How a prompt's texts are generated: as told, else as its manifest says, else as it was trained. */
import { alike } from '../../src/decode/alike.ts'
import { ConfigError } from '../../src/errors.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'

export interface Generation {
  readonly maxNewTokens: number
  /** Continuations followed side by side; 1 is greedy. */
  readonly beams: number
}

/** Tokens generated for a prompt that says nothing of its targets. */
const MOST_TOKENS = 64

/** @throws {ConfigError} `max-new-tokens` */
export function generationOf(manifest: Manifest | undefined, given: Partial<Generation>): Generation {
  const own = (name: string): number | undefined => {
    const value = manifest?.generation?.[name]
    return typeof value === 'number' ? value : undefined
  }
  const maxNewTokens = given.maxNewTokens ?? own('max_new_tokens') ?? manifest?.recipe?.maxTargetTokens ?? MOST_TOKENS
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new ConfigError('max-new-tokens', `At most ${maxNewTokens} tokens were to be generated: expected a whole number of at least 1.`, {
      facts: { got: maxNewTokens },
    })
  }
  return { maxNewTokens, beams: given.beams ?? own('num_beams') ?? 1 }
}

/** Indices of those that are answered together: alike in label words, or in how their text is generated. */
export const groupsOf = (
  each: readonly { readonly labels: readonly string[] | undefined; readonly generation: Generation }[],
): number[][] => alike(each, ({ labels, generation }) => labels ?? generation)
