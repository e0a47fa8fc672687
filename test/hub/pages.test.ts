/** The local hub's pages, over HTTP: browsed, filtered, read; a hostile card and hostile names show as text; nothing runs. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { STYLE } from '../../src/card/page.ts'
import { hub, promptFolder, TOKEN } from './helpers.ts'

const get = async (url: string, path: string, token?: string): Promise<{ status: number; text: string; headers: Headers }> => {
  const headers = { accept: 'text/html,*/*', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  const response = await fetch(`${url}${path}`, { headers, redirect: 'manual' })
  return { status: response.status, text: await response.text(), headers: response.headers }
}

async function pushed(url: string, repo: string, card: string, isPrivate = false): Promise<void> {
  const dir = await promptFolder()
  await writeFile(join(dir, 'README.md'), card)
  await writeFile(join(dir, 'loss.svg'), '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
  await pushPrompt({ dir, repo, hubUrl: url, token: TOKEN, private: isPrivate })
}

const cardOf = (base: string, task: string, body = ''): string => `---\nbase_model: ${base}\npipeline_tag: ${task}\n---\n# Title\n\n${body}`

describe('pages', () => {
  it('lists what the caller may see, by name, base and task', async () => {
    const { url } = await hub()
    await pushed(url, 'me/one', cardOf('google-t5/t5-small', 'text-classification'))
    await pushed(url, 'me/two', cardOf('google-t5/t5-base', 'translation'))
    await pushed(url, 'me/secret', cardOf('google-t5/t5-base', 'translation'), true)
    const listed = async (query: string, token?: string): Promise<string[]> =>
      [...(await get(url, `/${query}`, token)).text.matchAll(/<li><a href="\/([^"]+)">/g)].map((match) => match[1] ?? '').toSorted()
    expect(await listed('')).toEqual(['me/one', 'me/two'])
    expect(await listed('', TOKEN)).toEqual(['me/one', 'me/secret', 'me/two'])
    expect(await listed('?base=google-t5/t5-base')).toEqual(['me/two'])
    expect(await listed('?task=text-classification')).toEqual(['me/one'])
    expect(await listed('?search=TW')).toEqual(['me/two'])
    expect(await listed('?base=google-t5/t5-base&task=text-classification')).toEqual([])
    expect(await listed('?from=1')).toHaveLength(1)
    expect(await listed('?from=-3')).toHaveLength(2)
    expect((await get(url, '/?search=%3Cscript%3E%22')).text).toContain('value="&lt;script&gt;&quot;"')
  })

  it('shows a card and its files, and no page of a private repository', async () => {
    const { url } = await hub()
    await pushed(url, 'me/one', cardOf('google-t5/t5-small', 'text-classification', 'Good. ![curve](loss.svg) [more](docs/a.md)'))
    await pushed(url, 'me/secret', cardOf('a/b', 'translation'), true)
    const card = await get(url, '/me/one')
    const src = /<img src="([^"]+)" alt="curve">/.exec(card.text)?.[1] ?? ''
    expect(src).toMatch(/^\/me\/one\/resolve\/[0-9a-f]{40}\/loss\.svg$/)
    expect(card.text).toMatch(/<a href="\/me\/one\/resolve\/[0-9a-f]{40}\/docs\/a\.md"/)
    const picture = await get(url, src)
    expect([picture.headers.get('content-type'), picture.headers.get('content-security-policy')]).toEqual([
      'image/svg+xml',
      "default-src 'none'; sandbox",
    ])
    const files = await get(url, '/me/one/tree/main')
    expect([...files.text.matchAll(/resolve\/[0-9a-f]{40}\/([^"]+)"/g)].map((match) => match[1])).toContain('adapter_model.safetensors')
    for (const path of ['/me/secret', '/me/secret/tree/main', '/me/missing', '/me', '/me/one/tree/none', '/%2e%2e/one', '/me/one/none']) {
      const refused = await get(url, path)
      expect(refused.status).toBeGreaterThanOrEqual(400)
      expect(refused.headers.get('content-type')).toContain('text/html')
    }
    expect((await get(url, '/me/secret', TOKEN)).status).toBe(200)
    // Clients are told as before.
    const plain = await fetch(`${url}/me/missing`)
    expect([plain.status, plain.headers.get('x-error-code')]).toEqual([401, 'RepoNotFound'])
  })

  it('obeys nothing that a card says', async () => {
    const { url } = await hub()
    const body = [
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      '![x](https://evil.example/a.png "t") ![y](../../../../api/whoami-v2) ![z](data:image/svg+xml;base64,AA) ![q](%2e%2e/a)',
      '[a](javascript:alert(1)) [b](//evil.example) [c](../../two) [d](x" onclick="1)',
      '<!-- <script>x</script> -->',
      '```\n<!-- kept -->\n</code><b>\n```',
      '| <b> | [x](vbscript:1) |\n|---:|---|\n| <i> | `</td>` |',
    ].join('\n\n')
    await pushed(url, 'me/one', `---\nbase_model: '"><script>'\ntags: ['<b onclick=1>']\npipeline_tag: '"<x>'\n---\n${body}`).catch(
      async () => {
        // A front matter that the hub refuses is not shown either: the body is what matters.
        await pushed(url, 'me/one', body)
      },
    )
    const style = createHash('sha256').update(STYLE).digest('base64')
    for (const path of ['/', '/me/one', '/me/one/tree/main']) {
      const { text, headers } = await get(url, path)
      const policy = headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain(`style-src 'sha256-${style}'`)
      expect(policy).not.toMatch(/script-src|unsafe/)
      expect(text).not.toMatch(/<script|<b |<i>|<x>|<[a-z][^>]*\s(on\w+|style)=/i)
      for (const [, address = ''] of text.matchAll(/(?:href|src|action)="([^"]*)"/g))
        expect(address).toMatch(/^(\/($|\?|me\/|[\w])|https:\/\/|#$|\/\/evil\.example$)/)
      expect(text).not.toMatch(/src="(?!\/me\/one\/resolve\/)/)
      expect(text).not.toMatch(/(href|src)="\/me\/one\/resolve\/[^"]*\.\.\//)
    }
    expect((await get(url, '/me/one')).text).toContain('&lt;!-- kept --&gt;')
  })
})
