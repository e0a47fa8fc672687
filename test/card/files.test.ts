/** Cards of folders: the examples are current, packs have one card, previews hold everything they show and nothing else. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { packCard } from '../../hub-cards/pack.ts'
import { renderCardFiles, writeCard } from '../../adapters/compose/card.ts'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { openEvery } from '../../adapters/compose/open-prompt.ts'
import { previewCard } from '../../adapters/compose/preview.ts'
import { writeBundle } from '../../adapters/tar/bundle.ts'
import { checkCardData, readCardData } from '../../src/card/front-matter.ts'
import { cardHtml } from '../../src/card/markdown.ts'
import { renderPackCard } from '../../src/card/pack.ts'

const examples = new URL('../../hub-cards/examples/', import.meta.url).pathname
const TASKS = ['sentiment', 'topic']
let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-cards-'))
  await cp(examples, join(dir, 'pack'), { recursive: true })
  // What stands beside the prompts: the folder that their cards name.
  await exportOnnx(join(import.meta.dirname, '../../models/t5-tiny-en'), join(dir, 't5-tiny-en'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

it('a card that PEFT wrote loses the path of the base', async () => {
  const path = '/kaggle/working/flan-t5-small'
  const place = join(dir, 'peft')
  await cp(join(import.meta.dirname, '../fixtures/peft/prompt_tuning'), place, { recursive: true })
  const config = JSON.parse(await readFile(join(place, 'adapter_config.json'), 'utf8')) as object
  await writeFile(join(place, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: path }))
  await writeFile(join(place, 'README.md'), `---\nbase_model: ${path}\ntags:\n- base_model:adapter:${path}\n---\n\n# Mine\n\nOf ${path}.\n`)
  const card = text(await renderCardFiles(place))
  expect(card).not.toContain('kaggle')
  expect(card).toContain('# Mine\n\nOf flan-t5-small.')
})

describe('examples', () => {
  it.each(TASKS)('%s is what its manifest and log say', async (task) => {
    const files = await renderCardFiles(join(examples, task), { repo: `me/t5-tiny-en-${task}`, license: 'apache-2.0', language: ['en'] })
    for (const [name, text] of files) expect(text).toBe(await readFile(join(examples, task, name), 'utf8'))
    expect(text(files)).not.toMatch(/undefined|NaN|\[object|More Information|TODO/)
    // A folder's name is no Hub id.
    expect(readCardData(text(files))).not.toHaveProperty('base_model')
  })

  it('the pack is what its prompts say, written from nothing too', async () => {
    const options = { license: 'apache-2.0', language: ['en'] }
    const files = await renderCardFiles(examples, options)
    expect(text(files)).toBe(await readFile(join(examples, 'README.md'), 'utf8'))
    expect(checkCardData(readCardData(text(files), true))).toEqual([])
    await rm(join(dir, 'pack/README.md'))
    expect(await writeCard(join(dir, 'pack'), options)).toEqual(['README.md'])
    expect(await writeCard(join(dir, 'pack'), options)).toEqual([])
  })
})

const text = (files: ReadonlyMap<string, string>): string => files.get('README.md') ?? ''
const jsOf = (card: string): string => /^```js\n([\s\S]*?)^```$/m.exec(card)?.[1] ?? ''

type Scores = { readonly label: string; readonly score: number }[]

/** Runs a snippet as a module of this package's user, in the folder that holds prompts and base; what it logged. */
async function logged(source: string): Promise<Scores[]> {
  const found: Scores[] = []
  const spy = vi.spyOn(console, 'log').mockImplementation((value: Scores) => void found.push(value))
  const before = process.cwd()
  const file = join(import.meta.dirname, `snippet-files-${Date.now()}-${process.pid}.ts`)
  await writeFile(file, source)
  process.chdir(dir)
  try {
    await import(/* @vite-ignore */ file)
  } finally {
    process.chdir(before)
    spy.mockRestore()
    await rm(file)
  }
  return found
}

describe('packs', () => {
  it.each(['folder', 'bundle'])('the snippet of a %s runs, given the folder of its base', async (container) => {
    const path = container === 'folder' ? join(dir, 'pack') : join(dir, 'tasks.tar.gz')
    if (container === 'bundle')
      await writeBundle(path, new Map((await openEvery(join(dir, 'pack'))).map(({ name, files }) => [name, files])))
    const source = jsOf(text(await renderCardFiles(path)))
    expect(source).toContain('{ base: "./t5-tiny-en" }')
    const [scores] = await logged(source)
    expect(scores?.map(({ label }) => label).toSorted()).toEqual(['negative', 'positive'])
  })

  it('a bundle is not written into', async () => {
    await expect(writeCard(join(dir, 'tasks.tar.gz'))).rejects.toMatchObject({ code: 'card-bundle' })
  })

  it.each([
    '<script>1</script>',
    '`|` ``',
    '\n<!-- soft-prompts:x -->\n# H',
    '![x](https://evil.example/a.png)',
    '"); process.exit(1)',
    'x'.repeat(100_000),
  ])('hostile names and texts are shown, not obeyed: %j', (attack) => {
    const manifest = {
      base: { id: attack, revision: attack },
      task: attack,
      template: attack,
      labels: [attack],
      metrics: [{ name: attack, split: attack, value: 1, n: 1 }],
      data: { name: attack, rows: 1, sha256: attack },
    }
    const member = { name: attack, facts: { manifest, length: 5, width: 16 } }
    const facts = { name: attack, isBundle: true, prompts: [member, member] }
    const card = renderPackCard(facts, packCard)
    expect(renderPackCard(facts, packCard, card)).toBe(card)
    expect(card.length).toBeLessThan(20_000)
    expect(checkCardData(readCardData(card, true))).toEqual([])
    expect(card.match(/^#+ .+$/gm)).toHaveLength(4)
    expect(cardHtml(card)).not.toMatch(/<(script|img|b|i)\b|(href|src)=/)
  })
})

describe('a card without a repository', () => {
  it('names the folder, and its snippet runs beside it and the base', async () => {
    const path = join(dir, 'sentiment')
    await cp(join(examples, 'sentiment'), path, { recursive: true })
    await rm(join(path, 'README.md'))
    const card = text(await renderCardFiles(path))
    expect(readCardData(card)['model-index']).toMatchObject([{ name: 'sentiment' }])
    expect(jsOf(card)).toContain('loadPrompted("./sentiment", { base: "./t5-tiny-en" })')
    const [scores] = await logged(jsOf(card))
    expect(scores?.map(({ label }) => label).toSorted()).toEqual(['negative', 'positive'])
    expect(card).toContain('load_file("./sentiment/adapter_model.safetensors")')
    expect(await previewCard(await renderCardFiles(path), path)).toContain('<b>sentiment</b>')
  })
})

describe('preview', () => {
  it('is one file: its style allowed by hash, its pictures inside, no script', async () => {
    const path = join(dir, 'pack/sentiment')
    const page = await previewCard(await renderCardFiles(path, { repo: 'me/x' }), path)
    expect(page).toMatch(/content-security-policy" content="default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-/)
    expect(page.match(/<img src="data:image\/svg\+xml;base64,[A-Za-z0-9+/=]+"/g)).toHaveLength(1)
    expect(page).not.toMatch(/<script|<link|style="/)
    expect(page).toContain('<b>x</b>')
    expect(page).toContain('89.5\u00a0% accuracy')
  })

  it.each(['pack', 'tasks.tar.gz'])('of several prompts has a title: %s', async (name) => {
    const path = join(dir, name)
    const page = await previewCard(await renderCardFiles(path), path)
    const title = name.replace('.tar.gz', '')
    expect(page).toContain(`<title>${title}</title>`)
    expect(page).toContain(`<header><b>${title}</b>`)
  })

  it('takes no picture from outside of the folder, or of another kind', async () => {
    const path = join(dir, 'pack/topic')
    await writeFile(join(dir, 'secret.png'), 'secret')
    await symlink(join(dir, 'secret.png'), join(path, 'link.png'))
    const targets = [
      '../../secret.png',
      'link.png',
      '..%2f..%2fsecret.png',
      'soft_prompt.json',
      'https://evil.example/a.png',
      'none.png',
      '%zz.png',
    ]
    const card = targets.map((target) => `![t](${target})`).join('\n\n')
    const page = await previewCard(new Map([['README.md', card]]), path)
    expect(page).not.toContain('<img')
    expect(page.match(/class="nopicture"/g)).toHaveLength(targets.length)
  })
})
