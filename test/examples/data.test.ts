/** The example rows are what their generator writes, and development rows measure something: no sentence, template or opinion word of theirs is trained on. */
import { describe, expect, it } from 'vitest'
import { formatRows, ROWS, TASKS } from '../../examples/data/make.ts'
import type { Row } from '../../examples/data/grammar.ts'

const folder = new URL('../../examples/data/', import.meta.url).pathname
const parse = (text: string): Row[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)

describe.each(TASKS)('$name', (task) => {
  const train = formatRows(task, 'train')
  const dev = formatRows(task, 'dev')

  it('is committed as generated', async () => {
    await expect(train).toMatchFileSnapshot(`${folder}${task.name}/train.jsonl`)
    await expect(dev).toMatchFileSnapshot(`${folder}${task.name}/dev.jsonl`)
  })

  it('has different sentences, balanced labels, and no training sentence or template among the development rows', () => {
    const [seen, asked] = [parse(train), parse(dev)]
    expect([seen.length, asked.length]).toEqual([ROWS.train, ROWS.dev])
    expect(new Set([...seen, ...asked].map(({ input }) => input.toLowerCase())).size).toBe(ROWS.train + ROWS.dev)
    for (const rows of [seen, asked]) {
      const counts = Object.keys(task.labels).map((label) => rows.filter(({ target }) => target === label).length)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }
    for (const { train: trained, dev: held } of Object.values(task.labels))
      expect(trained.filter((text) => held.includes(text))).toEqual([])
  })

  it('keeps the words that are for development out of training', () => {
    for (const slot of Object.values(task.slots))
      expect((slot.dev ?? []).filter((word) => !word.includes('{') && slot.train.includes(word))).toEqual([])
  })
})
