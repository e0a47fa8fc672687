/** What a handler is given, and the one gate to a repository: found, readable, writable. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { actsFor, type Account } from './accounts.ts'
import { Refusal } from './http.ts'
import type { RepoKind } from './names.ts'
import type { Repositories } from './repositories.ts'
import type { Repository } from './repository.ts'

export interface HubState {
  readonly repositories: Repositories
  /** Signs upload addresses; new at each start. */
  readonly secret: Uint8Array
  now(): Date
  /** Told of what is the hub's own failure and stops nothing. */
  report(error: unknown): void
}

export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly state: HubState
  readonly account: Account | undefined
  /** `http://host:port` as the client called it. */
  readonly origin: string
  /** Path pieces after the matched prefix, decoded. */
  readonly rest: readonly string[]
  /** The whole address as it was called. */
  readonly url: URL
  readonly query: URLSearchParams
}

export interface RepoAddress {
  readonly kind: RepoKind
  readonly owner: string
  readonly name: string
}

export type Handler = (call: Call, address: RepoAddress) => Promise<void>

/**
 * The repository at an address.
 * @throws {Refusal} 401 or 404 RepoNotFound (a private repository looks missing to strangers), 403 without the right to write or past a gate
 */
export async function openRepository(call: Call, { kind, owner, name }: RepoAddress, need: 'read' | 'write'): Promise<Repository> {
  const { account, state } = call
  const found = await state.repositories.find(kind, owner, name)
  const member = actsFor(account, owner)
  if (found === undefined || (found.settings.private && !member)) {
    throw account === undefined
      ? new Refusal(401, 'RepoNotFound', 'Invalid username or password.')
      : new Refusal(404, 'RepoNotFound', 'Repository not found')
  }
  if (need === 'write') {
    if (account === undefined) throw new Refusal(401, undefined, 'Invalid username or password.')
    if (!member || account.role !== 'write') throw new Refusal(403, undefined, `You have no right to write to ${owner}/${name}.`)
  }
  return found
}

/** Gated repositories show their listing to all and their files to members. */
export function passGate(call: Call, repository: Repository, owner: string): void {
  if (!repository.settings.gated || actsFor(call.account, owner)) return
  throw new Refusal(
    call.account === undefined ? 401 : 403,
    'GatedRepo',
    `Access to ${repository.settings.id} is restricted and you are not in the authorized list.`,
  )
}

/** A revision and a path from raw pieces: clients send `refs/pr/1` in one piece or in three, so the shortest that exists wins. */
export async function splitRevision(repository: Repository, rest: readonly string[]): Promise<{ commit: string; path: string }> {
  for (let length = 1; length <= Math.min(rest.length, 8); length += 1) {
    const commit = await repository.resolve(rest.slice(0, length).join('/')).catch(() => undefined)
    if (commit !== undefined) return { commit, path: rest.slice(length).join('/') }
  }
  throw new Refusal(404, 'RevisionNotFound', `Invalid rev id: ${(rest[0] ?? '').slice(0, 100)}`)
}
