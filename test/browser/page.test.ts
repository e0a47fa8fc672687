/** The example page, built by Vite, in headless Chromium: PEFT's answers, prompts switched on one model, nothing asked of the network. */
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { build, preview, type PreviewServer } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { sha256 } from '../../adapters/compose/base-model.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { checkpointFacts, withValues } from '../prompt/layers.ts'
import { fingerprintOf } from '../../src/prompt/fingerprint.ts'
import { folderOf, promptOf, reference } from '../attach/fixtures.ts'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const model = 'tiny-t5-v10'
const ref = reference(model)
const page = fileURLToPath(new URL('../../examples/browser', import.meta.url))
const adapters = fileURLToPath(new URL('../fixtures/onnx/adapters/', import.meta.url))

describe.skipIf(!existsSync(executablePath))(`the example page in Chromium (skipped where there is none: set CHROMIUM)`, () => {
  let folder: string
  let server: PreviewServer
  let browser: Browser
  let tab: Page
  const asked: string[] = []
  const errors: string[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'page-'))
    for (const name of ['a', 'b']) await cp(join(adapters, `${model}-${name}`), join(folder, name), { recursive: true })
    // The third is an artifact with label words and the fingerprint of its base, as training writes it.
    const { pieces } = await openTokenizer(folderOf(model))
    const facts = { ...(await checkpointFacts(join(folderOf(model), 'hf'))), pieces }
    const base = { id: model, fingerprint: await fingerprintOf(facts, sha256) }
    const manifest = { base, labels: ['good', 'bad'] }
    await writePromptFolder({ ...promptOf(model, 'c'), manifest }, join(folder, 'labelled'))
    await writePromptFolder(
      { ...promptOf(model, 'c'), manifest: { base: { ...base, fingerprint: { ...base.fingerprint, tokenizer: '0'.repeat(64) } } } },
      join(folder, 'stranger'),
    )
    const tuned = withValues(facts, (name, values) => values.map((value) => (name.startsWith('decoder.') ? value + 1 : value)))
    const other = { id: model, fingerprint: await fingerprintOf({ ...tuned, pieces }, sha256) }
    await writePromptFolder({ ...promptOf(model, 'c'), manifest: { base: other } }, join(folder, 'tuned'))
  })

  const open = async (prompts: readonly string[]): Promise<void> => {
    process.env['PROMPTS'] = prompts.map((name) => join(folder, name)).join(',')
    const outDir = join(folder, `dist-${prompts.join('-')}`)
    await build({ root: page, configFile: join(page, 'vite.config.ts'), logLevel: 'silent', build: { outDir } })
    await server?.close()
    server = await preview({
      root: page,
      configFile: false,
      appType: 'mpa',
      logLevel: 'silent',
      build: { outDir },
      preview: { port: 0, host: '127.0.0.1' },
    })
    browser ??= await chromium.launch({ executablePath, args: QUIET })
    tab = await browser.newPage({ viewport: { width: 900, height: 760 } })
    tab.on('request', (request) => asked.push(request.url()))
    tab.on('pageerror', (error) => errors.push(error.message))
    await tab.goto(server.resolvedUrls?.local[0] as string)
  }
  const answers = async (): Promise<string[]> => tab.locator('#answers article p').allTextContents()

  afterAll(async () => {
    delete process.env['PROMPTS']
    await browser?.close()
    await server?.close()
    await rm(folder, { recursive: true })
  })

  it('answers as PEFT does, switching prompts without loading anything again', async () => {
    const tokenizer = await openTokenizer(folderOf(model))
    const text = (ids: readonly number[] | undefined): string => tokenizer.decode((ids ?? []).slice(1)) || '(nothing)'
    await open(['a', 'b'])
    await tab.locator('#ask:enabled').waitFor()
    const loaded = asked.length
    const row = ref.texts.indexOf('bad plot')
    await tab.locator('#text').fill('bad plot')
    for (const name of ['a', 'b', 'a'] as const) {
      await tab.getByRole('radio', { name: new RegExp(`^${name} `) }).check({ force: true })
      await tab.locator('#ask').click()
      await tab.locator('#ask:enabled').waitFor()
      expect(await answers()).toEqual([text(ref.adapters[name].greedy[row])])
    }
    await tab.locator('#all').click()
    await tab.locator('#ask:enabled').waitFor()
    expect(await answers()).toEqual([ref.adapters.a.greedy[row], ref.adapters.b.greedy[row], ref.base_greedy[row]].map(text))
    expect(asked.length).toBe(loaded)
    if (process.env['SCREENSHOTS'] !== undefined) await shoot('texts')
  })

  it('shows label words with their chances, for a prompt with the fingerprint of this base', async () => {
    await open(['labelled', 'a'])
    await tab.locator('#ask:enabled').waitFor()
    await tab.locator('#ask').click()
    await tab.locator('#ask:enabled').waitFor()
    expect(await tab.locator('#status').textContent()).not.toMatch(/compared|rounded/)
    const labels = await tab.locator('.label span:first-child').allTextContents()
    const chances = (await tab.locator('.label span:last-child').allTextContents()).map((chance) => Number.parseFloat(chance))
    expect(labels.toSorted()).toEqual(['bad', 'good'])
    expect((chances[0] as number) + (chances[1] as number)).toBeCloseTo(100, 0)
    if (process.env['SCREENSHOTS'] !== undefined) await shoot('labels')
  })

  it('refuses a prompt of another base in words', async () => {
    await open(['stranger'])
    await tab.locator('#status.failed').waitFor()
    expect(await tab.locator('#status').textContent()).toMatch(/stranger was made for .* the tokenizer is/)
    await open(['tuned'])
    await tab.locator('#status.failed').waitFor()
    expect(await tab.locator('#status').textContent()).toMatch(/tuned was made for .* weights of the layers differ \(decoder\./)
  })

  it('asked its own server only, and threw nothing', () => {
    const own = /^(?:http:\/\/127\.0\.0\.1:|blob:|data:)/
    expect(asked.filter((url) => !own.test(url))).toEqual([])
    expect(errors).toEqual([])
  })

  const shoot = async (name: string): Promise<void> => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await tab.emulateMedia({ colorScheme })
      await tab.screenshot({ path: join(process.env['SCREENSHOTS'] as string, `${name}-${colorScheme}.png`) })
    }
  }
})
