/** Who may do what. Tokens are kept as sha256 only; the first one is written to `DIR/token`, readable by its owner alone. */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { join } from 'node:path'
import { isObject, parseJson, Refusal } from './http.ts'
import { SHA256 } from './names.ts'
import { readText } from '../../disk/read.ts'
import { writePrivate } from './private.ts'
import { sha256 } from '../digest.ts'

export interface Account {
  readonly name: string
  readonly role: 'read' | 'write'
  /** Owners it may act for besides its own name; `*` is everybody. */
  readonly orgs: readonly string[]
}

interface Stored extends Account {
  readonly tokenSha256: string
}

export interface Accounts {
  /**
   * The account behind an Authorization header; undefined for nobody.
   * @throws {Refusal} 401 for a token that is unknown
   */
  identify(authorization: string | undefined): Account | undefined
}

/** Whether the account may act for this owner of repositories. */
export const actsFor = (account: Account | undefined, owner: string): boolean =>
  account !== undefined && (account.name === owner || account.orgs.includes('*') || account.orgs.includes(owner))

function parseStored(text: string): Stored[] {
  const value = parseJson(text)
  if (!Array.isArray(value)) return []
  return value.filter(isObject).flatMap((item): Stored[] => {
    const { name, role, orgs, tokenSha256 } = item
    if (typeof name !== 'string' || typeof tokenSha256 !== 'string' || !SHA256.test(tokenSha256)) return []
    const texts = Array.isArray(orgs) ? orgs.filter((org): org is string => typeof org === 'string') : []
    return [{ name, role: role === 'write' ? 'write' : 'read', orgs: texts, tokenSha256 }]
  })
}

/**
 * Opens `DIR/tokens.json`, making it and a first token where there is none; `extra` tokens live in memory only.
 * @param extra accounts by token
 */
export async function openAccounts(dir: string, extra: Readonly<Record<string, Account>> | undefined): Promise<Accounts> {
  const file = join(dir, 'tokens.json')
  const text = await readText(file)
  const stored = text === undefined ? [] : parseStored(text)
  if (text === undefined && extra === undefined) {
    const token = `hf_${randomBytes(24).toString('base64url').replace(/[-_]/g, 'x')}`
    stored.push({ name: 'local', role: 'write', orgs: ['*'], tokenSha256: sha256(token) })
    await writePrivate(join(dir, 'token'), token)
    await writePrivate(file, `${JSON.stringify(stored, undefined, 2)}\n`)
  }
  const all = [
    ...stored,
    ...Object.entries(extra ?? {}).map(([token, { name, role, orgs }]) => ({ name, role, orgs, tokenSha256: sha256(token) })),
  ]
  return {
    identify(authorization) {
      if (authorization === undefined) return undefined
      const token = /^Bearer (\S+)$/i.exec(authorization)?.[1]
      const digest = Buffer.from(sha256(token ?? ''), 'hex')
      const found = all.find(({ tokenSha256 }) => timingSafeEqual(Buffer.from(tokenSha256.padEnd(64, '0').slice(0, 64), 'hex'), digest))
      if (token === undefined || found === undefined) throw new Refusal(401, undefined, 'Invalid credentials in Authorization header')
      return { name: found.name, role: found.role, orgs: found.orgs }
    },
  }
}
