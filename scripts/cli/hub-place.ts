/** Repositories as people name them: OWNER/NAME, or an address pasted from a browser. */
import { readHubEnvironment } from '../../adapters/hub/environment.ts'
import { ConfigError } from '../../src/errors.ts'
import { parseHubUrl, type HubPlace } from '../../src/prompt/hub-url.ts'

/**
 * The repository that a text names, and its revision.
 * @throws {ConfigError} `hub-url`, also where address and flag name several revisions
 */
export function hubPlace(text: string, revision?: string): HubPlace {
  const place = parseHubUrl(text, readHubEnvironment().hubUrl) ?? { repo: text }
  if (revision === undefined || revision === place.revision) return { ...place, ...(revision === undefined ? {} : { revision }) }
  if (place.revision === undefined) return { ...place, revision }
  throw new ConfigError('hub-url', `${text} names the revision ${place.revision}, and --revision ${revision}. Leave one out.`)
}
