/** The table of addresses. The first pattern whose method and pieces fit is taken; `*` is any piece, the last may stand for all that follow. */
import { validateYaml, whoAmI } from './account-routes.ts'
import type { Call, Handler, RepoAddress } from './call.ts'
import { Refusal } from './http.ts'
import { listRepositories, repositoryInfo } from './info.ts'
import { lfsBatch, lfsPut, lfsVerify } from './lfs.ts'
import { decodePart, isKind } from './names.ts'
import { createBranch, createTag, deleteBranch, deleteTag, listCommits, listRefs } from './refs.ts'
import { browse, cardPage, filesPage } from './pages/pages.ts'
import { changeSettings, createRepository, deleteRepository } from './repos.ts'
import { rawFile, resolveFile } from './resolve.ts'
import { listTree, pathsInfo } from './tree.ts'
import { commit, preupload } from './upload.ts'

/** `/api/KIND/OWNER/NAME/VERB/…`, by method and verb; the empty verb is the repository itself. */
const API: Readonly<Record<string, Handler>> = {
  'GET ': repositoryInfo,
  'GET revision': repositoryInfo,
  'GET tree': listTree,
  'POST paths-info': pathsInfo,
  'POST preupload': preupload,
  'POST commit': commit,
  'GET commits': listCommits,
  'GET refs': listRefs,
  'POST branch': createBranch,
  'DELETE branch': deleteBranch,
  'POST tag': createTag,
  'DELETE tag': deleteTag,
  'PUT settings': changeSettings,
}

/** `/OWNER/NAME/VERB/…` and `/datasets/OWNER/NAME/VERB/…`; the empty verb is the card, and `tree` the files, for people. */
const FILES: Readonly<Record<string, Handler>> = { 'GET resolve': resolveFile, 'GET raw': rawFile, 'GET ': cardPage, 'GET tree': filesPage }

const LFS: Readonly<Record<string, Handler>> = { 'POST batch': lfsBatch, 'POST verify': lfsVerify }

const notFound = (): Refusal => new Refusal(404, undefined, 'Sorry, this hub has nothing at that address.')

const withRest = (call: Call, rest: readonly string[]): Call => ({ ...call, rest })

function routeApi(call: Call, method: string, parts: readonly string[]): Promise<void> {
  const [first = '', second, third, verb = '', ...rest] = parts
  const address = `${method} ${parts.join('/')}`
  if (address === 'GET whoami-v2') return whoAmI(call)
  if (address === 'POST validate-yaml') return validateYaml(call)
  if (address === 'POST repos/create') return createRepository(call)
  if (address === 'DELETE repos/delete') return deleteRepository(call)
  if (!isKind(first)) throw notFound()
  if (second === undefined && method === 'GET') return listRepositories(call, first)
  const handler = API[`${method} ${verb}`]
  if (second === undefined || third === undefined || handler === undefined) throw notFound()
  return handler(withRest(call, rest), { kind: first, owner: second, name: third })
}

function routeFiles(call: Call, method: string, parts: readonly string[]): Promise<void> {
  const kind = parts[0] === 'datasets' ? 'datasets' : 'models'
  const [owner = '', name = '', verb = '', ...rest] = kind === 'datasets' ? parts.slice(1) : parts
  const lfs = name.endsWith('.git') && verb === 'info' && rest[0] === 'lfs' && rest[1] === 'objects'
  const handler = lfs ? LFS[`${method} ${rest[2] ?? ''}`] : FILES[`${method} ${verb}`]
  if (handler === undefined || name === '') throw notFound()
  const address: RepoAddress = { kind, owner, name: lfs ? name.slice(0, -'.git'.length) : name }
  return handler(withRest(call, rest), address)
}

/** Finds the handler of a request and runs it; HEAD is GET without a body. */
export async function route(call: Call, pathname: string): Promise<void> {
  const parts = pathname
    .split('/')
    .slice(1)
    .map(decodePart)
    .filter((part, index, all) => part !== '' || index < all.length - 1)
  const method = call.request.method === 'HEAD' ? 'GET' : (call.request.method ?? 'GET')
  if (method === 'GET' && parts.join('') === '') return browse(call)
  if (parts[0] === 'api') return routeApi(call, method, parts.slice(1))
  const [, kind, owner = '', name = '', ...rest] = parts
  if (parts[0] === 'lfs' && isKind(kind) && method === 'PUT') return lfsPut(withRest(call, rest), { kind, owner, name })
  return routeFiles(call, method, parts)
}
