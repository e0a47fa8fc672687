/** Where a prompt begins: Lester et al. 2021 §3.2 and google-research/prompt-tuning `prompts.py`. Pure; the seed is all the chance there is. */
import { ConfigError } from '../errors.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import type { EmbeddingTable } from './fingerprint.ts'

/** The paper samples from the most common pieces, which SentencePiece puts first. */
export const COMMON_PIECES = 5000
/** Half the width of the random start: uniform in [-0.5, 0.5). */
export const RANDOM_HALF_WIDTH = 0.5

/** What initialisation needs of a tokenizer. */
export interface PieceEncoder {
  /** Text to piece ids with `</s>` at the end. */
  encode(text: string): readonly number[]
  readonly eosId: number
}

export interface InitialiseOptions {
  /**
   * `labels`: the mean of each label's pieces, the rest as `vocab`. `vocab`: embeddings of common pieces. `text`: the pieces of `words[0]`, over and over.
   * `prompt`: another prompt as it is.
   */
  readonly kind: 'labels' | 'vocab' | 'random' | 'text' | 'prompt'
  readonly length: number // P
  readonly table: EmbeddingTable
  /** Piece ids of each label word (or of the one text), without `</s>`. */
  readonly words?: readonly (readonly number[])[]
  /** Where `kind` is `prompt`: the matrix to begin from. */
  readonly prompt?: Tensor<'F32'> // [P, D]
  readonly seed: number
}

/**
 * The first prompt of a training run, `[P, D]`.
 * @throws {ConfigError} `init-labels` where label or text initialisation has no words, `init-shape` for a prompt of another shape
 */
export function initialise({ kind, length, table, words: given = [], prompt, seed }: InitialiseOptions): Tensor<'F32'> {
  const random = createRandom(seed)
  const { width } = table
  if (kind === 'prompt') return copyOf(prompt, length, width)
  if (kind === 'random') {
    return tensor(
      'F32',
      [length, width],
      Float32Array.from({ length: length * width }, () => random.uniform() - RANDOM_HALF_WIDTH),
    )
  }
  const words = given.filter((ids) => ids.length > 0)
  if (kind === 'text') {
    const [ids] = words
    if (!ids)
      throw new ConfigError('init-labels', 'Text initialisation needs a text, and there is none. Give one, or begin from the vocabulary.', {
        facts: { options: ['initText', 'init'] },
      })
    return tensor('F32', [length, width], table.rows(Array.from({ length }, (_, row) => ids[row % ids.length] as number)))
  }
  if (kind === 'labels' && words.length === 0) {
    throw new ConfigError(
      'init-labels',
      'Label initialisation needs label words, and the data has none that repeat. Name them, or begin from the vocabulary.',
      { facts: { options: ['labels', 'init'] } },
    )
  }
  const rows = table.rows(sample(random, Math.min(COMMON_PIECES, table.vocabSize), length))
  if (kind === 'labels') for (const [row, ids] of words.slice(0, length).entries()) rows.set(meanRow(table, ids), row * width)
  return tensor('F32', [length, width], rows)
}

function copyOf(prompt: Tensor<'F32'> | undefined, length: number, width: number): Tensor<'F32'> {
  const shape = prompt?.shape ?? []
  if (prompt && shape[0] === length && shape[1] === width) return tensor('F32', shape, prompt.data.slice())
  throw new ConfigError(
    'init-shape',
    `The prompt to begin from is [${shape.join(', ')}], this run needs [${length}, ${width}]. Set the length to ${shape[0] ?? length}, or take another prompt.`,
    { facts: { shape, expected: [length, width], options: ['length', 'init'] } },
  )
}

/** The mean of some rows of the table, [D]. */
function meanRow(table: EmbeddingTable, ids: readonly number[]): Float32Array {
  const rows = table.rows(ids)
  return Float32Array.from({ length: table.width }, (_, column) => {
    let sum = 0
    for (let row = 0; row < ids.length; row++) sum += rows[row * table.width + column] as number
    return sum / ids.length
  })
}

/** `count` of the numbers below `pool`, none twice until all were drawn. */
function sample(random: Random, pool: number, count: number): number[] {
  const drawn: number[] = []
  while (drawn.length < count) {
    const rest = Array.from({ length: pool }, (_, id) => id)
    for (let at = 0; at < pool && drawn.length < count; at++) {
      const other = at + random.int(pool - at)
      const [a, b] = [rest[at] as number, rest[other] as number]
      rest[at] = b
      rest[other] = a
      drawn.push(b)
    }
  }
  return drawn
}
