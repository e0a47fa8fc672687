/** `/api/whoami-v2` and `/api/validate-yaml`. */
import type { Call } from './call.ts'
import { checkCard } from './cards.ts'
import { sha1 } from '../digest.ts'
import { readObject, Refusal, sendJson, textOf } from './http.ts'

const NOBODY = { canPay: false, avatarUrl: '', periodEnd: null }

const organisation = (name: string): object =>
  Object.assign({ type: 'org', id: sha1(name).slice(0, 24), name, fullname: name, email: null }, NOBODY)

const messages = (list: readonly string[]): object[] => list.map((message) => ({ message }))

export async function whoAmI(call: Call): Promise<void> {
  const { account } = call
  if (account === undefined) throw new Refusal(401, undefined, 'Invalid username or password.')
  const orgs = account.orgs.filter((name) => name !== '*').map((name) => organisation(name))
  sendJson(call.response, {
    ...NOBODY,
    fullname: account.name,
    type: 'user',
    id: sha1(account.name).slice(0, 24),
    name: account.name,
    email: '',
    emailVerified: true,
    isPro: false,
    billingMode: 'prepaid',
    orgs,
    auth: {
      type: 'access_token',
      accessToken: { displayName: account.name, role: account.role, createdAt: call.state.now().toISOString() },
    },
  })
}

/** Answers 400 with the errors, or 200 with the warnings, as both clients expect. */
export async function validateYaml(call: Call): Promise<void> {
  const { errors, warnings } = checkCard(textOf(await readObject(call.request), 'content', ''))
  sendJson(call.response, { errors: messages(errors), warnings: messages(warnings) }, {}, errors.length > 0 ? 400 : 200)
}
