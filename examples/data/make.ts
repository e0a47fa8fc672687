/** The rows of the example tasks: what is written in the folders beside this file. `npx vitest run test/examples/data.test.ts -u` writes them. */
import { makeRows, type Part, type Task } from './grammar.ts'
import { question } from './question.ts'
import { sentiment } from './sentiment.ts'
import { topic } from './topic.ts'

export const TASKS: readonly Task[] = [sentiment, question, topic]
export const ROWS: Readonly<Record<Part, number>> = { train: 800, dev: 200 }

/** One file's text: a JSON line `{"input", "target"}` a row. */
export function formatRows(task: Task, part: Part): string {
  const rows = makeRows(task, part, ROWS[part], part === 'train' ? 1 : 2)
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}
