/** Prompts by name, as rows that token ids >= V select. Ids are given once and never again, so ids of a removed prompt are told apart. */
import { ConfigError, MismatchError } from '../errors.ts'
import { tensor, type Tensor } from '../tensor/tensor.ts'
import { lengthOf, widthOf, type SoftPrompt } from './soft-prompt.ts'

/** The virtual token ids of one prompt: V + start … V + start + length - 1. */
export interface VirtualTokens {
  readonly start: number
  readonly length: number // P
}

/** What a session is fed: ids that select from `rows`, which holds only the prompts that the ids use. */
export interface BankFeeds {
  readonly ids: BigInt64Array
  readonly rows: Tensor<'F32'> // [N, D], N >= 1
  /** Whether any id is virtual. */
  readonly prompted: boolean
}

export interface PromptBank {
  /** D; fixed by the first prompt where it was not given. */
  readonly width: number | undefined
  readonly names: readonly string[]
  has(name: string): boolean
  get(name: string): SoftPrompt
  add(name: string, prompt: SoftPrompt): void
  remove(name: string): void
  /** The virtual tokens of a prompt. @throws {ConfigError} `prompt-unknown` */
  tokens(name: string): VirtualTokens
  /** Says which D the prompts have to have. @throws {MismatchError} `prompt-width` when the bank's have another. */
  fit(width: number): void
  /** Checks ids against V + N and gathers the rows [N, D] they use. @throws {MismatchError} `bank-id` */
  feeds(ids: ArrayLike<bigint | number>, vocabSize: number, width: number): BankFeeds
}

interface Entry extends VirtualTokens {
  readonly name: string
  readonly prompt: SoftPrompt
}

/**
 * Makes a bank; prompts are added and removed at any time, and several sessions may share it.
 * @throws {ConfigError} `prompt-name`; {MismatchError} `prompt-width`
 */
export function createPromptBank(prompts: Readonly<Record<string, SoftPrompt>> = {}, width?: number): PromptBank {
  const entries = new Map<string, Entry>()
  let nextStart = 0
  let d = width

  const entryOf = (name: string): Entry => {
    const entry = entries.get(name)
    if (entry !== undefined) return entry
    const known = entries.size > 0 ? `there are: ${[...entries.keys()].join(', ')}` : 'there are none'
    throw new ConfigError('prompt-unknown', `No prompt is called "${name}"; ${known}.`, { facts: { name, known: [...entries.keys()] } })
  }

  const bank: PromptBank = {
    get width() {
      return d
    },
    get names() {
      return [...entries.keys()]
    },
    has: (name) => entries.has(name),
    get: (name) => entryOf(name).prompt,
    tokens: (name) => entryOf(name),
    add(name, prompt) {
      if (name === '') throw new ConfigError('prompt-name', 'A prompt in a bank needs a name.')
      if (entries.has(name))
        throw new ConfigError('prompt-name', `There is already a prompt called "${name}"; remove it first or choose another name.`, {
          facts: { name },
        })
      if (d !== undefined && widthOf(prompt) !== d) {
        throw new MismatchError(
          'prompt-width',
          `The prompt "${name}" was made for hidden size ${widthOf(prompt)}, this model has ${d}: it belongs to another base model.`,
          {
            facts: { name, expected: d, got: widthOf(prompt) },
          },
        )
      }
      d = widthOf(prompt)
      entries.set(name, { name, prompt, start: nextStart, length: lengthOf(prompt) })
      nextStart += lengthOf(prompt)
    },
    remove(name) {
      entries.delete(entryOf(name).name)
    },
    fit(needed) {
      if (d !== undefined && d !== needed) {
        throw new MismatchError(
          'prompt-width',
          `These prompts were made for hidden size ${d}, this model has ${needed}: they belong to another base model.`,
          {
            facts: { expected: needed, got: d },
          },
        )
      }
      d = needed
    },
    feeds: (ids, vocabSize, rowWidth) => feedsOf(ids, vocabSize, [...entries.values()], nextStart, rowWidth),
  }
  for (const [name, prompt] of Object.entries(prompts)) bank.add(name, prompt)
  return bank
}

function feedsOf(ids: ArrayLike<bigint | number>, vocabSize: number, entries: readonly Entry[], count: number, width: number): BankFeeds {
  const out = new BigInt64Array(ids.length)
  const used = new Map<Entry, number>() // first row in the feed
  let rowCount = 0
  let last: Entry | undefined
  for (let index = 0; index < ids.length; index++) {
    const id = Number(ids[index])
    if (id >= 0 && id < vocabSize) {
      out[index] = BigInt(id)
      continue
    }
    const row = id - vocabSize
    // Neighbours nearly always belong to one prompt.
    if (last === undefined || row < last.start || row >= last.start + last.length) {
      last = entries.find((entry) => row >= entry.start && row < entry.start + entry.length)
    }
    if (last === undefined) throw unknownId(id, vocabSize, count)
    let first = used.get(last)
    if (first === undefined) {
      first = rowCount
      used.set(last, first)
      rowCount += last.length
    }
    out[index] = BigInt(vocabSize + first + row - last.start)
  }
  // At least one row, all zeros: an empty Gather table is an error in every runtime.
  const data = new Float32Array(Math.max(1, rowCount) * width)
  for (const [{ prompt }, first] of used) data.set(prompt.embeddings.data, first * width)
  return { ids: out, rows: tensor('F32', [Math.max(1, rowCount), width], data), prompted: rowCount > 0 }
}

function unknownId(id: number, vocabSize: number, count: number): MismatchError {
  const why =
    id < 0 || !Number.isSafeInteger(id)
      ? 'is no token id'
      : id < vocabSize + count
        ? 'belongs to a prompt that was removed; ask for the ids again'
        : count === 0
          ? `is past the ${vocabSize} rows of the embedding table, and the bank is empty`
          : `is past the ${vocabSize} rows of the embedding table and the ${count} of the prompt bank`
  return new MismatchError('bank-id', `Token id ${id} ${why}.`, { facts: { id, vocabSize, bankRows: count } })
}
