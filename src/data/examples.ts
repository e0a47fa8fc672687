/** Rows to text-to-text examples, and examples to token ids. */
import { ConfigError, DataError } from '../errors.ts'
import type { Row } from './rows.ts'
import { fieldText, type Template } from './template.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface Example {
  readonly input: string
  readonly target: string
  readonly where: string
}

/** An example as piece ids, each ending in `</s>`. */
export interface EncodedExample {
  readonly inputIds: readonly number[] // [T]
  readonly targetIds: readonly number[] // [U]
}

export interface ExampleOptions {
  readonly template: Template
  /** The field with the answer. */
  readonly target: string
  /** Raw answer to label word (`{"0": "negative", "1": "positive"}`); answers it does not name are refused. */
  readonly labelMap?: Readonly<Record<string, string>>
  /** Answers that the map does not name are taken as they stand: they may be label words already. */
  readonly keepUnmapped?: boolean
}

/** Space of every kind at the ends of a text; U+0085 is white space to Unicode and not to JavaScript. */
const OUTER_SPACE = /^[\s\u0085]+|[\s\u0085]+$/gu
const trimmed = (text: string): string => text.replace(OUTER_SPACE, '')

/**
 * Makes an example of each row. Answers are trimmed: "positive" and "positive " are one label, and one to the tokenizer.
 * @throws {DataError} `row-field` | `row-label` | `row-empty-target`, naming file and line; `rows-none` where there is no row.
 * @throws {ConfigError} `template-no-field`; `label-map-value` for a label that is no text
 */
export function toExamples(rows: readonly Row[], options: ExampleOptions): Example[] {
  const { template, labelMap: map } = options
  if (template.fields.length === 0) {
    throw new ConfigError(
      'template-no-field',
      `The template ${JSON.stringify(template.text)} names no field: every row would give the same text. Write a field's name in braces, as {input}.`,
      { facts: { template: template.text } },
    )
  }
  if (rows.length === 0) throw new DataError('rows-none', 'The data holds no rows. Check the file, or the split asked for.')
  if (map) checkLabels(map)
  return rows.map((row) => {
    const target = trimmed(answerOf(row, options))
    if (target === '') {
      throw new DataError('row-empty-target', `${row.where}: the answer in "${options.target}" is empty. Fill it or drop the row.`, {
        facts: { where: row.where },
      })
    }
    return { input: template.render(row), target, where: row.where }
  })
}

/** The answer as the row has it, or the word that the map has for it. */
function answerOf(row: Row, { target, labelMap: map, keepUnmapped }: ExampleOptions): string {
  const raw = fieldText(row, target, 'Name the field that holds the answer as target.', ['target'])
  if (!map) return raw
  const key = [raw, trimmed(raw)].find((name) => Object.hasOwn(map, name))
  if (key !== undefined) return map[key] as string
  if (keepUnmapped) return raw
  throw new DataError(
    'row-label',
    `${row.where}: the answer ${JSON.stringify(raw)} is not in the label map (known: ${Object.keys(map).join(', ')}). Add it, or mend the row.`,
    { facts: { where: row.where, answer: raw } },
  )
}

function checkLabels(map: Readonly<Record<string, unknown>>): void {
  for (const [answer, label] of Object.entries(map)) {
    if (typeof label === 'string') continue
    throw new ConfigError(
      'label-map-value',
      `The label map gives ${JSON.stringify(label)} for "${answer}"; a label is a text: write {"${answer}": "…"}.`,
      { facts: { answer } },
    )
  }
}

export interface EncodedExamples {
  readonly examples: readonly EncodedExample[]
  /** How many inputs and targets were cut to their limit. */
  readonly truncatedInputs: number
  readonly truncatedTargets: number
}

/** Keeps `</s>` at the end of what is cut, as Hugging Face tokenizers do. */
const cut = (ids: number[], most: number, eosId: number): number[] => (ids.length <= most ? ids : [...ids.slice(0, most - 1), eosId])

/**
 * Tokenizes examples, cutting inputs to `maxInput` and targets to `maxTarget` pieces with `</s>`.
 * @throws {ConfigError} `max-tokens` for a limit under 2.
 */
export function encodeExamples(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  limits: { readonly maxInput: number; readonly maxTarget: number },
): EncodedExamples {
  const { maxInput, maxTarget } = limits
  if (maxInput < 2 || maxTarget < 2) {
    throw new ConfigError(
      'max-tokens',
      `Inputs and targets need room for a piece and </s>: at least 2 tokens, got ${maxInput} and ${maxTarget}.`,
    )
  }
  let truncatedInputs = 0
  let truncatedTargets = 0
  // Answers repeat in classification: each distinct one is tokenized once.
  const targets = new Map<string, number[]>()
  const encoded = examples.map(({ input, target }) => {
    const inputIds = tokenizer.encode(input)
    let targetIds = targets.get(target)
    if (!targetIds) targets.set(target, (targetIds = tokenizer.encode(target)))
    if (inputIds.length > maxInput) truncatedInputs++
    if (targetIds.length > maxTarget) truncatedTargets++
    return { inputIds: cut(inputIds, maxInput, tokenizer.eosId), targetIds: cut(targetIds, maxTarget, tokenizer.eosId) }
  })
  return { examples: encoded, truncatedInputs, truncatedTargets }
}

/** A set of answers this small, each seen often, is a set of labels. */
const MOST_LABELS = 64

/** The label words of a classification task, sorted; undefined where the answers look like free text. */
export function labelsOf(examples: readonly Example[]): string[] | undefined {
  const labels = new Set<string>()
  for (const { target } of examples) {
    labels.add(target)
    if (labels.size > MOST_LABELS) return undefined
  }
  return labels.size >= 2 && labels.size * 2 <= examples.length ? [...labels].toSorted() : undefined
}
