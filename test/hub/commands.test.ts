/** The commands over a real hub, and that no token is ever seen: in output, errors, files or what the library throws. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readHubEnvironment } from '../../adapters/hub/environment.ts'
import { shownUrl, withoutTokens } from '../../adapters/hub/errors.ts'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import type { Command } from '../../scripts/cli/command.ts'
import { card } from '../../scripts/card.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { pull } from '../../scripts/pull-prompt.ts'
import { push } from '../../scripts/push-prompt.ts'
import {
  faultProxy,
  folder,
  hub,
  promptFiles,
  promptFolder,
  quickClock,
  READ_TOKEN,
  readFiles,
  STRANGER,
  TOKEN,
  writeFiles,
  type FaultKind,
} from './helpers.ts'

let home = ''
let url = ''
let output = ''

beforeEach(async () => {
  home = await folder()
  url = (await hub()).url
  output = ''
  vi.stubEnv('HF_ENDPOINT', url)
  vi.stubEnv('HF_HOME', home)
  vi.stubEnv('HF_HUB_CACHE', '')
  vi.stubEnv('HF_HUB_OFFLINE', '')
  vi.stubEnv('HF_TOKEN', TOKEN)
  const capture = (chunk: unknown): boolean => {
    output += String(chunk)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(capture)
  vi.spyOn(process.stderr, 'write').mockImplementation(capture)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

const run = async (command: Command, ...args: string[]): Promise<{ code: number; text: string }> => {
  output = ''
  const code = await main(commandLine(command), args)
  return { code, text: output }
}

const withManifestless = async (seed = 1): Promise<string> => {
  const files = promptFiles(seed)
  files.delete('README.md')
  return writeFiles(join(await folder(), 'prompt'), files)
}

describe('commands', () => {
  it('push sends a card of its own, leaves the folder alone, and sends nothing the second time; pull brings the same', async () => {
    const dir = await withManifestless()
    const said = ['--license', 'apache-2.0', '--language', 'en']
    const before = await readFiles(dir)
    const first = await run(push, dir, 'me/sst2', ...said)
    expect(first).toMatchObject({ code: 0, text: expect.not.stringContaining('wrote') })
    expect(await readFiles(dir)).toEqual(before)
    expect(first.text).toMatch(/\+ adapter_model\.safetensors\n[\s\S]*Sent 5 files, [\d.]+ KB: .*me\/sst2\/tree\/main at [0-9a-f]{40}\./)
    const again = await run(push, dir, 'me/sst2', ...said)
    expect(again.text).toMatch(/^Nothing changed: /)
    const withCard = join(home, 'card')
    await run(pull, 'me/sst2', '--out', withCard)
    const sent = await readFile(join(withCard, 'README.md'), 'utf8')
    expect(sent).toMatch(/^license: apache-2.0\nlanguage:\n {2}- en\n[\s\S]*loadPrompted\("me\/sst2"\)/m)
    // Asked to, it writes what it sends.
    const written = await run(push, dir, 'me/sst2', ...said, '--write-card')
    expect(written.text).toMatch(/^wrote README\.md\nNothing changed: /)
    expect(await readFile(join(dir, 'README.md'), 'utf8')).toBe(sent)
    const out = join(home, 'out')
    const pulled = await run(pull, 'me/sst2', '--out', out)
    expect(pulled.text).toContain(out)
    expect(await readFiles(out)).toEqual(await readFiles(dir))
    const json = await run(pull, 'me/sst2', '--json')
    expect(JSON.parse(json.text.split('\n').at(-2) ?? '')).toMatchObject({ repo: 'me/sst2', downloadedBytes: 0 })
  })

  it('push leaves a card that a person wrote, and --dry-run leaves everything', async () => {
    const dir = await promptFolder()
    await run(push, dir, 'me/sst2', '--dry-run')
    expect(output).toMatch(/Would send 5 files, .* \(to be created\)\./)
    await run(push, dir, 'me/sst2')
    expect(await readFiles(dir)).toEqual(promptFiles())
    expect((await run(card, dir, '--print')).text).toContain('<!-- soft-prompts:summary -->')
    expect((await run(card, dir)).text).toContain('wrote')
    expect(await readFile(join(dir, 'README.md'), 'utf8')).toContain('# Test\n\nBy hand.')
    expect((await run(card, dir)).text).toBe('The card is up to date.\n')
  })

  it('takes and makes bundles, and pushes nothing offline', async () => {
    const dir = await withManifestless()
    await run(push, dir, 'me/sst2', '--write-card')
    const bundle = join(home, 'sst2.tar.gz')
    expect((await run(pull, 'me/sst2', '--bundle', bundle)).code).toBe(0)
    const pushed = await run(push, bundle, 'me/copy', '--keep-card')
    expect(pushed.text).toContain('+ adapter_model.safetensors')
    expect((await run(push, bundle, 'me/copy', '--write-card')).text).toContain('[card-bundle]')
    const out = join(home, 'copy')
    await run(pull, 'me/copy', '--out', out)
    const before = await readFiles(dir)
    before.delete('runs/events.out.tfevents.1')
    expect(await readFiles(out)).toEqual(before)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await run(push, dir, 'me/sst2')).text).toContain('[hub-offline]')
  })

  it('pull takes the address of a page, and the revision in it', async () => {
    await run(push, await withManifestless(), 'me/sst2')
    const { commit } = JSON.parse((await run(pull, 'me/sst2', '--json')).text.split('\n').at(-2) ?? '') as { commit: string }
    for (const address of [
      `${url}/me/sst2`,
      `${url}/me/sst2/tree/main`,
      'https://huggingface.co/me/sst2',
      `hf.co/me/sst2/blob/${commit}/README.md`,
    ]) {
      const { code, text } = await run(pull, address, '--json')
      expect([code, JSON.parse(text.split('\n').at(-2) ?? '')]).toMatchObject([0, { repo: 'me/sst2', commit }])
    }
    expect((await run(push, await withManifestless(), `${url}/me/sst2`)).text).toContain(`Nothing changed: ${url}/me/sst2 is at ${commit}`)
    expect((await run(push, await withManifestless(), `${url}/me/sst2/tree/dev`)).text).toMatch(/revision dev, and main .*\[hub-url\]/)
    const torn = await run(pull, `${url}/me/sst2/tree/main`, '--revision', 'v2')
    expect([torn.code, torn.text]).toEqual([1, expect.stringContaining('[hub-url]')])
    expect((await run(pull, `${url}/datasets/me/rows`)).text).toMatch(/is a data set, not a model.*\[hub-url\]/)
  })

  it('card says where the Hub would not know a licence, and what may be meant', async () => {
    const dir = await withManifestless()
    expect((await run(card, dir, '--license', 'apache-2.0', '--print')).text).not.toContain('warning')
    expect((await run(card, dir, '--license', 'Apache 2.0', '--print')).text).toMatch(
      /warning: "Apache 2.0" is no licence .* Did you mean apache-2.0\?/,
    )
    expect((await run(card, dir, '--license', 'foo/bar', '--print')).text).toMatch(
      /warning: "foo\/bar" is no licence .* say "other", and write license_name/,
    )
  })

  it('a failure is one line with its code, and exit code 1', async () => {
    const { code, text } = await run(pull, 'me/none')
    expect(code).toBe(1)
    expect(text).toMatch(/^error: .*There is no such repository.* \[hub-repo-not-found\]\n$/)
    expect((await run(push, home, 'me/x')).code).toBe(1)
    expect((await run(pull, 'me/x', '--no-such')).code).toBe(2)
  })
})

describe('environment', () => {
  it('reads what Python reads', async () => {
    const dir = await folder()
    const tokenFile = join(await writeFiles(dir, new Map([['token', Buffer.from(' hf_fromFile\n')]])), 'token')
    expect(readHubEnvironment({ HF_HOME: dir })).toEqual({
      hubUrl: 'https://huggingface.co',
      token: 'hf_fromFile',
      cacheDir: join(dir, 'hub'),
      offline: false,
    })
    expect(
      readHubEnvironment({
        HF_HOME: '/none',
        HF_TOKEN_PATH: tokenFile,
        HF_TOKEN: 'hf_env',
        HF_ENDPOINT: 'http://h:1/',
        HF_HUB_CACHE: '/c',
        HF_HUB_OFFLINE: 'YES',
      }),
    ).toEqual({
      hubUrl: 'http://h:1',
      token: 'hf_env',
      cacheDir: '/c',
      offline: true,
    })
    expect(readHubEnvironment({ XDG_CACHE_HOME: '/x', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1', HF_TOKEN: 'hf_env' })).toEqual({
      hubUrl: 'https://huggingface.co',
      cacheDir: '/x/huggingface/hub',
      offline: false,
    })
    for (const bad of ['ftp://x', 'nonsense', 'http://me:hf_secret0123456789@host']) {
      expect(() => readHubEnvironment({ HF_ENDPOINT: bad })).toThrow(
        expect.objectContaining({ code: 'hub-endpoint', message: expect.not.stringContaining('hf_secret') }),
      )
    }
  })
})

/** All that a person or a log may see of an error. */
const shown = (error: unknown): string =>
  `${inspect(error, { depth: 10, showHidden: true })}${JSON.stringify(error, (_, value: unknown) => (value instanceof Error ? { ...value, message: value.message, stack: value.stack } : value))}`

/** A hub that sends back what it got. */
const echo: typeof fetch = async (_, init) =>
  new Response(JSON.stringify({ error: `bad header ${new Headers(init?.headers).get('authorization')}` }), {
    status: 403,
    headers: { 'content-type': 'application/json', 'x-error-message': `token ${TOKEN}` },
  })

describe('tokens', () => {
  const SECRETS = [TOKEN, READ_TOKEN, STRANGER]
  it('appear in no error, whatever goes wrong, even where a hub sends them back', async () => {
    const dir = await promptFolder()
    const faults: FaultKind[] = [
      { kind: 'drop' },
      { kind: 'truncate' },
      { kind: 'corrupt' },
      { kind: 'hang' },
      { kind: 'status', status: 500 },
    ]
    for (const fault of faults) {
      const proxy = await faultProxy(await hub(), () => fault)
      const options = { repo: 'me/sst2', hubUrl: proxy.url, token: TOKEN, clock: quickClock(), timeoutMs: 50 }
      for (const work of [() => pushPrompt({ ...options, dir }), () => pullPrompt({ ...options, cacheDir: home })]) {
        const error: unknown = await work().catch((caught: unknown) => caught)
        expect(error).toBeInstanceOf(Error)
        for (const secret of SECRETS) expect(shown(error)).not.toContain(secret)
      }
    }
    const error: unknown = await pullPrompt({ repo: 'me/x', hubUrl: url, token: TOKEN, cacheDir: home, fetch: echo }).catch(
      (caught: unknown) => caught,
    )
    expect(shown(error)).toContain('hub-forbidden')
    expect(shown(error)).not.toContain(TOKEN)
    const odd: unknown = await pullPrompt({
      repo: 'me/x',
      hubUrl: url,
      token: 'hf_line\nbreakToken0123456789',
      cacheDir: home,
      clock: quickClock(),
    }).catch((caught: unknown) => caught)
    expect(shown(odd)).toContain('hub-token')
    expect(shown(odd)).not.toContain('breakToken')
  })

  it('appear in no output and no file of a push and a pull, with --debug and --json too', async () => {
    const dir = await withManifestless()
    let all = ''
    for (const args of [
      [dir, 'me/sst2'],
      [dir, 'me/sst2', '--json'],
      [dir, 'other/sst2', '--debug'],
      [dir, 'me/sst2', '--branch', 'a..b', '--debug'],
    ])
      all += (await run(push, ...args)).text
    for (const args of [
      ['me/sst2', '--save', '--lock-file', join(home, 'lock.json')],
      ['me/none', '--debug'],
      ['me/sst2', '--json'],
    ])
      all += (await run(pull, ...args)).text
    for (const bytes of [...(await readFiles(home)).values(), ...(await readFiles(dir)).values()]) all += bytes.toString('latin1')
    expect(all).toContain('me/sst2')
    for (const secret of SECRETS) expect(all).not.toContain(secret)
  })

  it('go to the hub only, not to addresses it names', async () => {
    const server = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/x', hubUrl: server.url, token: TOKEN })
    const elsewhere: string[] = []
    const spy: typeof fetch = async (input, init) => {
      const address = new URL(String(input))
      if (address.host === 'evil.example') {
        elsewhere.push(String(new Headers(init?.headers).get('authorization')))
        return Response.json([])
      }
      const response = await fetch(input, init)
      if (!address.pathname.includes('/tree/')) return response
      return new Response(await response.arrayBuffer(), {
        headers: { 'content-type': 'application/json', link: '<http://evil.example/next>; rel="next"' },
      })
    }
    await pullPrompt({ repo: 'me/x', hubUrl: server.url, token: TOKEN, cacheDir: home, fetch: spy })
    expect(elsewhere).toEqual(['null'])
  })

  it('are cut out of any text', () => {
    expect(withoutTokens(`x ${TOKEN} y Bearer abc.def z`)).toBe('x hf_… y Bearer … z')
    expect(shownUrl(`http://me:pw@h/a/${TOKEN}?sig=1`)).toBe('http://h/a/hf_…')
  })
})
