/** A manifest whose every text is an attack, read from disk as any other: its card, the preview and the local hub's pages show it and obey nothing. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert, asyncProperty, constantFrom, oneof, string } from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { formatManifest, parseManifest } from '../../adapters/artifact/manifest.ts'
import { renderCardFiles, writeCard } from '../../adapters/compose/card.ts'
import { previewCard } from '../../adapters/compose/preview.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { checkCardData, readCardData } from '../../src/card/front-matter.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const TOKEN = 'hf_hostileCardTestToken0123456789'
const sha = 'ab'.repeat(32)
/** A manifest with something in every field. */
const FULL: Required<Omit<Manifest, 'unknown' | 'files'>> = {
  base: { id: 'x', revision: 'x', onnxId: 'x', fingerprint: { version: 1, vocabSize: 3, width: 2, tokenizer: sha } },
  task: 'x',
  template: 'x',
  labels: ['x', 'x'],
  generation: { x: 3 },
  recipe: { ...makeRecipe(), init: 'text', initText: 'x', engine: 'x' },
  data: { name: 'x', config: 'x', split: 'x', rows: 3, sha256: sha, target: 'x', labelMap: { x: 'x' } },
  dev: { name: 'x', config: 'x', split: 'x', rows: 3, sha256: sha },
  bestStep: 3,
  metrics: [{ name: 'x', split: 'x', value: 0.5, n: 3, interval: [0.1, 0.9], by: 'labels' }],
  baselines: [{ name: 'x', split: 'x', value: 0.5, n: 3, of: 'untuned' }],
  nearest: [['x', 'x'], ['x']],
  failures: [{ input: 'x', expected: 'x', answered: 'x' }],
  checks: [{ file: 'x', sha256: sha, answer: 'quantised', drift: 0.1, outputDrift: 0.2, texts: 4 }],
  createdBy: 'x',
}

/** The attack in every place where the reader lets a text or a name of ours stand. */
function attacked(attack: string): Manifest {
  const replaced = JSON.parse(JSON.stringify(FULL), (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value === 'x' ? attack : value
    // A key of that name is refused.
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key === 'x' && attack !== '__proto__' ? attack : key, inner]))
  }) as Manifest
  // Pieces of a vocabulary are short, and so are the base's names in the adapter's configuration.
  const base = { ...replaced.base, id: replaced.base.id.slice(0, 500), revision: (replaced.base.revision ?? '').slice(0, 500) }
  return { ...replaced, base, nearest: (replaced.nearest ?? []).map((pieces) => pieces.map((piece) => piece.slice(0, 200))) }
}

const ATTACKS = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  "' onmouseover='alert(1)",
  '[click](javascript:alert(1))',
  '![x](https://evil.example/track.png)',
  '[x]: https://evil.example "t"\n\n[x]',
  '<https://evil.example>',
  'a\n---\nlicense: mit\ntags: [owned]\n---\n# Owned',
  'x"\nlicense: mit\nbase_model: "evil/base',
  "x'\n- owned: &a [*a]",
  '!!js/function "x"',
  '? {a: b}',
  '`` ` ```` <b>',
  '```\n</code><script>1</script>',
  '| a | b |\n|---|---|',
  '-->\n<script>1</script>',
  '<!-- /soft-prompts:summary -->\n<!-- soft-prompts:evil -->\n',
  '{{ 7 * 7 }}{% for x in range(9999999) %}x{% endfor %}',
  '{{ cycler.constructor("return process")() }}',
  '$`rm -rf ~`$(id)',
  '\u202Etxt.exe\u0000\u001b[31m',
  '</style></title></textarea><script>1</script>',
  '&lt;script&gt;&#60;script&#62;',
  '__proto__',
  '../../../../etc/passwd',
  'x'.repeat(10_000),
]

let dir = ''
let hub: Hub
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-hostile-'))
  hub = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: [] } } })
})
afterAll(async () => {
  await hub.close()
  await rm(dir, { recursive: true, force: true })
})

const TAGS = new Set(
  `!doctype html head meta title style body header main footer nav form label input select option button span b h1 h2 p strong em code pre ul ol li a img table thead tbody tr th td div br details summary`.split(
    ' ',
  ),
)
const ATTRIBUTES = new Set('lang charset content http-equiv name class href src alt rel html method action value selected start'.split(' '))
const ADDRESSES =
  /^(?:\/|\/\?[^"]*|\/me\/[\w%./-]*|https:\/\/www\.npmjs\.com\/package\/soft-prompts|data:image\/svg\+xml;base64,[\w+/=]+|)$/

/** Everything in a page that is not text is one of ours. */
function checkPage(html: string): void {
  for (const [, tag = '', rest = ''] of html.matchAll(/<\/?(!?[a-z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^>"'])*)>/gi)) {
    expect(TAGS).toContain(tag.toLowerCase())
    for (const [, name = '', , value = ''] of rest.matchAll(/([^\s=/"]+)(="([^"]*)")?/g)) {
      expect(ATTRIBUTES).toContain(name)
      expect(/^(?:href|src|action)$/.test(name) ? value : '').toMatch(ADDRESSES)
    }
  }
  expect(html.match(/<(?![a-z/!])/gi)).toBeNull()
  // oxlint-disable-next-line no-control-regex -- what no page may hold
  expect(html).not.toMatch(/[\u0000\u001b\u202e]/)
}

const INTENDED = new Set('library_name base_model base_model_relation pipeline_tag tags datasets metrics model-index'.split(' '))

/** Front matter with the keys that are meant, and nothing that the attack says of itself. */
function checkFrontMatter(card: string): void {
  const data = readCardData(card, true)
  expect(checkCardData(data)).toEqual([])
  expect(Object.keys(data).filter((key) => !INTENDED.has(key))).toEqual([])
  expect(data['tags']).toEqual(['soft-prompts', 'prompt-tuning', 'transformers.js'])
  expect(data['library_name']).toBe('peft')
  const [model] = data['model-index'] as { results: { metrics: { value: number }[] }[] }[]
  expect(Object.keys(model ?? {})).toEqual(['name', 'results'])
  expect(model?.results.map(({ metrics }) => metrics.map(({ value }) => value))).toEqual([[0.5]])
}

async function written(name: string, attack: string): Promise<{ readonly path: string; readonly card: string } | undefined> {
  const path = join(dir, name)
  await rm(path, { recursive: true, force: true })
  const manifest = attacked(attack)
  // What the reader refuses never comes to a card.
  if (!isRead(manifest)) return undefined
  await writePromptFolder(softPrompt(tensor('F32', [2, 2], Float32Array.of(1, 2, 3, 4)), manifest), path)
  await writeCard(path)
  const files = await renderCardFiles(path)
  return { path, card: files.get('README.md') ?? '' }
}

function isRead(manifest: Manifest): boolean {
  try {
    return parseManifest(formatManifest(manifest)) !== undefined
  } catch {
    return false
  }
}

describe('a manifest of attacks', () => {
  it('reaches every text field of the format', () => {
    const attack = 'an attack'
    const text = formatManifest(attacked(attack))
    const places = JSON.parse(text) as unknown
    expect(JSON.stringify(places)).not.toContain('"x"')
    // Each text of the schema: those left alone are digests and names from a list.
    const left: string[] = []
    JSON.stringify(places, (_, value: unknown) => {
      if (typeof value === 'string' && value !== attack) left.push(value === sha ? 'sha' : value)
      return value
    })
    expect([...new Set(left)].toSorted()).toEqual(['adafactor', 'constant', 'labels', 'quantised', 'sha', 'text', 'untuned'])
  })

  it.each(ATTACKS.map((attack, index) => [attack.slice(0, 40), index] as const))(
    '%j: card, preview and hub pages show it',
    async (_, index) => {
      const attack = ATTACKS[index] as string
      const found = await written('attack', attack)
      expect(found).toBeDefined()
      const { path, card } = found as { path: string; card: string }
      expect(card.length).toBeLessThan(40_000)
      checkFrontMatter(card)
      checkPage(await previewCard(new Map([['README.md', card]]), path))
      await pushPrompt({ hubUrl: hub.url, token: TOKEN, dir: path, repo: `me/attack-${index}` })
      for (const page of ['/', `/me/attack-${index}`, `/me/attack-${index}/tree/main`]) {
        const response = await fetch(`${hub.url}${page}`, { headers: { accept: 'text/html' } })
        expect(response.status).toBe(200)
        const html = await response.text()
        checkPage(html)
        expect(html.includes('Where it fails')).toBe(page === `/me/attack-${index}`)
      }
    },
  )

  it('any text, alone and beside an attack', async () => {
    let read = 0
    const texts = oneof(
      string({ unit: 'binary', maxLength: 120 }),
      string({ unit: constantFrom(...'<>&"\'`|[](){}:#-*_~!\\\n\r\t @%$x'), maxLength: 60 }),
    )
    await assert(
      asyncProperty(texts, constantFrom('', ...ATTACKS), async (text, attack) => {
        const found = await written('any', `${text}${attack}`.slice(0, 10_000))
        if (found === undefined) return
        read++
        checkFrontMatter(found.card)
        checkPage(await previewCard(new Map([['README.md', found.card]]), found.path))
      }),
      { numRuns: 60, examples: [['', '']] },
    )
    expect(read).toBeGreaterThan(50)
  })
})
