/** Answers of prompts to texts: the library's `run`. */
import { DEFAULT_TEMPLATE, fillText } from '../../src/data/template.ts'
import { answerRows, type LabelScore } from '../../src/decode/answer.ts'
import { joinAnswers, type Ensemble } from '../../src/decode/ensemble.ts'
import { openPrompted, type Prompted, type PromptedOptions } from './prompted.ts'

export interface Answer {
  readonly text: string
  readonly prompt: string
  /** The best label where the prompt has labels, else the generated text. */
  readonly answer: string
  readonly generated?: string
  readonly labels?: readonly LabelScore[]
}

export interface AnswerOptions extends PromptedOptions {
  /** Those that come by and by are answered as they come. */
  readonly texts: readonly string[] | AsyncIterable<string>
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  /** Joins the prompts' answers into one: the majority, or the mean of their probabilities. */
  readonly ensemble?: Ensemble
  /** Told a generated text as it grows, where greedy search makes it. */
  readonly onText?: (text: string, prompt: string, answer: string) => void
}

/** Answers that are there sooner with weights as they are mapped, even of 64 tokens: packing them takes longer than it saves. */
const FEW = 4

/** Rows answered at once. */
const BATCH = 64

/** Answers every text with every prompt, texts outermost; with `ensemble`, one answer a text. @throws {ConfigError} `ensemble-labels` */
export async function answer(options: AnswerOptions): Promise<Answer[]> {
  const all: Answer[] = []
  for await (const each of answers(options)) all.push(each)
  return all
}

/** The same, each as soon as it is there. Prompts share batches: each row has its own. */
export async function* answers(options: AnswerOptions): AsyncGenerator<Answer, void> {
  const few = !(Symbol.asyncIterator in options.texts) && options.texts.length * options.prompts.length <= FEW
  const prompted = await openPrompted(few && (options.engine ?? 'onnxruntime') === 'onnxruntime' ? { memory: 'low', ...options } : options)
  try {
    const most = Math.max(1, Math.floor(BATCH / prompted.prompts.length))
    for await (const texts of blocksOf(options.texts, most)) yield* await answersOf(texts, prompted, options)
  } finally {
    await prompted.dispose()
  }
}

/** At most so many texts at a time: of those that come by and by, what is there. */
async function* blocksOf(texts: AnswerOptions['texts'], most: number): AsyncGenerator<readonly string[], void> {
  if (!(Symbol.asyncIterator in texts)) {
    for (let from = 0; from < texts.length; from += most) yield texts.slice(from, from + most)
    return
  }
  const source = texts[Symbol.asyncIterator]()
  const pull = (): Promise<IteratorResult<string>> => {
    const pulled = source.next()
    // Thrown where it is waited for: after what came before it was answered.
    pulled.catch(() => {})
    return pulled
  }
  let next = pull()
  for (let first = await next; first.done !== true; first = await next) {
    const block: string[] = []
    for (
      let each: IteratorResult<string> | undefined = first;
      each?.done === false;
      each = await Promise.race([next.catch(() => undefined), soon()])
    ) {
      block.push(each.value)
      next = pull()
      if (block.length === most) break
    }
    yield block
  }
}

/** Nothing, once all that has come was handed on. */
const soon = (): Promise<undefined> => new Promise((resolve) => setImmediate(resolve, undefined))

async function answersOf(texts: readonly string[], { base, model, prompts }: Prompted, options: AnswerOptions): Promise<Answer[]> {
  const { ensemble, maxNewTokens, beams, onText } = options
  const asked = texts.flatMap((text) => prompts.map(({ name, prompt }) => ({ text, name, prompt })))
  const found: Answer[] = []
  // Rows with the same label words run together; so do those that generate.
  for (const labels of new Map(prompts.map(({ prompt: { manifest } }) => [JSON.stringify(manifest.labels), manifest.labels])).values()) {
    const own = asked.flatMap((each, row) =>
      JSON.stringify(each.prompt.manifest.labels) === JSON.stringify(labels) ? [{ ...each, row }] : [],
    )
    const made = await answerRows({
      model,
      tokenizer: base.tokenizer,
      startId: base.config.startId,
      rows: own.map(({ prompt, text }) => ({
        inputIds: base.tokenizer.encode(fillText(prompt.manifest.template ?? DEFAULT_TEMPLATE, text)),
        prompt: prompt.embeddings,
      })),
      ...(labels ? { labels } : {}),
      ...(maxNewTokens === undefined ? {} : { maxNewTokens }),
      ...(beams === undefined ? {} : { beams }),
      ...(onText ? { onText: (index, said) => onText(own[index]?.text ?? '', own[index]?.name ?? '', said) } : {}),
    })
    for (const [index, { row, text, name }] of own.entries()) {
      const said = made[index] as (typeof made)[number]
      found[row] = { text, prompt: name, ...said, ...(labels ? {} : { generated: said.answer }) }
    }
  }
  if (ensemble === undefined) return found
  return texts.map((text, index) => {
    const own = found.slice(index * prompts.length, (index + 1) * prompts.length)
    return { text, prompt: `${ensemble} of ${prompts.length}`, ...joinAnswers(own, ensemble) }
  })
}
