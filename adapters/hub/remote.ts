/** What a repository on the Hub holds, through @huggingface/hub: loaded when it lists, as a pull of what is cached lists nothing. */
import { HubError, SoftPromptError } from '../../src/errors.ts'
import { boundedFetch, MOST_ENTRIES, MOST_FILES } from './bounds.ts'
import type { Digest } from './digest.ts'
import { quoted, reasonOf, shownUrl } from './errors.ts'
import { askJson, hubFetch, type HubAccess } from './fetch.ts'
import { checkListedPath } from './files.ts'
import { systemClock } from './retry.ts'

export type { Digest } from './digest.ts'

export type RepoType = 'model' | 'dataset'

export interface RepoRef {
  readonly type: RepoType
  readonly name: string
}

export interface RemoteFile {
  readonly path: string
  readonly size: number
  readonly digest: Digest
}

/** Parameters of every call to @huggingface/hub; it refuses tokens that do not start with `hf_`, so the header is ours. */
export const clientParameters = (access: HubAccess): { hubUrl: string; fetch: typeof fetch } => ({
  hubUrl: access.hubUrl,
  fetch: hubFetch(access),
})

/** Runs a call of @huggingface/hub; what it throws for an answer it cannot use becomes a coded error. */
export async function viaClient<T>(access: HubAccess, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SoftPromptError || access.signal?.aborted) throw error
    throw new HubError(
      'hub-answer',
      `${shownUrl(access.hubUrl)} gave an answer that is not a hub's (${reasonOf(error)}); check HF_ENDPOINT and proxies, then try again.`,
      { cause: error },
    )
  }
}

/** A full commit id: what it names never changes. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/**
 * The commit that a branch, tag or commit stands for now.
 * @throws {HubError} `hub-repo-not-found` | `hub-revision-not-found` | …
 */
export async function resolveCommit(access: HubAccess, repo: RepoRef, revision: string): Promise<string> {
  const url = `${access.hubUrl}/api/${repo.type}s/${repo.name}/revision/${encodeURIComponent(revision)}?expand=sha`
  const answer = await askJson(access, url)
  const sha = typeof answer === 'object' && answer !== null && 'sha' in answer ? answer.sha : undefined
  if (typeof sha === 'string' && isCommit(sha)) return sha
  throw new HubError('hub-answer', `${access.hubUrl} names no commit for ${repo.name} at "${revision}"; it does not seem to be a hub.`)
}

/** The same for calls that list page by page. */
export const listingParameters = (access: HubAccess, what: string): { hubUrl: string; fetch: typeof fetch } => ({
  hubUrl: access.hubUrl,
  fetch: boundedFetch(hubFetch(access), access.clock ?? systemClock, what),
})

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function digestOf({ oid, lfs }: Record<string, unknown>): Digest | undefined {
  if (lfs === undefined || lfs === null)
    return typeof oid === 'string' && /^[0-9a-f]{40}$/.test(oid) ? { algorithm: 'git', hex: oid } : undefined
  const sha256 = isObject(lfs) && typeof lfs['oid'] === 'string' ? lfs['oid'].replace(/^sha256:/, '') : ''
  return /^[0-9a-f]{64}$/.test(sha256) ? { algorithm: 'sha256', hex: sha256 } : undefined
}

/** What the hub says of a file, of whatever form. @throws {HubError} `hub-answer` | `hub-unsafe-path` */
function parseEntry(entry: Record<string, unknown>, where: string): RemoteFile {
  const { path, size } = entry
  const digest = digestOf(entry)
  if (typeof path === 'string' && digest !== undefined && typeof size === 'number' && Number.isSafeInteger(size) && size >= 0)
    return { path: checkListedPath(path), size, digest }
  const which = typeof path === 'string' ? quoted(path, 100) : 'a file without a name'
  throw new HubError('hub-answer', `${where} gives no usable name, size and digest for ${which}; it does not seem to be a hub.`)
}

/**
 * All files at a commit, with sizes and digests.
 * @throws {HubError} `hub-answer` | `hub-unsafe-path` | `hub-endless` | …
 */
export async function listRemote(access: HubAccess, repo: RepoRef, commit: string): Promise<RemoteFile[]> {
  const { listFiles } = await import('@huggingface/hub')
  const where = `${shownUrl(access.hubUrl)}, asked for the files of ${repo.name},`
  return viaClient(access, async () => {
    const files: RemoteFile[] = []
    let entries = 0
    const parameters = listingParameters(access, `files of ${repo.name}`)
    for await (const entry of listFiles({ ...parameters, repo, revision: commit, recursive: true })) {
      entries += 1
      const value: unknown = entry
      if (!isObject(value)) throw new HubError('hub-answer', `${where} answers with something else; it does not seem to be a hub.`)
      if (value['type'] === 'file') files.push(parseEntry(value, where))
      if (files.length > MOST_FILES || entries > MOST_ENTRIES)
        throw new HubError(
          'hub-too-many-files',
          `${repo.name} holds more than ${files.length > MOST_FILES ? `${MOST_FILES} files` : `${MOST_ENTRIES} files and folders`}.`,
        )
    }
    return files
  })
}
