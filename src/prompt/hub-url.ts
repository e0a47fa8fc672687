/** Addresses of the Hub's pages as people paste them: `https://huggingface.co/OWNER/NAME`, with a revision and a file behind it. */
import { ConfigError } from '../errors.ts'

/** What of the Hub an address names. */
export interface HubPlace {
  readonly repo: string
  /** Branch, tag or commit, where the address names one. */
  readonly revision?: string
  /** Folder of the repository, where the address is the page of one. */
  readonly folder?: string
}

/** The public Hub's names. */
const PUBLIC = ['huggingface.co', 'www.huggingface.co', 'hf.co']

export type HubKind = 'model' | 'dataset'

const KINDS: Readonly<Record<HubKind, string>> = { model: 'a model', dataset: 'a data set' }
/** What stands before the owner of a data set. */
const DATASETS = 'datasets'

/** What stands at the place of an owner and is none. */
const OTHERS: Readonly<Record<string, string>> = {
  spaces: 'a space',
  collections: 'a collection',
  papers: 'a paper',
  docs: 'a page of the documentation',
  blog: 'a page of the blog',
  api: 'an address of the API',
}

/** Pages of a repository whose next part is a revision. */
const AT_REVISION = new Set(['tree', 'blob', 'resolve', 'raw', 'commit', 'commits', 'blame'])

/** Parts of a path without their escapes; undefined where these are none. */
function decoded(parts: readonly string[]): string[] | undefined {
  try {
    return parts.map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/**
 * The repository that an address names; undefined for a text that is no address.
 * @param hubUrl the Hub in use, whose addresses count besides the public one's
 * @param kind what the address should name
 * @throws {ConfigError} `hub-url` for an address of another place, or of another kind
 */
export function parseHubUrl(text: string, hubUrl = 'https://huggingface.co', kind: HubKind = 'model'): HubPlace | undefined {
  const own = new URL(hubUrl)
  const hosts = [...PUBLIC, own.host]
  const bare = hosts.find((host) => text.startsWith(`${host}/`))
  if (bare === undefined && !/^https?:\/\//i.test(text)) return undefined
  const refuse = (what: string): never => {
    throw new ConfigError(
      'hub-url',
      `${text} ${what}. Give OWNER/NAME, or the address of its page, as ${own.origin}/${kind === 'dataset' ? `${DATASETS}/` : ''}OWNER/NAME.`,
      {
        facts: { url: text },
      },
    )
  }
  const address = bare === undefined ? text : `https://${text}`
  const url = URL.canParse(address) ? new URL(address) : refuse('is no address')
  if (!hosts.includes(url.host)) refuse(`is not of this Hub (${own.host})`)
  // A hub may lie below a path of its host.
  const below = own.host === url.host ? own.pathname.replace(/\/+$/, '') : ''
  const parts = url.pathname
    .slice(url.pathname.startsWith(`${below}/`) ? below.length : 0)
    .split('/')
    .filter(Boolean)
  const named: HubKind = parts[0] === DATASETS ? 'dataset' : 'model'
  const [owner = '', name, page, ...rest] = named === 'dataset' ? parts.slice(1) : parts
  const other = Object.hasOwn(OTHERS, owner) ? OTHERS[owner] : named === kind ? undefined : KINDS[named]
  if (other !== undefined) refuse(`is ${other}, not ${KINDS[kind]}`)
  if (name === undefined) refuse('names no repository')
  const repo = `${owner}/${name}`
  if (page === undefined || !AT_REVISION.has(page) || rest.length === 0) return { repo }
  const [revision = '', ...path] = decoded(rest) ?? refuse('is no address')
  return { repo, revision, ...(page === 'tree' && path.length > 0 ? { folder: path.join('/') } : {}) }
}
