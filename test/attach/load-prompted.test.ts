/** From prompts to answers in one line: templates, generation defaults, labels with probabilities, the refusals. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import type { PromptedPipeline } from '../../adapters/transformers/prompted-pipeline.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { folderOf, int64, promptOf, reference } from './fixtures.ts'

const model = 'tiny-t5-v11'
const ref = reference(model)
const steps = (ref.base_greedy[0]?.length ?? 0) - 1
const withManifest = (name: 'a' | 'b' | 'c', extra: Partial<SoftPrompt['manifest']>): SoftPrompt => {
  const prompt = promptOf(model, name)
  return { ...prompt, manifest: { ...prompt.manifest, ...extra } }
}
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? String(error),
  )

/** Longest row that a mixed call generates. */
const longestOf = async (pipe: PromptedPipeline, options: object): Promise<number> => {
  let longest = 0
  const observe = (rows: bigint[][]): boolean[] => rows.map((row) => (longest = Math.max(longest, row.length - 1)) < 0)
  await pipe([ref.texts[0] as string, { language: 'x', text: 'y' }], {
    soft_prompt: ['a', 'b'],
    stopping_criteria: [observe],
    ...options,
  })
  return longest
}

describe('loadPrompted', () => {
  let pipe: PromptedPipeline
  beforeAll(async () => {
    pipe = await loadPrompted(
      {
        a: withManifest('a', { generation: { max_new_tokens: steps }, labels: ['good', 'bad', 'new movie'] }),
        b: withManifest('b', {
          generation: { max_new_tokens: 3 },
          template: 'translate English to {language}: {text}',
          labels: ['one', 'two'],
        }),
        c: withManifest('c', { template: 'bad {input}' }),
      },
      { base: folderOf(model) },
    )
  })
  afterAll(() => pipe.dispose())
  const decode = (ids: readonly number[] = []): string => pipe.stock.tokenizer.decode([...ids], { skip_special_tokens: true })

  it('answers as PEFT does, with the prompt’s own generation defaults', async () => {
    const answers = await pipe([...ref.texts], { soft_prompt: 'a' })
    expect(answers.map(({ generated_text }) => generated_text)).toEqual(ref.adapters.a.greedy.map(decode))
  })

  it('fills each row’s own template, from a text or from fields', async () => {
    const answers = await pipe([{ language: 'German', text: 'one two three new year' }, 'plot', 'plot'], {
      soft_prompt: ['b', 'c', null],
      max_new_tokens: steps,
    })
    expect(answers[0]?.generated_text).toBe(decode(ref.adapters.b.greedy[3]))
    expect(answers[1]?.generated_text).toBe(decode(ref.adapters.c.greedy[2])) // "bad plot"
    expect(answers[2]).toEqual((await pipe('plot', { soft_prompt: null, max_new_tokens: steps }))[0])
  })

  it('takes the longest default length of a mixed call, and the caller’s before both', async () => {
    expect(await longestOf(pipe, {})).toBe(steps)
    expect(await longestOf(pipe, { max_new_tokens: 2 })).toBe(2)
  })

  it('classifies: softmax over labels of the summed log-probabilities of their tokens and </s>', async () => {
    const text = ref.texts[0] as string
    const labels = ['good', 'bad', 'new movie']
    const ranked = await pipe.classify(text, { soft_prompt: 'a' })
    const sums: number[] = []
    for (const label of labels) {
      const ids = pipe.stock.tokenizer.encode(label)
      const { logits } = await pipe.stock.model({
        input_ids: int64([ref.input_ids[0]?.slice(0, 7) ?? []]),
        attention_mask: int64([ref.attention_mask[0]?.slice(0, 7) ?? []]),
        decoder_input_ids: int64([[0, ...ids.slice(0, -1)]]),
        soft_prompt: 'a',
      })
      const [, length, vocab] = logits.dims as [number, number, number]
      let sum = 0
      for (let step = 0; step < length; step++) {
        const scores = Array.from(logits.data.slice(step * vocab, (step + 1) * vocab) as Float32Array)
        sum += (scores[ids[step] as number] as number) - Math.log(scores.reduce((total, score) => total + Math.exp(score), 0))
      }
      sums.push(sum)
    }
    const total = sums.reduce((all, sum) => all + Math.exp(sum), 0)
    const expected = labels
      .map((label, index) => ({ label, score: Math.exp(sums[index] as number) / total }))
      .toSorted((x, y) => y.score - x.score)
    expect(ranked.map(({ label }) => label)).toEqual(expected.map(({ label }) => label))
    for (const [index, { score }] of ranked.entries()) expect(score).toBeCloseTo(expected[index]?.score as number, 5)
    expect(ranked.reduce((all, { score }) => all + score, 0)).toBeCloseTo(1, 10)
  })

  it('classifies a batch of different prompts as each alone', async () => {
    const inputs = [ref.texts[0] as string, { language: 'German', text: 'one' }, ref.texts[2] as string]
    const prompts = ['a', 'b', 'a'] as const
    const together = await pipe.classify(inputs, { soft_prompt: [...prompts] })
    for (const [row, input] of inputs.entries()) {
      const alone = await pipe.classify(input, { soft_prompt: prompts[row] as string })
      expect(together[row]?.map(({ label }) => label)).toEqual(alone.map(({ label }) => label))
      for (const [index, { score }] of alone.entries()) expect(together[row]?.[index]?.score).toBeCloseTo(score, 5)
    }
  })

  it('classifies with the caller’s labels, with no prompt as well', async () => {
    const ranked = await pipe.classify('bad plot', { soft_prompt: null, labels: ['x', 'y'] })
    expect(ranked.map(({ label }) => label).toSorted()).toEqual(['x', 'y'])
  })

  it('makes two sessions, both of skeletons whose weights stay on disk', async () => {
    const made = vi.spyOn(ort.InferenceSession, 'create')
    const own = await loadPrompted(promptOf(model, 'a'), { base: folderOf(model) })
    const sizes = made.mock.calls.map(([source]) => (source as unknown as Uint8Array).length)
    expect(sizes).toHaveLength(2)
    for (const [index, file] of ['decoder_model_merged', 'encoder_model'].entries())
      expect(sizes[index]).toBeLessThan(statSync(join(folderOf(model), `onnx/${file}.onnx`)).size / 4)
    made.mockRestore()
    expect(own.stock.model.generation_config).toEqual(JSON.parse(readFileSync(join(folderOf(model), 'generation_config.json'), 'utf8')))
    await own.dispose()
  })

  it('with little memory packs no weights, keeps other session options, and answers the same', async () => {
    const made = vi.spyOn(ort.InferenceSession, 'create')
    const extra = { session: { set_denormal_as_zero: '1' } }
    const own = await loadPrompted(promptOf(model, 'a'), { base: folderOf(model), memory: 'low', session_options: { extra } })
    const given = made.mock.calls.map((call) => (call as unknown[])[1]) as { extra: { session: object } }[]
    expect(given).toHaveLength(2)
    for (const options of given) expect(options.extra.session).toMatchObject({ disable_prepacking: '1', set_denormal_as_zero: '1' })
    made.mockRestore()
    const [answer] = await own(ref.texts[0] as string, { max_new_tokens: steps })
    expect(answer?.generated_text).toBe(decode(ref.adapters.a.greedy[0]))
    await own.dispose()
  })

  it('takes dtype and device for each file, as transformers.js does', async () => {
    const dtype = { encoder_model: 'q8', decoder_model_merged: 'fp32' }
    const own = await loadPrompted(promptOf(model, 'a'), {
      base: folderOf(model),
      dtype,
      device: { encoder_model: 'cpu', decoder_model_merged: 'cpu' },
    })
    const sessions = (own.stock.model as unknown as { sessions: Record<string, { config: unknown }> }).sessions
    expect([sessions['model']?.config, sessions['decoder_model_merged']?.config]).toEqual([
      { dtype: 'q8', device: 'cpu' },
      { dtype: 'fp32', device: 'cpu' },
    ])
    expect(own.warnings.join()).toContain('dynamically quantised')
    await own.dispose()
  })

  it('asks which prompt, when there are several', async () => expect(await codeOf(pipe('text'))).toBe('prompt-choice'))
  it('names an unknown prompt', async () => expect(await codeOf(pipe('text', { soft_prompt: 'zz' }))).toBe('prompt-unknown'))
  it('says that a template wants fields', async () => expect(await codeOf(pipe('text', { soft_prompt: 'b' }))).toBe('template-fields'))
  it('says that there are no labels', async () => expect(await codeOf(pipe.classify('text', { soft_prompt: 'c' }))).toBe('prompt-labels'))

  it('takes and drops prompts at run time', async () => {
    pipe.bank.add('late', promptOf(model, 'a'))
    const options = { soft_prompt: 'late', max_new_tokens: steps }
    expect((await pipe(ref.texts[0] as string, options))[0]?.generated_text).toBe(decode(ref.adapters.a.greedy[0]))
    pipe.bank.remove('late')
    expect(await codeOf(pipe('text', options))).toBe('prompt-unknown')
  })
})

describe('loadPrompted refuses', () => {
  it('no prompt at all', async () => expect(await codeOf(loadPrompted([]))).toBe('prompts-none'))
  it('prompts of two bases', async () => {
    expect(await codeOf(loadPrompted([promptOf('tiny-t5-v10', 'a'), promptOf('tiny-t5-v11', 'a')]))).toBe('prompts-bases')
  })
  it('a base without ONNX files', async () => {
    expect(await codeOf(loadPrompted(promptOf(model, 'a'), { base: `${folderOf(model)}/hf`, exportTo: false }))).toBe('base-no-onnx')
  })
  it.each(['constructor', '__proto__'])('a prompt whose base is called %s', async (id) => {
    const odd: SoftPrompt = { embeddings: { dtype: 'F32', shape: [1, 2], data: new Float32Array(2) }, manifest: { base: { id } } }
    expect(await codeOf(loadPrompted(odd, { exportTo: false }))).toBe('base-no-onnx')
  })
  it('a prompt of another width', async () => {
    const narrow: SoftPrompt = { embeddings: { dtype: 'F32', shape: [1, 2], data: new Float32Array(2) }, manifest: { base: { id: model } } }
    expect(await codeOf(loadPrompted(narrow, { base: folderOf(model) }))).toBe('prompt-width')
  })
})
