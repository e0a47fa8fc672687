/** What a repository on the Hub holds, through @huggingface/hub: loaded when it lists, as a pull of what is cached lists nothing. */
import type { ListFileEntry } from '@huggingface/hub'
import { HubError, SoftPromptError } from '../../src/errors.ts'
import { reasonOf, shownUrl } from './errors.ts'
import { askJson, hubFetch, type HubAccess } from './fetch.ts'
import { checkRemotePath } from './files.ts'

export type RepoType = 'model' | 'dataset'

export interface RepoRef {
  readonly type: RepoType
  readonly name: string
}

/** How the bytes of a file are known: by sha256 (LFS), or by git's blob id. */
export interface Digest {
  readonly algorithm: 'sha256' | 'git'
  readonly hex: string
}

export interface RemoteFile {
  readonly path: string
  readonly size: number
  readonly digest: Digest
}

/** More files than any model has (the largest list a few thousand). */
const MOST_FILES = 20_000

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

function digestOf(entry: { readonly oid?: string; readonly lfs?: { readonly oid: string } }): Digest | undefined {
  const sha256 = entry.lfs?.oid.replace(/^sha256:/, '')
  if (sha256 !== undefined) return /^[0-9a-f]{64}$/.test(sha256) ? { algorithm: 'sha256', hex: sha256 } : undefined
  return entry.oid !== undefined && /^[0-9a-f]{40}$/.test(entry.oid) ? { algorithm: 'git', hex: entry.oid } : undefined
}

/**
 * All files at a commit, with sizes and digests.
 * @throws {HubError} `hub-answer` | `hub-unsafe-path` | …
 */
export async function listRemote(access: HubAccess, repo: RepoRef, commit: string): Promise<RemoteFile[]> {
  const { listFiles } = await import('@huggingface/hub')
  const entries = await viaClient(access, async () => {
    const all: ListFileEntry[] = []
    for await (const entry of listFiles({ ...clientParameters(access), repo, revision: commit, recursive: true })) {
      if (entry.type === 'file') all.push(entry)
      if (all.length > MOST_FILES) throw new HubError('hub-too-many-files', `${repo.name} holds more than ${MOST_FILES} files.`)
    }
    return all
  })
  return entries.map((entry) => {
    const digest = digestOf(entry)
    if (digest !== undefined && Number.isSafeInteger(entry.size) && entry.size >= 0)
      return { path: checkRemotePath(entry.path), size: entry.size, digest }
    throw new HubError(
      'hub-answer',
      `${shownUrl(access.hubUrl)} gives no usable size and digest for ${JSON.stringify(entry.path)} of ${repo.name}.`,
    )
  })
}
