/** Where a prompt lies: a path as it stands, or a Hub id that is pulled first. */
import { parsePromptId } from '../../src/prompt/prompt-id.ts'
import { exists } from '../disk/read.ts'
import { placeOfAddress } from '../hub/named-place.ts'
import type { PullRepositoryOptions } from './pull.ts'

/**
 * A path that exists is taken as it is, `owner/name`, `owner/name#folder` or the address of its page is pulled; anything else is returned for `openPrompt` to refuse.
 * @throws {HubError} where the Hub says no; {ConfigError} `hub-url`
 */
export async function findPrompt(source: string, options: Omit<PullRepositoryOptions, 'repo'> = {}): Promise<string> {
  // `packs/reviews#mood` is a prompt of a folder, where that is there.
  if ((await exists(source)) || (await exists(source.replace(/#.*/, '')))) return source
  const place = placeOfAddress(source, options.revision, options.hubUrl) ?? parsePromptId(source)
  if (place === undefined) return source
  // Loaded only for this: most prompts lie in folders.
  const { pullRepository } = await import('./pull.ts')
  return (await pullRepository({ ...options, ...place })).dir
}
