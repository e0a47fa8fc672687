/** Pushes a soft prompt as one commit: validated first, nothing sent when nothing changed, nobody's change overwritten. */
import { commit, createBranch, createRepo } from '@huggingface/hub'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { filesBelow } from '../disk/read.ts'
import { gitBlobId, sha256 } from './digest.ts'
import { refusedError } from './errors.ts'
import type { HubAccess } from './fetch.ts'
import { checkRepoId, promptFileLimit, selectPromptFiles } from './files.ts'
import { clientParameters, listRemote, resolveCommit, viaClient, type RemoteFile, type RepoRef } from './remote.ts'

/** Bytes by path: of a prompt, read once. */
export type PromptFiles = ReadonlyMap<string, Uint8Array>

export interface PushFilesOptions extends HubAccess {
  readonly repo: string
  readonly branch?: string
  /** Used when the repository is created. */
  readonly private?: boolean
  readonly message?: string
  /** Open a pull request instead of committing to the branch. */
  readonly pullRequest?: boolean
  /** The commit that the change builds on; default: what the branch holds when the push starts. */
  readonly parentCommit?: string
  /** Make the plan and send nothing. */
  readonly dryRun?: boolean
  readonly onStep?: (step: 'reading' | 'comparing' | 'creating' | 'branching' | 'sending' | 'done') => void
}

export interface PushOptions extends PushFilesOptions {
  readonly dir: string
  /** Reads the files that are about to be sent as a prompt, and throws where they are none. */
  readonly validate?: (files: PromptFiles) => Promise<unknown>
}

export interface PushPlan {
  readonly add: readonly string[]
  readonly change: readonly string[]
  readonly remove: readonly string[]
  readonly same: readonly string[]
  /** Bytes of what is added and changed. */
  readonly sendBytes: number
}

export interface Pushed {
  readonly repo: string
  readonly branch: string
  /** The branch's commit afterwards; absent in a dry run for a repository that does not exist yet. */
  readonly commit?: string
  readonly url: string
  readonly pullRequestUrl?: string
  readonly created: boolean
  readonly plan: PushPlan
}

interface LocalFile {
  readonly path: string
  readonly size: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/**
 * Reads the files of a prompt's folder that a repository may hold, each once: what is checked, compared and sent is these bytes.
 * @throws {HubError} `hub-not-a-prompt` | `hub-file-too-large` | `hub-too-many-files`
 */
export async function readPromptFiles(dir: string): Promise<PromptFiles> {
  const names = (await filesBelow(dir).catch(() => [])).filter((path) => promptFileLimit(path) !== undefined)
  const sized = await Promise.all(names.map(async (path) => ({ path, size: (await stat(join(dir, path))).size })))
  const chosen = selectPromptFiles(sized, dir)
  return new Map(await Promise.all(chosen.map(async ({ path }) => [path, new Uint8Array(await readFile(join(dir, path)))] as const)))
}

/** The files as they are compared and sent, in the order of their names. A file may have grown since it was measured. */
function localFiles(files: PromptFiles, repo: string): LocalFile[] {
  const local = [...files].map(([path, bytes]) => ({ path, size: bytes.length, bytes: bytes as Uint8Array<ArrayBuffer> }))
  return selectPromptFiles(local, `What is to be pushed to ${repo}`).toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

const isSame = (local: LocalFile, { digest, size }: RemoteFile): boolean =>
  size === local.size && digest.hex === (digest.algorithm === 'sha256' ? sha256(local.bytes) : gitBlobId(local.bytes))

/** A card made by hand on the Hub stays where the folder has none; so does a licence. */
const KEPT = /^(README\.md|LICENSE|NOTICE)/

function makePlan(local: readonly LocalFile[], remote: readonly RemoteFile[]): PushPlan {
  const there = new Map(remote.map((file) => [file.path, file]))
  const here = new Set(local.map(({ path }) => path))
  const changed = local.filter((file) => {
    const other = there.get(file.path)
    return other !== undefined && !isSame(file, other)
  })
  const added = local.filter(({ path }) => !there.has(path))
  const touched = new Set([...changed, ...added])
  return {
    add: added.map(({ path }) => path),
    change: changed.map(({ path }) => path),
    remove: remote.filter(({ path }) => promptFileLimit(path) !== undefined && !here.has(path) && !KEPT.test(path)).map(({ path }) => path),
    same: local.filter((file) => !touched.has(file)).map(({ path }) => path),
    sendBytes: [...touched].reduce((sum, { size }) => sum + size, 0),
  }
}

interface Sent {
  readonly oid: string
  readonly pullRequestUrl?: string
}

const isEmpty = ({ add, change, remove }: PushPlan): boolean => add.length + change.length + remove.length === 0

const hasCode = (error: unknown, ...codes: string[]): error is HubError => error instanceof HubError && codes.includes(error.code)

/** The branch's commit; undefined where the repository or the branch is still to be made. */
async function findHead(
  options: PushFilesOptions,
  repo: RepoRef,
  branch: string,
): Promise<{ head?: string; missing?: 'repository' | 'branch' }> {
  try {
    return { head: await resolveCommit(options, repo, branch) }
  } catch (error) {
    if (hasCode(error, 'hub-repo-not-found')) return { missing: 'repository' }
    if (hasCode(error, 'hub-revision-not-found')) return { missing: 'branch' }
    throw error
  }
}

/** Makes the repository; one that exists by now (a lost answer, another pusher) is as good. */
async function create(options: PushFilesOptions, repo: RepoRef): Promise<void> {
  const parameters = { ...clientParameters(options), repo, accessToken: 'hf_replaced_by_clientParameters' }
  try {
    await viaClient(options, () =>
      createRepo({
        ...parameters,
        ...(options.private === undefined ? {} : { visibility: options.private ? ('private' as const) : ('public' as const) }),
      }),
    )
  } catch (error) {
    if (!hasCode(error, 'hub-conflict')) throw error
  }
}

async function branchOff(options: PushFilesOptions, repo: RepoRef, branch: string): Promise<void> {
  try {
    await viaClient(options, () => createBranch({ ...clientParameters(options), repo, branch }))
  } catch (error) {
    if (!hasCode(error, 'hub-conflict')) throw error
  }
}

const defaultMessage = ({ add, change, remove }: PushPlan): string =>
  change.length + remove.length === 0
    ? `Upload soft prompt (${add.length} files)`
    : `Update soft prompt (${[...change, ...add, ...remove].join(', ').slice(0, 150)})`

async function send(
  options: PushFilesOptions,
  repo: RepoRef,
  branch: string,
  parentCommit: string,
  local: readonly LocalFile[],
  plan: PushPlan,
): Promise<Sent> {
  const touched = new Set([...plan.add, ...plan.change])
  const output = await viaClient(options, () =>
    commit({
      ...clientParameters(options),
      repo,
      branch,
      parentCommit,
      title: options.message ?? defaultMessage(plan),
      isPullRequest: options.pullRequest ?? false,
      // Xet would chunk and hash in a web assembly module what is a few megabytes; plain LFS is verified by sha256 on arrival.
      useXet: false,
      operations: [
        ...local
          .filter(({ path }) => touched.has(path))
          .map(({ path, bytes }) => ({ operation: 'addOrUpdate' as const, path, content: new Blob([bytes]) })),
        ...plan.remove.map((path) => ({ operation: 'delete' as const, path })),
      ],
    }),
  )
  if (output === undefined || !/^[0-9a-f]{40}$/.test(output.commit.oid))
    throw new HubError('hub-answer', `${options.hubUrl} did not name the commit it made.`)
  return { oid: output.commit.oid, ...(output.pullRequestUrl === undefined ? {} : { pullRequestUrl: output.pullRequestUrl }) }
}

/** The plan against what the branch holds now. */
async function compare(options: PushFilesOptions, repo: RepoRef, head: string | undefined, local: readonly LocalFile[]): Promise<PushPlan> {
  return makePlan(local, head === undefined ? [] : await listRemote(options, repo, head))
}

/** The commit was made and holds what was meant: a hub checks LFS objects only. */
async function verify(options: PushFilesOptions, repo: RepoRef, oid: string, local: readonly LocalFile[]): Promise<void> {
  if (isEmpty(await compare(options, repo, oid, local))) return
  throw new HubError(
    'hub-corrupt',
    `Commit ${oid} of ${repo.name} does not hold what was sent: something on the way changed it. Push again.`,
  )
}

/** Sends the commit; where its answer is lost, looks whether it arrived before sending it again. */
async function sendOnce(
  options: PushFilesOptions,
  repo: RepoRef,
  branch: string,
  head: string,
  local: readonly LocalFile[],
  plan: PushPlan,
): Promise<Sent> {
  const parent = options.parentCommit ?? head
  let sent: Sent
  try {
    sent = await send(options, repo, branch, parent, local, plan)
  } catch (error) {
    if (!(error instanceof HubError) || error.facts['uncertain'] !== true || options.pullRequest) throw error
    const now = await resolveCommit(options, repo, branch)
    if (now === head) sent = await send(options, repo, branch, parent, local, plan)
    else if (isEmpty(await compare(options, repo, now, local))) return { oid: now }
    else throw error
  }
  await verify(options, repo, sent.oid, local)
  return sent
}

/**
 * Pushes files as they are; what a prompt's may say is the caller's part (compose/push.ts). The branch afterwards holds the whole prompt, or what it held before.
 * @throws {HubError} `hub-unauthorized` | `hub-forbidden` | `hub-changed` | …
 */
export async function pushFiles(files: PromptFiles, options: PushFilesOptions): Promise<Pushed> {
  const { branch = 'main', dryRun = false, onStep } = options
  const repo: RepoRef = { type: 'model', name: checkRepoId(options.repo) }
  const url = `${options.hubUrl}/${repo.name}`
  const local = localFiles(files, repo.name)
  if (options.token === undefined && !dryRun) throw refusedError({ method: 'POST', url, status: 401, signedIn: false })
  onStep?.('comparing')
  const found = await findHead(options, repo, branch)
  const { missing } = found
  let { head } = found
  const created = missing === 'repository'
  if (missing !== undefined && !dryRun) {
    onStep?.(created ? 'creating' : 'branching')
    if (created) await create(options, repo)
    if (branch !== 'main') await branchOff(options, repo, branch)
    head = await resolveCommit(options, repo, branch)
  }
  const plan = await compare(options, repo, head, local)
  const result = { repo: repo.name, branch, url, created, plan }
  if (dryRun || isEmpty(plan) || head === undefined) {
    onStep?.('done')
    return { ...result, ...(head === undefined ? {} : { commit: head }) }
  }
  onStep?.('sending')
  const sent = await sendOnce(options, repo, branch, head, local, plan)
  onStep?.('done')
  return { ...result, commit: sent.oid, ...(sent.pullRequestUrl === undefined ? {} : { pullRequestUrl: sent.pullRequestUrl }) }
}

/**
 * Pushes a folder: its files, read once.
 * @throws {HubError} as `pushFiles`, `hub-not-a-prompt`, and what `validate` throws
 * @example await pushPrompt({ dir: './my-prompt', repo: 'me/t5-small-sst2', ...readHubEnvironment() })
 */
export async function pushPrompt(options: PushOptions): Promise<Pushed> {
  checkRepoId(options.repo)
  options.onStep?.('reading')
  const files = await readPromptFiles(options.dir)
  await options.validate?.(files)
  return pushFiles(files, options)
}
