/** Generation through a prompted pipeline: beams are searched, what would be ignored is refused, scores that are no numbers are said. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { ignoredOptions, planGeneration } from '../../adapters/transformers/generation.ts'
import type { PromptedPipeline } from '../../adapters/transformers/prompted-pipeline.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { folderOf, promptOf, reference } from './fixtures.ts'

const model = 'tiny-t5-v11'
const ref = reference(model)
const withGeneration = (generation: NonNullable<SoftPrompt['manifest']['generation']>): SoftPrompt => {
  const prompt = promptOf(model, 'a')
  return { ...prompt, manifest: { ...prompt.manifest, generation, labels: ['good', 'bad'] } }
}

describe('beams', () => {
  const steps = (ref.base_beam[0]?.length ?? 0) - 1
  let pipe: PromptedPipeline
  beforeAll(async () => {
    pipe = await loadPrompted({ a: withGeneration({ num_beams: 3, max_new_tokens: 6, top_p: 0.9 }) }, { base: folderOf(model) })
  })
  afterAll(() => pipe.dispose())

  it('are searched as PyTorch does', async () => {
    const made = await pipe([...ref.texts], { soft_prompt: null, num_beams: 3, max_new_tokens: steps })
    const expected = ref.base_beam.map((ids) => pipe.stock.tokenizer.decode([...ids], { skip_special_tokens: true }))
    expect(made.map(({ generated_text }) => generated_text)).toEqual(expected)
  })

  it('are the prompt’s own default, and mixed rows are answered as alone', async () => {
    const text = ref.texts[0] as string
    const [alone] = await pipe(text)
    const [asked] = await pipe(text, { num_beams: 3, max_new_tokens: 6 })
    const [mixed] = await pipe([text, ref.texts[1] as string], { soft_prompt: ['a', null], num_beams: 3, max_new_tokens: 6 })
    expect(asked).toEqual(alone)
    expect(mixed).toEqual(alone)
  })

  it('of one prompt are searched beside a greedy one, each as alone', async () => {
    const [text, other] = ref.texts as [string, string]
    const both = await loadPrompted(
      { beams: withGeneration({ num_beams: 3, max_new_tokens: 6 }), plain: withGeneration({ max_new_tokens: 6 }) },
      { base: folderOf(model) },
    )
    try {
      const alone = await Promise.all([
        both(text, { soft_prompt: 'plain' }),
        both(text, { soft_prompt: 'beams' }),
        both(other, { soft_prompt: 'plain' }),
      ])
      expect(await both([text, text, other], { soft_prompt: ['plain', 'beams', 'plain'] })).toEqual(alone.flat())
      expect(alone[0]).not.toEqual(alone[1])
    } finally {
      await both.dispose()
    }
  })

  it('say with which options they do not go', async () => {
    await expect(pipe('x', { do_sample: true })).rejects.toMatchObject({
      code: 'generation-option',
      message: expect.stringContaining('Leave out do_sample, or say { num_beams: 1 }'),
    })
  })

  it('leave out a default that nobody obeys, and say so', () => {
    expect(pipe.warnings).toEqual([expect.stringMatching(/^a asks for top_p, .*left out\.$/)])
  })
})

describe('what a call asks and what a prompt has as its default', () => {
  it('are one search: a default that goes with the beams asked for is obeyed', () => {
    expect(planGeneration({ num_beams: 4 }, { length_penalty: 2, max_new_tokens: 7 })).toEqual({
      search: 'beams',
      beams: 4,
      maxNewTokens: 7,
      lengthPenalty: 2,
    })
    expect(planGeneration({}, { length_penalty: 2, max_new_tokens: 7 })).toEqual({ search: 'stock', options: { max_new_tokens: 7 } })
    expect(planGeneration({ num_beams: 1 }, { num_beams: 3, repetition_penalty: 2 })).toEqual({
      search: 'stock',
      options: { num_beams: 1, repetition_penalty: 2 },
    })
  })

  it('is said where a prompt’s beams do not obey it', () => {
    expect(ignoredOptions({ num_beams: 3, repetition_penalty: 2, top_p: 0.9, length_penalty: 2 })).toEqual(['repetition_penalty', 'top_p'])
    expect(ignoredOptions({ repetition_penalty: 2, top_p: 0.9, length_penalty: 2 })).toEqual(['top_p', 'length_penalty'])
  })
})

describe('options that would be ignored', () => {
  let pipe: PromptedPipeline
  beforeAll(async () => {
    pipe = await loadPrompted({ a: withGeneration({ max_new_tokens: 4 }) }, { base: folderOf(model) })
  })
  afterAll(() => pipe.dispose())

  it.each([
    { num_return_sequences: 4 },
    { length_penalty: 2 },
    { early_stopping: true },
    { top_p: 0.5, do_sample: true },
    { num_beam_groups: 2, num_beams: 4 },
  ])('are refused by name: %o', async (options) => {
    await expect(pipe('x', options)).rejects.toMatchObject({ code: 'generation-option' })
  })

  it('go where they ask for nothing', async () => {
    const plain = await pipe('new movie')
    expect(await pipe('new movie', { num_return_sequences: 1, early_stopping: false, top_p: null, num_beams: 1 })).toEqual(plain)
  })

  it('and inputs that are no texts are named', async () => {
    expect(await pipe([])).toEqual([])
    expect(await pipe.classify([])).toEqual([])
    await expect(pipe(['x', null] as never)).rejects.toMatchObject({
      code: 'input-kind',
      message: expect.stringContaining('Input 1 is null'),
    })
    await expect(pipe.classify(5 as never)).rejects.toMatchObject({ code: 'input-kind', message: expect.stringContaining('Input 0 is 5') })
  })
})

describe('scores that are no numbers', () => {
  it('are an error of every way to ask, not the first label or no text', async () => {
    // 1.2e5 is beyond F16: what T5's own feed-forward does there.
    const prompt = withGeneration({ max_new_tokens: 4 })
    const huge = { ...prompt, embeddings: { ...prompt.embeddings, data: prompt.embeddings.data.map(() => 1.2e5) } }
    const pipe = await loadPrompted({ huge }, { base: folderOf(model), dtype: { encoder_model: 'fp16', decoder_model_merged: 'fp32' } })
    try {
      const expected = { code: 'scores-not-finite', message: expect.stringContaining('fp32 or q8') }
      await expect(pipe.classify('x')).rejects.toMatchObject(expected)
      await expect(pipe('x')).rejects.toMatchObject(expected)
      await expect(pipe('x', { num_beams: 2 })).rejects.toMatchObject(expected)
      expect((await pipe('x', { soft_prompt: null, max_new_tokens: 2 })).length).toBe(1)
    } finally {
      await pipe.dispose()
    }
  })
})
