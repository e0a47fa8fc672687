/** The card's snippet for a web page, as it is printed: built by Vite, run in headless Chromium; a local hub answers for the Hub. */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRepo, uploadFiles } from '@huggingface/hub'
import { chromium, type Browser, type Route } from 'playwright-core'
import { build, preview, type PreviewServer } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { promptCard } from '../../hub-cards/prompt.ts'
import { renderCard } from '../../src/card/card.ts'
import { folderOf, promptOf } from '../attach/fixtures.ts'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const MODEL = 'tiny-t5-v11'
const BASE = `team/${MODEL}`
const TOKEN = 'hf_pageSnippetTestToken0123456789'
const TEMPLATE = 'bad plot: {input}'
const root = fileURLToPath(new URL('../..', import.meta.url))
const transformers = createRequire(import.meta.url).resolve('@huggingface/transformers')
const runtime = dirname(createRequire(transformers).resolve('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm'))

describe.skipIf(!existsSync(executablePath))("the card's page snippet in Chromium (skipped where there is none: set CHROMIUM)", () => {
  let dir: string
  let hub: Hub
  let browser: Browser
  let server: PreviewServer

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'page-snippet-'))
    hub = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: ['team'] } } })
    const repo = { repo: { type: 'model' as const, name: BASE }, accessToken: TOKEN, hubUrl: hub.url }
    await createRepo(repo)
    const folder = folderOf(MODEL)
    const names = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']
    const onnx = (await readdir(join(folder, 'onnx'))).map((name) => `onnx/${name}`)
    const read = async (path: string): Promise<Blob> => new Blob([new Uint8Array(await readFile(join(folder, path)))])
    await uploadFiles({ ...repo, files: await Promise.all([...names, ...onnx].map(async (path) => ({ path, content: await read(path) }))) })
    const input = [await makePage('tiny-a'), await makePage('tiny-labels', ['light', 'tree'])]
    const alias = [{ find: 'soft-prompts/transformers', replacement: join(root, 'adapters/compose/browser.ts') }]
    const common = { root: dir, configFile: false, logLevel: 'silent' } as const
    await build({ ...common, resolve: { alias }, build: { outDir: join(dir, 'pages'), target: 'es2022', rollupOptions: { input } } })
    server = await preview({ ...common, build: { outDir: join(dir, 'pages') }, preview: { port: 0, host: '127.0.0.1' } })
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await hub?.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** Answers for the Hub, and for the network that the runtime's files come from. */
  async function answer(route: Route): Promise<void> {
    const { hostname, pathname, search } = new URL(route.request().url())
    if (hostname === '127.0.0.1') return route.continue()
    const open = { 'access-control-allow-origin': '*' }
    if (hostname === 'huggingface.co') {
      const found = await fetch(`${hub.url}${pathname}${search}`)
      const headers = { ...open, 'content-type': found.headers.get('content-type') ?? 'application/octet-stream' }
      return route.fulfill({ status: found.status, headers, body: Buffer.from(await found.arrayBuffer()) })
    }
    const file = join(runtime, basename(pathname))
    if (hostname !== 'cdn.jsdelivr.net' || !existsSync(file)) return route.abort()
    const contentType = file.endsWith('.wasm') ? 'application/wasm' : 'text/javascript'
    return route.fulfill({ headers: open, contentType, body: await readFile(file) })
  }

  /** A prompt on the hub, and a page whose only module is what its card prints. */
  async function makePage(name: string, labels?: readonly string[]): Promise<string> {
    const manifest = {
      base: { id: BASE, onnxId: BASE },
      template: TEMPLATE,
      generation: { max_new_tokens: 4 },
      ...(labels ? { labels } : {}),
    }
    await writePromptFolder({ ...promptOf(MODEL, 'a'), manifest }, join(dir, name))
    await pushPrompt({ hubUrl: hub.url, token: TOKEN, dir: join(dir, name), repo: `me/${name}` })
    const card = renderCard({ manifest, length: 5, width: 64, repo: `me/${name}` }, promptCard)
    const [, snippet = ''] = [...card.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')
    expect(snippet).toContain("{ device: 'wasm' }")
    await writeFile(join(dir, `${name}.js`), snippet)
    await writeFile(join(dir, `${name}.html`), `<!doctype html><body><script type="module" src="./${name}.js"></script>`)
    return join(dir, `${name}.html`)
  }

  /** What the page shows, and what Node answers on the same files. */
  async function run(name: string): Promise<readonly [string, unknown]> {
    const tab = await browser.newPage()
    const errors: string[] = []
    tab.on('pageerror', (error) => errors.push(error.message))
    await tab.route('**', answer)
    await tab.goto(`${server.resolvedUrls?.local[0]}${name}.html`)
    await tab.waitForFunction('document.body.innerText.length > 0', undefined, { timeout: 40_000 }).catch(() => {})
    expect(errors).toEqual([])
    const shown = (await tab.locator('body').textContent()) ?? ''

    const pipe = await loadPrompted(join(dir, name), { base: folderOf(MODEL), dtype: 'q8' })
    const expected = name === 'tiny-labels' ? await pipe.classify('your text') : await pipe('your text')
    await pipe.dispose()
    return [shown, expected]
  }

  it('generates', async () => {
    const [shown, expected] = await run('tiny-a')
    expect(JSON.parse(shown)).toEqual(expected)
  })

  it('scores the labels', async () => {
    const [shown, expected] = await run('tiny-labels')
    const [scores, wanted] = [JSON.parse(shown), expected] as { label: string; score: number }[][]
    expect(scores?.map(({ label }) => label)).toEqual(wanted?.map(({ label }) => label))
    expect(scores?.[0]?.score).toBeCloseTo(wanted?.[0]?.score ?? 0, 2)
  })
})
