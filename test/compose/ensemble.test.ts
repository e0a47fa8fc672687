/** Prompt ensembling and domain transfer, with trained prompts of several lengths on the shipped base: mixed batches answer as each prompt alone. */
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { answer, answers } from '../../adapters/compose/answer.ts'
import { evaluatePrompts, type EvaluateOptions, type EvaluateResult } from '../../adapters/compose/evaluate.ts'
import { transferTable } from '../../adapters/compose/transfer-table.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { drainTraining, trainPrompt } from '../../adapters/compose/train.ts'
import { joinAnswers } from '../../src/decode/ensemble.ts'

const model = fileURLToPath(new URL('../../models/t5-tiny-en', import.meta.url))
const sentiment = (file: string): string => fileURLToPath(new URL(`../../examples/data/sentiment/${file}.jsonl`, import.meta.url))
const texts = ['a warm and funny film', 'dull from the first minute', 'the cast is wonderful , the script is not']
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-ensemble-'))
const prompts = ['seeds/seed-1', 'seeds/seed-2', 'seeds/seed-3', 'long'].map((name) => join(dir, name))
const dev = join(dir, 'dev.jsonl')

beforeAll(async () => {
  const train = (out: string, seeds: number, length: number): Promise<unknown> =>
    drainTraining(
      trainPrompt({
        model,
        data: sentiment('train'),
        out: join(dir, out),
        seeds,
        threads: 1,
        recipe: { length, steps: 12, batch: 8, seed: 1 },
      }),
    )
  await train('seeds', 3, 5)
  await train('long', 1, 9)
  const rows = [...texts, 'a bad film', 'good', 'i loved it', 'a mess', 'so bad it hurts', 'charming']
  const lines = rows.map((input, row) => JSON.stringify({ input, target: row % 2 === 0 ? 'positive' : 'negative' }))
  writeFileSync(dev, lines.join('\n'))
  mkdirSync(join(dir, 'other'))
  writeFileSync(join(dir, 'other', 'dev.jsonl'), lines.slice(0, 4).join('\n'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const evaluated = async (more: Partial<EvaluateOptions>): Promise<EvaluateResult[]> => {
  const results: EvaluateResult[] = []
  for await (const result of evaluatePrompts({ prompts, model, data: [dev], threads: 1, ...more })) results.push(result)
  return results
}
const accuracyOf = ({ metrics: [metric] }: EvaluateResult): number => metric?.value as number

describe('several prompts in one batch', () => {
  it('answer as each alone, though of several lengths', async () => {
    const together = await answer({ prompts, texts, model, threads: 1 })
    expect(together.map(({ prompt, text }) => [text, prompt])).toEqual(texts.flatMap((text) => prompts.map((prompt) => [text, prompt])))
    for (const [index, prompt] of prompts.entries()) {
      const alone = await answer({ prompts: [prompt], texts, model, threads: 1 })
      for (const [row, { labels = [] }] of alone.entries()) {
        const mixed = together[row * prompts.length + index]?.labels ?? []
        expect(mixed.map(({ label }) => label)).toEqual(labels.map(({ label }) => label))
        for (const [at, { score }] of labels.entries()) expect(mixed[at]?.score).toBeCloseTo(score, 5)
      }
    }
  })

  it.each(['vote', 'mean'] as const)('%s: one answer a text, from the answers of all', async (ensemble) => {
    const single = await answer({ prompts, texts, model, threads: 1 })
    const joined = await answer({ prompts, texts, model, threads: 1, ensemble })
    expect(joined.map(({ text, prompt }) => [text, prompt])).toEqual(texts.map((text) => [text, `${ensemble} of 4`]))
    for (const [row, { answer: said, labels = [] }] of joined.entries()) {
      const own = single.slice(row * 4, row * 4 + 4)
      for (const { label, score } of labels) {
        const shares = own.map((each) =>
          ensemble === 'vote' ? Number(each.answer === label) : (each.labels?.find((one) => one.label === label)?.score ?? 0),
        )
        expect(score).toBeCloseTo(shares.reduce((sum, share) => sum + share, 0) / 4, 6)
      }
      expect(said).toBe(labels[0]?.label)
      expect(labels.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6)
    }
  })
})

describe('texts that come by and by', () => {
  it('are answered as they come, those that are there together', async () => {
    const seen: string[] = []
    async function* coming(): AsyncGenerator<string> {
      yield texts[0] as string
      yield texts[1] as string
      // The next text waits for the answers to these.
      while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve))
      yield texts[2] as string
    }
    for await (const { text } of answers({ prompts: prompts.slice(0, 1), texts: coming(), model, threads: 1 })) seen.push(text)
    expect(seen).toEqual(texts)
  })

  it('what breaks off is thrown after the answers before it', async () => {
    async function* breaking(): AsyncGenerator<string> {
      yield texts[0] as string
      throw new RangeError('broken off')
    }
    const seen: string[] = []
    const all = async (): Promise<void> => {
      for await (const { text } of answers({ prompts: prompts.slice(0, 1), texts: breaking(), model, threads: 1 })) seen.push(text)
    }
    await expect(all()).rejects.toThrow('broken off')
    expect(seen).toEqual(texts.slice(0, 1))
  })

  it('a generated text is told as it grows', async () => {
    const bare = join(dir, 'bare')
    const { labels: _, ...manifest } = (await openPrompt(prompts[0] as string)).manifest
    await writePromptFolder({ ...(await openPrompt(prompts[0] as string)), manifest }, bare)
    const grown: string[] = []
    const [made] = await answer({
      prompts: [bare],
      texts: texts.slice(0, 1),
      model,
      threads: 1,
      maxNewTokens: 6,
      onText: (text, prompt, said) => text === texts[0] && prompt === bare && grown.push(said),
    })
    expect(grown.at(-1)).toBe(made?.generated)
    expect(grown.every((said, at) => at === 0 || said.startsWith(grown[at - 1] as string))).toBe(true)
  })
})

describe('eval', () => {
  it('measures every prompt as it measures it alone, and the ensemble beside their mean and best', async () => {
    const results = await evaluated({ ensemble: 'vote', bare: true })
    expect(results.map(({ prompt }) => prompt)).toEqual(['(no prompt)', ...prompts, 'vote of 4'])
    for (const [index, prompt] of prompts.entries()) {
      const [alone] = await evaluated({ prompts: [prompt] })
      expect(results[index + 1]?.metrics).toEqual(alone?.metrics)
    }
    const single = results.slice(1, 5).map(accuracyOf)
    const voted = results.at(-1)?.single
    expect(voted?.mean).toBeCloseTo(single.reduce((sum, value) => sum + value, 0) / 4, 12)
    expect(voted?.best).toBe(Math.max(...single))
    expect(results.find(({ prompt }) => prompt === voted?.bestPrompt)?.metrics[0]?.value).toBe(voted?.best)
  })

  it('tells of domain transfer: rows are prompts, columns data sets, though two files are called the same', async () => {
    const other = join(dir, 'other', 'dev.jsonl')
    const results = await evaluated({ data: [dev, other], ensemble: 'mean' })
    const table = transferTable(results)
    expect(table).toMatchObject({ metric: 'accuracy', data: [dev, other] })
    expect(table?.rows.map(({ prompt }) => prompt)).toEqual([...prompts, 'mean of 4'])
    expect(table?.rows.map(({ values }) => values)).toEqual(
      [0, 1, 2, 3, 4].map((row) => [results[row], results[row + 5]].map((each) => accuracyOf(each as EvaluateResult))),
    )
    expect(transferTable(results.slice(0, 5))).toBeUndefined()
  })

  it('refuses the mean of what has no labels, and votes on texts', async () => {
    await expect(evaluated({ labels: false, ensemble: 'mean' })).rejects.toMatchObject({ code: 'ensemble-labels' })
    expect((await evaluated({ labels: false, ensemble: 'vote' })).at(-1)?.metrics[0]?.name).toBe('exact_match')
  })
})

const said = (best: string, ...scores: number[]) => ({
  answer: best,
  labels: ['a', 'b', 'c'].slice(0, scores.length).map((label, at) => ({ label, score: scores[at] as number })),
})

describe('joinAnswers', () => {
  it('a tie goes to the earlier prompt', () => {
    expect(joinAnswers([said('b'), said('a'), said('a'), said('b')], 'vote').answer).toBe('b')
  })
  it('a vote needs a label that all know', () => {
    const other = { answer: 'food', labels: [{ label: 'food', score: 1 }] }
    expect(() => joinAnswers([said('a', 0.6, 0.4), other], 'vote')).toThrow(expect.objectContaining({ code: 'ensemble-labels' }))
    expect(joinAnswers([said('a', 0.6, 0.4), said('c', 0.1, 0.2, 0.7)], 'vote').answer).toBe('a')
    expect(joinAnswers([said('a', 0.6, 0.4), { answer: 'a text' }], 'vote').answer).toBe('a')
  })
  it('the mean may overrule the majority', () => {
    const three = [said('a', 0.51, 0.49), said('a', 0.51, 0.49), said('b', 0.01, 0.99)]
    expect([joinAnswers(three, 'vote').answer, joinAnswers(three, 'mean').answer]).toEqual(['a', 'b'])
  })
  it('other labels are refused, in another order they are not', () => {
    expect(() => joinAnswers([said('a', 0.5, 0.5), said('a', 0.5, 0.3, 0.2)], 'mean')).toThrow(
      expect.objectContaining({ code: 'ensemble-labels' }),
    )
    const turned = {
      answer: 'b',
      labels: [
        { label: 'b', score: 0.8 },
        { label: 'a', score: 0.2 },
      ],
    }
    expect(joinAnswers([said('a', 0.6, 0.4), turned], 'mean').answer).toBe('b')
  })
})
