/**
 * The page with everything it loads beside it: no CDN, no Hub.
 *
 * npx vite examples/browser-train           (or: MODEL=./t5-small ROWS=my.jsonl npx vite examples/browser-train)
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin, type UserConfig } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))
const model = resolve(root, process.env['MODEL'] ?? 'models/t5-tiny-en')
const rows = resolve(root, process.env['ROWS'] ?? 'examples/data/topic/train.jsonl')

/** Files by the address they are served at. */
const assets = new Map([
  ['rows.jsonl', rows],
  ...['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map(
    (name) => [`models/${basename(model)}/${name}`, join(model, name)] as const,
  ),
])

const local: Plugin = {
  name: 'local-model',
  configureServer(server) {
    server.middlewares.use((request, response, next) => {
      const file = assets.get(decodeURIComponent((request.url ?? '').split('?')[0] ?? '').slice(1))
      if (file === undefined) return next()
      const bytes = readFileSync(file)
      response.setHeader('content-length', bytes.length).end(bytes)
    })
  },
  generateBundle() {
    for (const [fileName, file] of assets) this.emitFile({ type: 'asset', fileName, source: readFileSync(file) })
  },
}

const config: UserConfig = defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  // A missing file is missing, not the page.
  appType: 'mpa',
  define: { __MODEL__: JSON.stringify(`models/${basename(model)}`) },
  resolve: {
    alias: [
      // From source; an app has the package instead.
      { find: 'soft-prompts/browser-train', replacement: join(root, 'adapters/compose/browser-train.ts') },
      // The runtime without its WebAssembly inlined: the page serves that itself.
      { find: 'ort-wasm', replacement: dirname(createRequire(import.meta.url).resolve('onnxruntime-web')) },
    ],
    conditions: ['onnxruntime-web-use-extern-wasm'],
  },
  plugins: [local],
  worker: { format: 'es' },
  build: { target: 'es2022', chunkSizeWarningLimit: 2000 },
})

export default config
