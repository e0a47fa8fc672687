/** Switches soft prompts on one loaded model, in the browser. */
import { env } from '@huggingface/transformers'
import factory from 'ort-wasm/ort-wasm-simd-threaded.asyncify.mjs?url'
import binary from 'ort-wasm/ort-wasm-simd-threaded.asyncify.wasm?url'
import { loadPrompted, type LabelScore, type PromptedPipeline } from 'soft-prompts/transformers'

// Models and runtime come from this page's own server.
env.allowRemoteModels = false
env.allowLocalModels = true
// A path: given a full address transformers.js 4.3 looks for no tokenizer there.
env.localModelPath = 'models/'
env.useBrowserCache = false
Object.assign(env.backends.onnx.wasm ?? {}, {
  wasmPaths: { mjs: new URL(factory, document.baseURI).href, wasm: new URL(binary, document.baseURI).href },
})

const find = <T extends HTMLElement>(id: string): T => document.querySelector<T>(`#${id}`) as T
const [status, answers, form, text] = [find('status'), find('answers'), find<HTMLFormElement>('form'), find<HTMLTextAreaElement>('text')]
const buttons = [find<HTMLButtonElement>('ask'), find<HTMLButtonElement>('all')]

function element(tag: string, content: string, ...children: readonly Node[]): HTMLElement {
  const made = document.createElement(tag)
  made.append(content, ...children)
  return made
}

/** A choice of prompt; no value = none. */
function chip(name: string | null, note: string, checked: boolean): HTMLElement {
  const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'prompt', value: name ?? '', checked })
  const label = element('label', '')
  label.append(input, name ?? 'No prompt', ' ', element('small', note))
  return label
}

function labelBar({ label, score }: LabelScore): HTMLElement {
  const percent = `${(100 * score).toFixed(1)} %`
  const bar = element('div', '', element('span', label), element('span', percent))
  bar.className = 'label'
  bar.style.setProperty('--share', `${100 * score}%`)
  return bar
}

/** Label words with their chances where the prompt has them, else generated text. */
async function ask(pipe: PromptedPipeline, names: readonly (string | null)[]): Promise<void> {
  for (const button of buttons) button.disabled = true
  const started = performance.now()
  try {
    const inputs = names.map(() => text.value)
    const hasLabels = names.map((name) => name !== null && (pipe.bank.get(name).manifest.labels?.length ?? 0) > 0)
    const made = hasLabels.every(Boolean)
      ? (await pipe.classify(inputs, { soft_prompt: names })).map((scores) => scores.map(labelBar))
      : (await pipe(inputs, { soft_prompt: names, max_new_tokens: 12 })).map(({ generated_text }) => [
          element('p', generated_text || '(nothing)'),
        ])
    answers.replaceChildren(...names.map((name, row) => element('article', '', element('h2', name ?? 'No prompt'), ...(made[row] ?? []))))
    status.textContent = `${names.length === 1 ? 'Answered' : `${names.length} rows, one batch,`} in ${(performance.now() - started).toFixed(0)} ms`
  } catch (error) {
    fail(error)
  } finally {
    for (const button of buttons) button.disabled = false
  }
}

function fail(error: unknown): void {
  status.classList.add('failed')
  status.textContent = error instanceof Error ? error.message : String(error)
}

try {
  const { model, prompts } = (await (await fetch('prompts/index.json')).json()) as { model: string; prompts: string[] }
  const pipe = await loadPrompted(Object.fromEntries(prompts.map((name) => [name, new URL(`prompts/${name}`, document.baseURI).href])), {
    base: 'base',
    dtype: 'fp32',
    device: 'wasm',
  })
  const lengthOf = (name: string): string => `${pipe.bank.get(name).embeddings.shape[0]} tokens`
  find('prompts').append(...prompts.map((name, index) => chip(name, lengthOf(name), index === 0)), chip(null, 'the bare model', false))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const chosen = String(new FormData(form).get('prompt') ?? '')
    void ask(pipe, [chosen === '' ? null : chosen])
  })
  find('all').addEventListener('click', () => void ask(pipe, [...prompts, null]))
  for (const button of buttons) button.disabled = false
  status.textContent = [`${model} is loaded.`, ...pipe.warnings].join(' ')
} catch (error) {
  fail(error)
}
