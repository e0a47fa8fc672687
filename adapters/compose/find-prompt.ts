/** Where a prompt lies: a path as it stands, or a Hub id that is pulled first. */
import { stat } from 'node:fs/promises'
import { placeOfAddress } from '../hub/named-place.ts'
import { pullRepository, type PullRepositoryOptions } from './pull.ts'

const HUB_ID = /^[\w.-]+\/[\w.-]+$/

/**
 * A path that exists is taken as it is, `owner/name` or the address of its page is pulled; anything else is returned for `openPrompt` to refuse.
 * @throws {HubError} where the Hub says no; {ConfigError} `hub-url`
 */
export async function findPrompt(source: string, options: Omit<PullRepositoryOptions, 'repo'> = {}): Promise<string> {
  const there = await stat(source).catch(() => undefined)
  const place = there === undefined ? placeOfAddress(source, options.revision, options.hubUrl) : undefined
  if (place) return (await pullRepository({ ...options, ...place })).dir
  if (there !== undefined || !HUB_ID.test(source) || /^\.\.?\//.test(source)) return source
  return (await pullRepository({ ...options, repo: source })).dir
}
