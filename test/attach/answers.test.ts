/** Prompted answers through stock transformers.js equal PEFT's, on both T5 families: single, batched, mixed. */
import type { Tensor, Text2TextGenerationPipeline } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachPrompts } from '../../adapters/compose/attach-sources.ts'
import { encoderOf, int64, MODELS, PROMPTS, promptsOf, reference, stockPipeline } from './fixtures.ts'

describe.each(MODELS)('%s', (model) => {
  const ref = reference(model)
  const rows = ref.texts.map((_, row) => row)
  const steps = (ref.base_greedy[0]?.length ?? 0) - 1
  let pipe: Text2TextGenerationPipeline
  /** Greedy tokens of some rows of the reference, padded as PyTorch padded them. */
  const generate = async (which: readonly number[], soft_prompt?: string | null | (string | null)[]): Promise<number[][]> => {
    const made = (await pipe.model.generate({
      input_ids: int64(which.map((row) => ref.input_ids[row] ?? [])),
      attention_mask: int64(which.map((row) => ref.attention_mask[row] ?? [])),
      max_new_tokens: steps,
      ...(soft_prompt === undefined ? {} : { soft_prompt }),
    } as never)) as Tensor
    return made.tolist().map((row: bigint[]) => row.map(Number))
  }

  beforeAll(async () => {
    pipe = await stockPipeline(model)
  })
  afterAll(() => pipe.dispose())

  it('stock answers, before and after attaching, are PyTorch’s and the same', async () => {
    const before = await generate(rows)
    expect(before).toEqual(ref.base_greedy)
    await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
    expect(await generate(rows)).toEqual(before)
  })

  it.each(PROMPTS)('prompt %s: the whole padded batch', async (name) => {
    expect(await generate(rows, name)).toEqual(ref.adapters[name].greedy)
  })

  it.each(PROMPTS)('prompt %s: row by row', async (name) => {
    for (const row of rows) expect(await generate([row], name)).toEqual([ref.adapters[name].greedy[row]])
  })

  it('another prompt in each row, and a row with none', async () => {
    const mixed = ['b', null, 'a', 'c'] as const
    expect(await generate(rows, [...mixed])).toEqual(
      mixed.map((name, row) => (name === null ? ref.base_greedy : ref.adapters[name].greedy)[row]),
    )
  })

  it('the order of rows and prompts does not matter', async () => {
    expect(await generate([3, 0, 2], ['c', 'b', null])).toEqual([ref.adapters.c.greedy[3], ref.adapters.b.greedy[0], ref.base_greedy[2]])
  })

  it('through the pipeline, from text', async () => {
    const decode = (ids: readonly number[] = []): string => pipe.tokenizer.decode([...ids], { skip_special_tokens: true })
    const options = { max_new_tokens: steps, soft_prompt: ['a', 'b', null, 'c'] }
    const answers = await pipe([...ref.texts], options as never)
    expect(answers.map((answer) => (answer as unknown as { generated_text: string }).generated_text)).toEqual(
      [ref.adapters.a.greedy[0], ref.adapters.b.greedy[1], ref.base_greedy[2], ref.adapters.c.greedy[3]].map(decode),
    )
  })
})
