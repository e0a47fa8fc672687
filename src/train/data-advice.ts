/** What is worth saying of a run's rows before it begins: rows that teach nothing, or measure nothing. */
import type { Example } from '../data/examples.ts'
import type { Advice } from './advice.ts'

const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

/** Rows that all have one answer. */
function oneAnswer(examples: readonly Example[]): Advice[] {
  const [first] = examples
  if (first === undefined || examples.length < 2 || examples.some(({ target }) => target !== first.target)) return []
  return [
    {
      code: 'data-one-answer',
      message: `Each of the ${examples.length} rows has the answer ${shown(first.target)}: a prompt learns to say it whatever the input, and every figure looks perfect. Add rows with other answers.`,
    },
  ]
}

/** Inputs that stand there with several answers. */
function contradictions(examples: readonly Example[]): Advice[] {
  const answers = new Map<string, Example>()
  const torn = new Map<string, readonly [Example, Example]>()
  for (const example of examples) {
    const before = answers.get(example.input)
    if (before === undefined) answers.set(example.input, example)
    else if (before.target !== example.target && !torn.has(example.input)) torn.set(example.input, [before, example])
  }
  const [pair] = torn.values()
  if (pair === undefined) return []
  const [a, b] = pair
  const count = torn.size === 1 ? 'One input stands' : `${torn.size} inputs stand`
  return [
    {
      code: 'data-contradicts',
      message: `${count} in the rows with different answers, as ${shown(a.input)}: ${shown(a.target)} at ${a.where}, ${shown(b.target)} at ${b.where}. No prompt can give both; mend or drop such rows.`,
    },
  ]
}

/** U+0085 is white space to Unicode and not to JavaScript. */
const withoutSpace = (text: string): string => text.replaceAll(/[\s\u0085]+/gu, '')

/** Inputs whose fields are empty, or white space. @param frame their template with every field empty */
export function emptyInputs(examples: readonly Example[], frame: string): Advice[] {
  const nothing = new Set(['', withoutSpace(frame)])
  const empty = examples.filter(({ input }) => nothing.has(withoutSpace(input)))
  const [first] = empty
  if (first === undefined) return []
  return [
    {
      code: 'input-empty',
      message: `${empty.length} of ${examples.length} inputs are empty, the first at ${first.where}. Fill or drop such rows, or name the right field.`,
      options: ['template'],
    },
  ]
}

/** Development rows that training sees too. */
function leaks(examples: readonly Example[], dev: readonly Example[]): Advice[] {
  const seen = new Set(examples.map(({ input }) => input))
  const leaked = dev.filter(({ input }) => seen.has(input))
  const [first] = leaked
  if (first === undefined) return []
  const which =
    leaked.length === dev.length
      ? `All ${dev.length} development inputs stand`
      : `${leaked.length} of ${dev.length} development inputs stand`
  return [
    {
      code: 'dev-leak',
      message: `${which} in the training rows too, as ${shown(first.input)} at ${first.where}: what is measured on them is memory. Take rows that training does not see.`,
      options: ['dev', 'holdOut'],
    },
  ]
}

/**
 * Advice on the rows of a run.
 * @param frame the template with every field empty
 */
export function adviseData(examples: readonly Example[], dev: readonly Example[], frame: string): Advice[] {
  return [...oneAnswer(examples), ...contradictions(examples), ...emptyInputs(examples, frame), ...leaks(examples, dev)]
}
