/** `/api/models/R/refs`, `/branch/NAME`, `/tag/REV`, `/commits/REV`. */
import { openRepository, splitRevision, type Handler } from './call.ts'
import { badRequest, flagOf, readObject, Refusal, sendJson, textOf } from './http.ts'
import type { Repository } from './repository.ts'
import { checkRef } from './names.ts'

/** Commits of one answer; huggingface.co gives 50 a page. */
const COMMITS = 1000

const deleteRef = (repository: Repository, ref: string): Promise<void> =>
  repository.exclusive(async () => {
    await repository.need(ref)
    await repository.deleteRef(ref)
  })

export const listRefs: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const [branches, tags, pullRequests] = await Promise.all([repository.refs('heads'), repository.refs('tags'), repository.refs('pr')])
  sendJson(call.response, { branches, tags, converts: [], ...(call.query.has('include_prs') ? { pullRequests } : {}) })
}

export const createBranch: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const name = checkRef(call.rest.join('/'))
  if (name.startsWith('refs/')) throw badRequest(`"${name}" is not a valid name of a branch.`)
  const body = await readObject(call.request)
  await repository.exclusive(async () => {
    const ref = `refs/heads/${name}`
    const old = await repository.readRef(ref)
    if (old !== undefined && !flagOf(body, 'overwrite')) throw new Refusal(409, undefined, 'Reference already exists')
    const start = await repository.need(textOf(body, 'startingPoint', 'main'))
    const commit = await repository.readCommit(start)
    const empty = { ...commit, parent: null, title: 'initial commit', entries: [] }
    await repository.writeRef(ref, flagOf(body, 'emptyBranch') ? await repository.writeCommit(empty) : start)
  })
  sendJson(call.response, {})
}

export const deleteBranch: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const name = checkRef(call.rest.join('/'))
  if (name === 'main') throw new Refusal(403, undefined, 'The default branch cannot be deleted.')
  await deleteRef(repository, `refs/heads/${name}`)
  sendJson(call.response, {})
}

export const createTag: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const { commit } = await splitRevision(repository, call.rest)
  const tag = checkRef(textOf(await readObject(call.request), 'tag', ''))
  await repository.exclusive(async () => {
    if ((await repository.readRef(`refs/tags/${tag}`)) !== undefined) throw new Refusal(409, undefined, 'Tag reference exists already')
    await repository.writeRef(`refs/tags/${tag}`, commit)
  })
  sendJson(call.response, {})
}

export const deleteTag: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const ref = `refs/tags/${checkRef(call.rest.join('/'))}`
  await deleteRef(repository, ref)
  sendJson(call.response, {})
}

export const listCommits: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const { commit: start } = await splitRevision(repository, call.rest)
  const list = []
  for await (const { id, commit } of repository.history(start)) {
    list.push({ id, title: commit.title, message: commit.message, date: commit.date, authors: [{ user: commit.author }] })
    if (list.length >= COMMITS) break
  }
  sendJson(call.response, list)
}
