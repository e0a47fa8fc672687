/** Trains a soft prompt in the page: rows in, curve while it runs, artifact out. */
import { createCurve } from './curve.ts'
import type { Asked, Told } from './worker.ts'

declare const __MODEL__: string

const find = <T extends HTMLElement>(id: string): T => document.querySelector<T>(`#${id}`) as T
const [status, text, answer] = [find('status'), find<HTMLTextAreaElement>('rows'), find('answer')]
const [start, stop, ask] = [find<HTMLButtonElement>('start'), find<HTMLButtonElement>('stop'), find<HTMLButtonElement>('ask')]
const [progress, save] = [find<HTMLProgressElement>('progress'), find<HTMLAnchorElement>('save')]
const curve = createCurve(find('curve'))
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
const say = (asked: Asked): void => worker.postMessage(asked, [])

let accuracy = ''
let base = ''

function show(message: string, failed = false): void {
  status.textContent = message
  status.classList.toggle('failed', failed)
}

function running(is: boolean): void {
  start.disabled = is
  stop.disabled = !is
  ask.disabled = is
}

const minutes = (ms: number): string => (ms < 90_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`)
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const hear: { readonly [K in Told['type']]: (told: Extract<Told, { type: K }>) => void } = {
  loading: ({ done, of }) => {
    progress.max = of
    progress.value = done
  },
  ready: (told) => {
    ;({ base } = told)
    progress.value = 0
    running(false)
    show(`${base} is loaded. It trains on ${told.device === 'webgpu' ? 'the GPU, by WebGPU' : 'the CPU, by WebAssembly'}.`)
  },
  step: ({ step, steps, loss, leftMs }) => {
    progress.max = steps
    progress.value = step
    curve.add(loss)
    show(`Step ${step} of ${steps}, loss ${loss.toFixed(2)}${accuracy}; ${minutes(leftMs)} left`)
  },
  evaluated: ({ step, accuracy: share }) => {
    accuracy = `, ${percent(share)} of the rows kept apart right at step ${step}`
  },
  trained: ({ reason, bundle }) => {
    URL.revokeObjectURL(save.href)
    save.href = URL.createObjectURL(new Blob([bundle as Uint8Array<ArrayBuffer>], { type: 'application/gzip' }))
    save.hidden = false
    running(false)
    show(`${reason === 'aborted' ? 'Stopped' : 'Trained'}${accuracy}. The prompt has ${Math.round(bundle.length / 1000)} kB.`)
  },
  answer: ({ answer: { answer: best, labels = [] } }) => {
    const bars = labels.map(({ label, score }) => {
      const bar = document.createElement('div')
      bar.className = 'label'
      bar.style.setProperty('--share', `${100 * score}%`)
      bar.append(...[label, percent(score)].map((part) => Object.assign(document.createElement('span'), { textContent: part })))
      return bar
    })
    answer.replaceChildren(...(bars.length > 0 ? bars : [best || '(nothing)']))
    running(false)
  },
  failed: ({ message }) => {
    running(base === '')
    stop.disabled = true
    show(message, true)
  },
}
worker.addEventListener('message', ({ data }: MessageEvent<Told>) => hear[data.type](data as never))
worker.addEventListener('error', ({ message }) => show(message, true))

/** Rows of JSON Lines. */
function parseRows(): Record<string, unknown>[] {
  return text.value
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '')
    .map(({ line, number }) => {
      try {
        return JSON.parse(line) as Record<string, unknown>
      } catch {
        throw new Error(`Line ${number} is not JSON: ${line.slice(0, 60)}`)
      }
    })
}

const number = (id: string): number => find<HTMLInputElement>(id).valueAsNumber

find<HTMLFormElement>('form').addEventListener('submit', (event) => {
  event.preventDefault()
  try {
    const rows = parseRows()
    const steps = number('steps')
    const recipe = {
      length: number('length'),
      steps,
      batch: number('batch'),
      learningRate: 0.3,
      schedule: 'linear' as const,
      maxInputTokens: 128,
      evalEvery: Math.max(10, Math.ceil(steps / 5)),
      holdOut: Math.min(40, Math.floor(rows.length / 5)),
    }
    accuracy = ''
    save.hidden = true
    curve.clear(steps)
    running(true)
    show('Starting…')
    say({ type: 'train', rows, recipe })
  } catch (error) {
    show((error as Error).message, true)
  }
})
stop.addEventListener('click', () => say({ type: 'stop' }))
find<HTMLFormElement>('try').addEventListener('submit', (event) => {
  event.preventDefault()
  ask.disabled = true
  say({ type: 'ask', text: find<HTMLInputElement>('text').value })
})

text.value = (await (await fetch('rows.jsonl')).text()).trimEnd().split('\n').slice(0, 240).join('\n')
say({ type: 'open', model: new URL(__MODEL__, document.baseURI).href })
