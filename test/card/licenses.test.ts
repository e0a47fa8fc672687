/** Licences by the ids of the Hub. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { adviseLicense, LICENSES } from '../../src/card/licenses.ts'

it('are those of the Hub, as its own client lists them', () => {
  const client = new URL('../../node_modules/@huggingface/hub/dist/src/types/public.d.ts', import.meta.url)
  const [, union = ''] = /export type License =([^;]+);/.exec(readFileSync(client, 'utf8')) ?? []
  expect([...LICENSES]).toEqual([...union.matchAll(/"([^"]+)"/g)].map(([, id]) => id))
})

it.each(['apache-2.0', 'mit', 'other'])('%s is known', (id) => {
  expect(adviseLicense(id)).toBeUndefined()
})

it.each([
  ['Apache-2.0', 'Did you mean apache-2.0?'],
  ['MIT', 'Did you mean mit?'],
  ['apache', 'Did you mean apache-2.0?'],
  ['gpl v3', '"gpl v3" is no licence'],
  ['GPLv3.0', 'Did you mean gpl-3.0?'],
  ['foo/bar', 'say "other"'],
])('%s: %s', (id, words) => {
  expect(adviseLicense(id)).toContain(words)
})
