/** Answers of prompts to texts: the library's `run`. */
import { parseTemplate } from '../../src/data/template.ts'
import { generate } from '../../src/decode/beam.ts'
import { labelProbabilities, scoreLabels } from '../../src/decode/score.ts'
import { ConfigError } from '../../src/errors.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { encodeInput } from '../../src/train/evaluate.ts'
import { openPrompted, type Prompted, type PromptedOptions } from './prompted.ts'

export interface LabelScore {
  readonly label: string
  /** Probability among the labels. */
  readonly score: number
}

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
  readonly ensemble?: 'vote' | 'mean'
}

const BATCH = 32

/** Fills a text into a template of one field; the text itself where the template has several or none. */
function filled(prompt: SoftPrompt, text: string): string {
  const template = parseTemplate(prompt.manifest.template ?? '{input}')
  const [field] = template.fields
  return template.fields.length === 1 && field !== undefined ? template.render({ fields: { [field]: text }, where: 'the text' }) : text
}

/** Answers every text with every prompt, texts outermost; with `ensemble`, one answer a text. @throws {ConfigError} `ensemble-labels` */
export async function answer(options: AnswerOptions): Promise<Answer[]> {
  const prompted = await openPrompted(options)
  try {
    const byPrompt: Answer[][] = []
    for (const { name, prompt } of prompted.prompts) byPrompt.push(await answersOf(prompted, name, prompt, options))
    const byText = options.texts.map((_, index) => byPrompt.map((answers) => answers[index] as Answer))
    return options.ensemble === undefined ? byText.flat() : byText.map((answers) => join(answers, options.ensemble as 'vote' | 'mean'))
  } finally {
    await prompted.dispose()
  }
}

async function answersOf({ base, model }: Prompted, name: string, prompt: SoftPrompt, options: AnswerOptions): Promise<Answer[]> {
  const { tokenizer, config } = base
  const { labels } = prompt.manifest
  const labelIds = labels?.map((label) => tokenizer.encode(label))
  const answers: Answer[] = []
  for (let from = 0; from < options.texts.length; from += BATCH) {
    const texts = options.texts.slice(from, from + BATCH)
    const input = encodeInput(
      texts.map((text) => tokenizer.encode(filled(prompt, text))),
      tokenizer.padId,
      { data: prompt.embeddings.data, width: config.width },
    )
    if (labels && labelIds) {
      const scores = await scoreLabels(model, input, labelIds, config.startId)
      for (const [row, text] of texts.entries()) {
        const chances = labelProbabilities(scores[row] as Float64Array)
        const ranked = labels.map((label, index) => ({ label, score: chances[index] as number })).toSorted((a, b) => b.score - a.score)
        answers.push({ text, prompt: name, answer: ranked[0]?.label ?? '', labels: ranked })
      }
    } else {
      const made = await generate(model, input, {
        startId: config.startId,
        eosId: tokenizer.eosId,
        padId: tokenizer.padId,
        maxNewTokens: options.maxNewTokens ?? 64,
        beams: options.beams ?? 1,
      })
      for (const [row, text] of texts.entries()) {
        const generated = tokenizer.decode(made[row] ?? [])
        answers.push({ text, prompt: name, answer: generated, generated })
      }
    }
  }
  return answers
}

/** Votes break ties by the first prompt that voted for one of them; means average each label's probability. */
function join(answers: readonly Answer[], how: 'vote' | 'mean'): Answer {
  const [first] = answers as [Answer, ...Answer[]]
  const prompt = `${how} of ${answers.length}`
  if (how === 'vote') {
    const votes = new Map<string, number>()
    for (const { answer: said } of answers) votes.set(said, (votes.get(said) ?? 0) + 1)
    const labels = [...votes].map(([label, count]) => ({ label, score: count / answers.length })).toSorted((a, b) => b.score - a.score)
    return { text: first.text, prompt, answer: labels[0]?.label ?? '', labels }
  }
  const sums = new Map<string, number>()
  for (const { labels } of answers) {
    if (!labels || labels.length !== first.labels?.length) {
      throw new ConfigError('ensemble-labels', 'The mean needs prompts with the same labels; use --ensemble vote, or ask them one by one.')
    }
    for (const { label, score } of labels) sums.set(label, (sums.get(label) ?? 0) + score / answers.length)
  }
  const labels = [...sums].map(([label, score]) => ({ label, score })).toSorted((a, b) => b.score - a.score)
  return { text: first.text, prompt, answer: labels[0]?.label ?? '', labels }
}
