/** Answers of prompts to texts: the library's `run`. */
import { parseTemplate } from '../../src/data/template.ts'
import { answerRows, type LabelScore } from '../../src/decode/answer.ts'
import { joinAnswers, type Ensemble } from '../../src/decode/ensemble.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { openPrompted, type PromptedOptions } from './prompted.ts'

export interface Answer {
  readonly text: string
  readonly prompt: string
  /** The best label where the prompt has labels, else the generated text. */
  readonly answer: string
  readonly generated?: string
  readonly labels?: readonly LabelScore[]
}

export interface AnswerOptions extends PromptedOptions {
  readonly texts: readonly string[]
  readonly maxNewTokens?: number
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  /** Joins the prompts' answers into one: the majority, or the mean of their probabilities. */
  readonly ensemble?: Ensemble
}

/** Fills a text into a template of one field; the text itself where the template has several or none. */
function filled(prompt: SoftPrompt, text: string): string {
  const template = parseTemplate(prompt.manifest.template ?? '{input}')
  const [field] = template.fields
  return template.fields.length === 1 && field !== undefined ? template.render({ fields: { [field]: text }, where: 'the text' }) : text
}

/**
 * Answers every text with every prompt, texts outermost; with `ensemble`, one answer a text. Prompts share batches: each row has its own.
 * @throws {ConfigError} `ensemble-labels`
 */
export async function answer(options: AnswerOptions): Promise<Answer[]> {
  const { texts, ensemble, maxNewTokens, beams } = options
  const { base, model, prompts, dispose } = await openPrompted(options)
  try {
    const asked = texts.flatMap((text) => prompts.map(({ name, prompt }) => ({ text, name, prompt })))
    const answers: Answer[] = []
    // Rows with the same label words run together; so do those that generate.
    for (const labels of new Map(
      prompts.map(({ prompt: { manifest } }) => [JSON.stringify(manifest.labels ?? null), manifest.labels]),
    ).values()) {
      const own = [...asked.keys()].filter((row) => JSON.stringify(asked[row]?.prompt.manifest.labels) === JSON.stringify(labels))
      const made = await answerRows({
        model,
        tokenizer: base.tokenizer,
        startId: base.config.startId,
        rows: own.map((row) => {
          const { prompt, text } = asked[row] as (typeof asked)[number]
          return { inputIds: base.tokenizer.encode(filled(prompt, text)), prompt: prompt.embeddings }
        }),
        ...(labels ? { labels } : {}),
        ...(maxNewTokens === undefined ? {} : { maxNewTokens }),
        ...(beams === undefined ? {} : { beams }),
      })
      for (const [index, row] of own.entries()) {
        const { text, name } = asked[row] as (typeof asked)[number]
        const said = made[index] as (typeof made)[number]
        answers[row] = { text, prompt: name, ...said, ...(labels ? {} : { generated: said.answer }) }
      }
    }
    if (ensemble === undefined) return answers
    return texts.map((text, index) => {
      const own = answers.slice(index * prompts.length, (index + 1) * prompts.length)
      return { text, prompt: `${ensemble} of ${prompts.length}`, ...joinAnswers(own, ensemble) }
    })
  } finally {
    await dispose()
  }
}
