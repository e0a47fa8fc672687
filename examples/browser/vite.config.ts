/**
 * The page with everything it loads beside it: no CDN, no Hub.
 *
 * npx vite examples/browser                 (or: MODEL=models/t5-tiny-en PROMPTS=runs/sentiment,runs/topic npx vite examples/browser)
 */
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin, type UserConfig } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = 'test/fixtures/onnx'
const model = resolve(root, process.env['MODEL'] ?? `${fixtures}/tiny-t5-v10`)
const prompts = (process.env['PROMPTS'] ?? ['a', 'b', 'c'].map((name) => `${fixtures}/adapters/tiny-t5-v10-${name}`).join(',')).split(',')

/** What a browser needs of a model, and of a prompt; float files. */
const MODEL_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']
const ONNX_FILES = ['encoder_model.onnx', 'decoder_model_merged.onnx']
const PROMPT_FILES = ['adapter_config.json', 'adapter_model.safetensors', 'soft_prompt.json']

/** Files by the address they are served at. */
function assets(): Map<string, string> {
  const files = new Map<string, string>()
  for (const name of MODEL_FILES) files.set(`models/base/${name}`, join(model, name))
  for (const name of ONNX_FILES) files.set(`models/base/onnx/${name}`, join(model, 'onnx', name))
  for (const folder of prompts) {
    const dir = resolve(root, folder)
    const there = readdirSync(dir)
    for (const name of PROMPT_FILES) if (there.includes(name)) files.set(`prompts/${basename(dir)}/${name}`, join(dir, name))
  }
  return files
}

const index = JSON.stringify({ model: basename(model), prompts: prompts.map((folder) => basename(folder)) })

const local: Plugin = {
  name: 'local-models',
  configureServer(server) {
    const files = assets()
    server.middlewares.use((request, response, next) => {
      const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '').slice(1)
      const file = files.get(path)
      if (path === 'prompts/index.json') response.setHeader('content-type', 'application/json').end(index)
      else if (file === undefined) next()
      else response.end(readFileSync(file))
    })
  },
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'prompts/index.json', source: index })
    for (const [fileName, file] of assets()) this.emitFile({ type: 'asset', fileName, source: readFileSync(file) })
  },
}

// The copy of the runtime that transformers.js uses; its WebAssembly files have to be of the same version.
const transformers = createRequire(import.meta.url).resolve('@huggingface/transformers')
const runtime = dirname(createRequire(transformers).resolve('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm'))

const config: UserConfig = defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  // A missing file is missing, not the page.
  appType: 'mpa',
  resolve: {
    alias: [
      // From source; an app has the package instead.
      { find: 'soft-prompts/transformers', replacement: join(root, 'adapters/compose/browser.ts') },
      { find: 'ort-wasm', replacement: runtime },
    ],
  },
  plugins: [local],
  build: { target: 'es2022', chunkSizeWarningLimit: 2000 },
})

export default config
