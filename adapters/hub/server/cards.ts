/** Cards as a hub reads them: a stranger's text, and the whole hub waits while one is read. So little of it is, and what is not is said. */
import { readFile } from 'node:fs/promises'
import { checkCardData, readCardData, splitCard } from '../../../src/card/front-matter.ts'
import { SoftPromptError } from '../../../src/errors.ts'
import type { JsonObject } from './http.ts'
import { CARD_BYTES, FRONT_MATTER_CHARACTERS } from './limits.ts'
import type { Entry, Repository } from './repository.ts'

export const CARD = 'README.md'

export interface CheckedCard {
  /** Its front matter; `{}` where there is none, it is not sound, or longer than is read here. */
  readonly data: JsonObject
  /** Why huggingface.co would refuse it. */
  readonly errors: readonly string[]
  readonly warnings: readonly string[]
}

/** Reads the front matter of a card, if it is of a length that is read here, in time by its length. */
export function checkCard(text: string): CheckedCard {
  const { yaml } = splitCard(text)
  if (yaml.length > FRONT_MATTER_CHARACTERS) {
    const words = `the front matter is longer than ${FRONT_MATTER_CHARACTERS} characters, and is not read by this hub`
    return { data: {}, errors: [], warnings: [words] }
  }
  try {
    const data = readCardData(text, true)
    const warnings = Object.keys(data).length === 0 ? ['empty or missing yaml metadata in repo card'] : []
    return { data, errors: checkCardData(data), warnings }
  } catch (error) {
    if (!(error instanceof SoftPromptError)) throw error
    return { data: {}, errors: [error.message], warnings: [] }
  }
}

/** A card's text; '' where it is larger than any that is read here. */
export const readCard = async (repository: Repository, entry: Entry): Promise<string> =>
  entry.size > CARD_BYTES ? '' : readFile(repository.blobPath(entry), 'utf8')
