/** Loads the model, trains and answers in a worker, so that the page stays alive. */
import * as ort from 'onnxruntime-web/webgpu'
import factory from 'ort-wasm/ort-wasm-simd-threaded.asyncify.mjs?url'
import binary from 'ort-wasm/ort-wasm-simd-threaded.asyncify.wasm?url'
import {
  bundlePrompt,
  createEngine,
  fetchBase,
  openAnswerer,
  trainPrompt,
  type OnnxRuntime,
  type RecipeChoices,
  type RowAnswer,
} from 'soft-prompts/browser-train'

export type Asked =
  | { readonly type: 'open'; readonly model: string }
  | { readonly type: 'train'; readonly rows: readonly Record<string, unknown>[]; readonly recipe: RecipeChoices }
  | { readonly type: 'stop' }
  | { readonly type: 'ask'; readonly text: string }
export type Told =
  | { readonly type: 'loading'; readonly done: number; readonly of: number }
  | { readonly type: 'ready'; readonly base: string; readonly device: string }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly loss: number; readonly leftMs: number }
  | { readonly type: 'evaluated'; readonly step: number; readonly accuracy: number }
  | { readonly type: 'trained'; readonly reason: string; readonly bundle: Uint8Array }
  | { readonly type: 'answer'; readonly answer: RowAnswer }
  | { readonly type: 'failed'; readonly message: string }

const tell = (told: Told): void => self.postMessage(told, {})
ort.env.wasm.wasmPaths = { mjs: new URL(factory, self.location.href).href, wasm: new URL(binary, self.location.href).href }
ort.env.wasm.numThreads = 1
ort.env.logLevel = 'error'

async function open(model: string): Promise<{
  train(rows: readonly Record<string, unknown>[], recipe: RecipeChoices, signal: AbortSignal): Promise<void>
  ask(text: string): Promise<RowAnswer>
}> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<object | null> } }
  const device = (await gpu?.requestAdapter().catch(() => null)) ? 'webgpu' : 'wasm'
  const engine = createEngine(ort as unknown as OnnxRuntime, { device })
  const base = await fetchBase(model, (done, of) => tell({ type: 'loading', done, of }))
  const answerer = await openAnswerer(base, engine)
  let prompt: Parameters<typeof answerer.answer>[1]
  tell({ type: 'ready', base: base.id, device })
  return {
    train: async (rows, recipe, signal) => {
      const events = trainPrompt({ base, engine, rows, recipe, signal, task: 'Trained in a page' })
      for (;;) {
        const next = await events.next()
        if (next.done) {
          prompt = next.value.prompt
          return tell({ type: 'trained', reason: next.value.reason, bundle: await bundlePrompt(prompt, base) })
        }
        const { value } = next
        if (value.type === 'step') tell({ type: 'step', step: value.step, steps: value.steps, loss: value.loss, leftMs: value.leftMs })
        if (value.type === 'evaluated') tell({ type: 'evaluated', step: value.step, accuracy: value.metrics[0]?.value ?? 0 })
        // The page's messages arrive between two steps.
        await new Promise((resolve) => setTimeout(resolve))
      }
    },
    ask: (text) => answerer.answer(text, prompt),
  }
}

let opened: ReturnType<typeof open> | undefined
let stop = new AbortController()

async function handle(asked: Asked): Promise<void> {
  if (asked.type === 'stop') return stop.abort()
  if (asked.type === 'open') opened = open(asked.model)
  const trainer = await opened
  if (asked.type === 'ask' && trainer) tell({ type: 'answer', answer: await trainer.ask(asked.text) })
  if (asked.type === 'train') {
    stop = new AbortController()
    await trainer?.train(asked.rows, asked.recipe, stop.signal)
  }
}

self.addEventListener('message', ({ data }: MessageEvent<Asked>) => {
  handle(data).catch((error: unknown) => tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) }))
})
