/** A prompt's name on the Hub: OWNER/NAME, or OWNER/NAME#FOLDER for one that lies below the repository's top (as a pack's prompt is `pack.tar.gz#name`). */
import { isHubId } from './base-name.ts'

export interface PromptId {
  readonly repo: string
  readonly folder?: string
}

/** The parts of such a name; undefined for any other text. */
export function parsePromptId(text: string): PromptId | undefined {
  const [repo = '', folder, ...more] = text.split('#')
  if (!isHubId(repo) || folder === '' || more.length > 0) return undefined
  return { repo, ...(folder === undefined ? {} : { folder }) }
}
