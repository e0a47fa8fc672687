/** Answers of prompts to texts: the library's `run`. */
import { DEFAULT_TEMPLATE, fillTemplate, parseTemplate, type TemplateInput } from '../../src/data/template.ts'
import { answerRows, type LabelScore } from '../../src/decode/answer.ts'
import { joinAnswers } from '../../src/decode/ensemble.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { NamedPrompt } from './answering-base.ts'
import { generationOf, groupsOf } from './generation.ts'
import { openPrompted, type Prompted, type PromptedOptions } from './prompted.ts'

export interface Answer {
  /** The text that was given; of fields, the template filled with them. */
  readonly text: string
  readonly fields?: Readonly<Record<string, unknown>>
  readonly prompt: string
  /** The best label where the prompt has labels, else the generated text. */
  readonly answer: string
  readonly generated?: string
  readonly labels?: readonly LabelScore[]
}

/** A text, or the fields of the prompts' templates. */
export type AnswerInput = TemplateInput

export interface AnswerOptions extends PromptedOptions {
  /** Texts, for templates of one field, or fields by name. Those that come by and by are answered as they come. */
  readonly texts: readonly AnswerInput[] | AsyncIterable<AnswerInput>
  /** What messages call an input, by its index. Default: `text 1`. */
  readonly where?: (index: number) => string
  /** Default: the prompt's own, else what it was trained with, else 64. */
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default: the prompt's own, else 1: greedy. */
  readonly beams?: number
  /** Told a generated text as it grows, where greedy search makes it. */
  readonly onText?: (text: string, prompt: string, answer: string) => void
}

/** Answers that are there sooner with weights as they are mapped, even of 64 tokens: packing them takes longer than it saves. */
const FEW = 4

/** Rows answered at once. */
const BATCH = 64

/**
 * Answers every text with every prompt, texts outermost; with `ensemble`, one answer a text.
 * @throws {ConfigError} `ensemble-labels`; `template-fields` for a lone text and a template of several fields
 * @throws {DataError} `row-field` for fields that a template names and an input lacks
 */
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
    const fill = filler(prompted.prompts, options)
    const { texts } = options
    // Of texts that are all there, one that fits no template is told before the first is answered.
    const asked = Symbol.asyncIterator in texts ? undefined : texts.map(fill)
    let first = 0
    for await (const block of blocksOf(texts, most)) {
      const { filled, broken } = asked ? { filled: asked.slice(first, first + block.length) } : filledUpTo(block, first, fill)
      yield* await answersOf(filled.flat(), filled.length, prompted, options)
      if (broken !== undefined) throw broken
      first += block.length
    }
  } finally {
    await prompted.dispose()
  }
}

/** At most so many texts at a time: of those that come by and by, what is there. */
async function* blocksOf(texts: AnswerOptions['texts'], most: number): AsyncGenerator<readonly AnswerInput[], void> {
  if (!(Symbol.asyncIterator in texts)) {
    for (let from = 0; from < texts.length; from += most) yield texts.slice(from, from + most)
    return
  }
  const source = texts[Symbol.asyncIterator]()
  const pull = (): Promise<IteratorResult<AnswerInput>> => {
    const pulled = source.next()
    // Thrown where it is waited for: after what came before it was answered.
    pulled.catch(() => {})
    return pulled
  }
  let next = pull()
  for (let first = await next; first.done !== true; first = await next) {
    const block: AnswerInput[] = []
    for (
      let each: IteratorResult<AnswerInput> | undefined = first;
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

interface Ask {
  /** What was given. */
  readonly given: Pick<Answer, 'text' | 'fields'>
  readonly filled: string
  readonly name: string
  readonly prompt: SoftPrompt
}

type Fill = (input: AnswerInput, index: number) => Ask[]

/** An input for every prompt, its template filled. */
function filler(prompts: readonly NamedPrompt[], { where = (index) => `text ${index + 1}` }: AnswerOptions): Fill {
  const ready = prompts.map((each) => ({ ...each, template: parseTemplate(each.prompt.manifest.template ?? DEFAULT_TEMPLATE) }))
  return (input, index) =>
    ready.map(({ name, prompt, template }) => {
      const filled = fillTemplate(template, input, where(index))
      return { given: typeof input === 'string' ? { text: input } : { text: filled, fields: input }, filled, name, prompt }
    })
}

/** The inputs before the first that fits no template, and what is wrong with that. */
function filledUpTo(block: readonly AnswerInput[], first: number, fill: Fill): { readonly filled: Ask[][]; readonly broken?: unknown } {
  const filled: Ask[][] = []
  for (const [index, input] of block.entries()) {
    try {
      filled.push(fill(input, first + index))
    } catch (broken) {
      return { filled, broken }
    }
  }
  return { filled }
}

async function answersOf(
  asked: readonly Ask[],
  texts: number,
  { tokenizer, startId, model, prompts }: Prompted,
  options: AnswerOptions,
): Promise<Answer[]> {
  const { ensemble, onText } = options
  const found: Answer[] = []
  const ways = asked.map(({ prompt: { manifest } }) => ({ labels: manifest.labels, generation: generationOf(manifest, options) }))
  for (const group of groupsOf(ways)) {
    const own = group.map((row) => asked[row] as Ask)
    const { labels, generation } = ways[group[0] as number] as (typeof ways)[number]
    const made = await answerRows({
      model,
      tokenizer,
      startId,
      rows: own.map(({ prompt, filled }) => ({ inputIds: tokenizer.encode(filled), prompt: prompt.embeddings })),
      ...generation,
      ...(labels ? { labels } : {}),
      ...(onText ? { onText: (index, said) => onText(own[index]?.given.text ?? '', own[index]?.name ?? '', said) } : {}),
    })
    for (const [index, { given, name }] of own.entries()) {
      const said = made[index] as (typeof made)[number]
      found[group[index] as number] = { ...given, prompt: name, ...said, ...(labels ? {} : { generated: said.answer }) }
    }
  }
  if (ensemble === undefined) return found
  return Array.from({ length: texts }, (_, index) => {
    const own = found.slice(index * prompts.length, (index + 1) * prompts.length)
    const given = asked[index * prompts.length]?.given ?? { text: '' }
    return { ...given, prompt: `${ensemble} of ${prompts.length}`, ...joinAnswers(own, ensemble) }
  })
}
