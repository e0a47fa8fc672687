/** The training page, built by Vite, in headless Chromium on WebAssembly or WebGPU: the loss falls, the prompt answers, its artifact opens in Node. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { build, preview, type PreviewServer } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkBase } from '../../adapters/compose/base-model.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const root = fileURLToPath(new URL('../../', import.meta.url))
const page = join(root, 'examples/browser-train')
/** Asked for (npm run test:webgpu): Chromium's own software driver, slow. */
const WEBGPU = process.env['SOFT_PROMPTS_WEBGPU'] !== undefined
const [STEPS, LEAST] = WEBGPU ? [12, 0.6] : [30, 0.7]
const LONG = 300_000
const QUIET = [
  '--no-sandbox',
  ...(WEBGPU ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'] : ['--disable-gpu']),
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe.skipIf(!existsSync(executablePath))('the training page in Chromium (skipped where there is none: set CHROMIUM)', () => {
  let folder: string
  let server: PreviewServer
  let browser: Browser
  let tab: Page
  const asked: string[] = []
  const errors: string[] = []
  const losses: number[] = []
  const status = async (): Promise<string> => (await tab.locator('#status').textContent()) ?? ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'train-page-'))
    const outDir = join(folder, 'dist')
    await build({ root: page, configFile: join(page, 'vite.config.ts'), logLevel: 'silent', build: { outDir } })
    const served = { port: 0, host: '127.0.0.1' }
    server = await preview({ root: page, configFile: false, appType: 'mpa', logLevel: 'silent', build: { outDir }, preview: served })
    browser = await chromium.launch({ executablePath, args: QUIET })
    tab = await browser.newPage({ viewport: { width: 900, height: 1100 }, acceptDownloads: true })
    tab.on('request', (request) => asked.push(request.url()))
    tab.on('pageerror', (error) => errors.push(error.message))
    await tab.goto(server.resolvedUrls?.local[0] as string)
    await tab.locator('#start:enabled').waitFor()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await rm(folder, { recursive: true })
  })

  const train = async (length: number, steps: number, batch: number): Promise<void> => {
    for (const [id, value] of Object.entries({ length, steps, batch })) await tab.locator(`#${id}`).fill(String(value))
    await tab.locator('#start').click()
  }

  it('trains, and the loss falls', { timeout: LONG }, async () => {
    expect(await status()).toBe(`t5-tiny-en is loaded. It trains on ${WEBGPU ? 'the GPU, by WebGPU' : 'the CPU, by WebAssembly'}.`)
    await tab.exposeFunction('seen', (text: string) => {
      const found = /^Step \d+ of \d+, loss ([\d.]+)/.exec(text)
      if (found) losses.push(Number(found[1]))
    })
    await tab.evaluate(
      `new MutationObserver(() => seen(document.querySelector('#status').textContent)).observe(document.querySelector('#status'), { childList: true, subtree: true, characterData: true })`,
    )
    await train(4, STEPS, 4)
    await tab.locator('#save:not([hidden])').waitFor({ timeout: LONG })
    expect(await status()).toMatch(/^Trained, \d+\.\d % of the rows kept apart right at step \d+\. The prompt has \d+ kB\.$/)
    expect(losses.length).toBeGreaterThan(0.7 * STEPS)
    expect(mean(losses.slice(-5))).toBeLessThan(0.8 * mean(losses.slice(0, 3)))
  })

  it('gives an artifact that Node opens, made for this base', async () => {
    const waiting = tab.waitForEvent('download')
    await tab.locator('#save').click()
    const file = join(folder, 'soft-prompt.tar.gz')
    await (await waiting).saveAs(file)
    const prompt = await openPrompt(file)
    expect(prompt.embeddings.shape).toEqual([4, 192])
    expect(prompt.manifest).toMatchObject({
      labels: ['film', 'food'],
      recipe: { steps: STEPS, engine: `onnxruntime-${WEBGPU ? 'webgpu' : 'wasm'}`, holdOut: 40 },
    })
    expect(prompt.manifest.metrics?.[0]?.value).toBeGreaterThan(LEAST)
    await checkBase(await openBase(join(root, 'models/t5-tiny-en')), prompt, 'the page’s prompt')
  })

  it('answers with the prompt', async () => {
    await tab.locator('#text').fill('The hungry guest worried about the soup.')
    await tab.locator('#ask').click()
    await tab.locator('#answer .label').first().waitFor()
    expect(await tab.locator('#answer .label span:first-child').allTextContents()).toEqual(['food', 'film'])
    if (process.env['SCREENSHOTS'] !== undefined) await tab.screenshot({ path: join(process.env['SCREENSHOTS'], 'train.png') })
  })

  it('stops when told, and keeps what it has', async () => {
    await train(4, 5000, 4)
    await expect.poll(status, { timeout: 30_000 }).toMatch(/^Step \d/)
    await tab.locator('#stop').click()
    await tab.locator('#save:not([hidden])').waitFor()
    expect(await status()).toMatch(/^Stopped/)
  })

  it('says what is wrong with a row', async () => {
    await tab.locator('#rows').fill('{"input": "a", "target": "b"}\n{"input": oops')
    await tab.locator('#start').click()
    expect(await status()).toBe('Line 2 is not JSON: {"input": oops')
    await tab.locator('#rows').fill('{"input": "a"}')
    await tab.locator('#start').click()
    await tab.locator('#status.failed').waitFor()
    await expect.poll(status, { timeout: 10_000 }).toMatch(/row 1.*target/)
  })

  it('asked its own server only, and threw nothing', () => {
    const own = /^(?:http:\/\/127\.0\.0\.1:|blob:|data:)/
    expect(asked.filter((url) => !own.test(url))).toEqual([])
    expect(errors).toEqual([])
  })
})
