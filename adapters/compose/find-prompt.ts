/** Where a prompt lies: a path as it stands, or a Hub id that is pulled first. */
import { stat } from 'node:fs/promises'
import { pullRepository, type PullRepositoryOptions } from './pull.ts'

const HUB_ID = /^[\w.-]+\/[\w.-]+$/

/**
 * A path that exists is taken as it is, `owner/name` is pulled; anything else is returned for `openPrompt` to refuse.
 * @throws {HubError} where the Hub says no
 */
export async function findPrompt(source: string, options: Omit<PullRepositoryOptions, 'repo'> = {}): Promise<string> {
  const there = await stat(source).catch(() => undefined)
  if (there !== undefined || !HUB_ID.test(source) || /^\.\.?\//.test(source)) return source
  return (await pullRepository({ ...options, repo: source })).dir
}
