/** Repositories as people name them: OWNER/NAME, or an address of the Hub's pages. */
import { ConfigError } from '../../src/errors.ts'
import { parseHubUrl, type HubKind, type HubPlace } from '../../src/prompt/hub-url.ts'
import { readHubEnvironment } from './environment.ts'

/**
 * The repository that an address names, of the environment's Hub or the public one; undefined for a text that is no address.
 * @param revision asked for beside the address
 * @param kind what it should name; default: a model
 * @throws {ConfigError} `hub-url`, also where address and `revision` name two
 */
export function placeOfAddress(text: string, revision?: string, hubUrl?: string, kind?: HubKind): HubPlace | undefined {
  // An address has a host before owner and name.
  if (text.split('/').length < 3) return undefined
  const place = parseHubUrl(text, hubUrl ?? readHubEnvironment().hubUrl, kind)
  if (place === undefined || revision === undefined || revision === place.revision) return place
  if (place.revision === undefined) return { ...place, revision }
  throw new ConfigError('hub-url', `${text} names the revision ${place.revision}, and ${revision} is asked for beside it. Leave one out.`, {
    facts: { url: text, revision },
  })
}
