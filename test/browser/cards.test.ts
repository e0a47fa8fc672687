/** A card's preview and the local hub's pages in headless Chromium, light and dark, narrow and wide: nothing sticks out, nothing runs, nobody else is asked. */
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type BrowserContext } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { renderCardFiles, writeCard } from '../../adapters/compose/card.ts'
import { previewCard } from '../../adapters/compose/preview.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const TOKEN = 'hf_pagesOfCardsTestToken012345678'
const examples = new URL('../../hub-cards/examples/', import.meta.url).pathname
const EVIL = '<script>alert(1)</script><img src=x onerror=alert(1)>![t](https://evil.example/t.png)'

describe.skipIf(!existsSync(executablePath))('pages in Chromium (skipped where there is none: set CHROMIUM)', () => {
  let dir: string
  let hub: Hub
  let browser: Browser
  /** Addresses by name. */
  const pages: Record<string, string> = {}

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'card-pages-'))
    hub = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: [] } } })
    await cp(examples, join(dir, 'pack'), { recursive: true })
    for (const task of ['sentiment', 'topic']) {
      await pushPrompt({ hubUrl: hub.url, token: TOKEN, dir: join(dir, 'pack', task), repo: `me/t5-tiny-en-${task}` })
    }
    // What a stranger might push: an attack in each text, and words without an end.
    const strange = join(dir, 'strange')
    await cp(join(examples, 'topic'), strange, { recursive: true })
    await rm(join(strange, 'README.md'))
    const { readPromptFolder, writePromptFolder } = await import('../../adapters/artifact/folder.ts')
    const prompt = await readPromptFolder(strange)
    const long = `${'Donaudampfschifffahrtsgesellschaft'.repeat(12)} ${EVIL}`
    const failures = [{ input: long, expected: EVIL, answered: long }]
    const { files: _, ...manifest } = { ...prompt.manifest, task: long, labels: [long, EVIL], template: `${long} {x}`, failures }
    await writePromptFolder({ ...prompt, manifest }, strange, { log: 'training_log.jsonl' })
    await writeCard(strange)
    await writeFile(join(strange, 'x'.repeat(120)), 'a long name')
    await pushPrompt({ hubUrl: hub.url, token: TOKEN, dir: strange, repo: `me/${'long-name-'.repeat(8)}x` })
    for (const [name, path] of [
      ['sentiment', join(dir, 'pack/sentiment')],
      ['pack', join(dir, 'pack')],
      ['strange', strange],
    ] as const) {
      const file = join(dir, `${name}.html`)
      await writeFile(file, await previewCard(await renderCardFiles(path), path))
      pages[`preview-${name}`] = pathToFileURL(file).href
    }
    pages['hub'] = hub.url
    pages['hub-filtered'] = `${hub.url}/?task=text-classification&search=topic`
    pages['hub-card'] = `${hub.url}/me/t5-tiny-en-sentiment`
    pages['hub-files'] = `${hub.url}/me/t5-tiny-en-sentiment/tree/main`
    pages['hub-strange'] = `${hub.url}/me/${'long-name-'.repeat(8)}x`
    pages['hub-strange-files'] = `${hub.url}/me/${'long-name-'.repeat(8)}x/tree/main`
    pages['hub-missing'] = `${hub.url}/me/none`
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
  })
  afterAll(async () => {
    await browser?.close()
    await hub?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it.each([
    ['light', 390],
    ['light', 1280],
    ['dark', 390],
    ['dark', 1280],
  ] as const)('%s, %i pixels wide', async (colorScheme, width) => {
    const context: BrowserContext = await browser.newContext({ colorScheme, viewport: { width, height: 900 } })
    const asked: string[] = []
    const wrong: string[] = []
    context.on('request', (request) => asked.push(request.url()))
    context.on('dialog', (dialog) => {
      wrong.push(`dialog ${dialog.message()}`)
      void dialog.dismiss()
    })
    const tab = await context.newPage()
    tab.on('pageerror', (error) => wrong.push(error.message))
    const sizes: Record<string, number> = {}
    for (const [name, address] of Object.entries(pages)) {
      await tab.goto(address)
      sizes[name] = (await tab.evaluate('document.scrollingElement.scrollWidth')) as number
      const pictures = (await tab.evaluate('[...document.images].filter((picture) => picture.naturalWidth === 0).length')) as number
      if (pictures > 0) wrong.push(`${name}: ${pictures} pictures are not shown`)
      const shots = process.env['SCREENSHOTS']
      if (shots !== undefined) await tab.screenshot({ path: join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: true })
    }
    await context.close()
    expect(wrong).toEqual([])
    expect(Object.entries(sizes).filter(([, size]) => size > width)).toEqual([])
    const own = [hub.url, pathToFileURL(dir).href, 'data:image/svg+xml']
    expect(asked.filter((url) => !own.some((start) => url.startsWith(start)))).toEqual([])
  })
})
