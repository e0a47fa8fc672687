/** `/api/repos/create`, `/api/repos/delete`, `PUT /api/models/R/settings`. */
import { actsFor } from './accounts.ts'
import { openRepository, type Call, type Handler } from './call.ts'
import { badRequest, flagOf, readObject, Refusal, sendJson, textOf, type JsonObject } from './http.ts'
import { checkName, type RepoKind } from './names.ts'

const KINDS: ReadonlyMap<string, RepoKind> = new Map([
  ['model', 'models'],
  ['dataset', 'datasets'],
])

function target(call: Call, body: JsonObject): { kind: RepoKind; owner: string; name: string } {
  const type = textOf(body, 'type', 'model')
  const kind = KINDS.get(type)
  if (kind === undefined) throw badRequest(`This hub keeps models and datasets, not "${type.slice(0, 100)}".`)
  const name = textOf(body, 'name', '')
  const [first, second] = name.split('/')
  const owner = second === undefined ? textOf(body, 'organization', call.account?.name ?? '') : first
  return { kind, owner: checkName(owner ?? ''), name: checkName(second ?? first ?? '') }
}

function mayWrite(call: Call, owner: string): void {
  if (call.account === undefined) throw new Refusal(401, undefined, 'Invalid username or password.')
  if (call.account.role === 'write' && actsFor(call.account, owner)) return
  throw new Refusal(403, undefined, `You don't have the rights to create a model under the namespace "${owner}"`)
}

export async function createRepository(call: Call): Promise<void> {
  const body = await readObject(call.request)
  const { kind, owner, name } = target(call, body)
  mayWrite(call, owner)
  const id = `${owner}/${name}`
  const url = `${call.origin}/${kind === 'models' ? '' : 'datasets/'}${id}`
  const date = call.state.now().toISOString()
  const isPrivate = flagOf(body, 'private') || textOf(body, 'visibility', '') === 'private'
  const first = { parent: null, title: 'initial commit', message: '', author: call.account?.name ?? 'local', date, entries: [] }
  if (await call.state.repositories.create({ kind, id, private: isPrivate, gated: false, createdAt: date }, first)) {
    sendJson(call.response, { url, name: id, id })
    return
  }
  const error = 'You already created this model repo'
  sendJson(call.response, { error, url, name: id }, { 'x-error-message': error }, 409)
}

export async function deleteRepository(call: Call): Promise<void> {
  const { kind, owner, name } = target(call, await readObject(call.request))
  await call.state.repositories.delete(await openRepository(call, { kind, owner, name }, 'write'))
  sendJson(call.response, {})
}

export const changeSettings: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const body = await readObject(call.request)
  const visibility = textOf(body, 'visibility', '')
  const changed = await repository.exclusive(async () => {
    const old = repository.settings
    const isPrivate = visibility === '' ? flagOf(body, 'private', old.private) : visibility === 'private'
    // huggingface.co takes "auto" and "manual" too.
    const gated = typeof body['gated'] === 'string' ? textOf(body, 'gated') !== '' : flagOf(body, 'gated', old.gated)
    await call.state.repositories.save(repository, { ...old, private: isPrivate, gated })
    return { private: isPrivate, gated }
  })
  sendJson(call.response, changed)
}
