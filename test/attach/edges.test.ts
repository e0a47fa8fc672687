/** Edge cases through stock transformers.js, one named test each. */
import { TextStreamer, type Tensor, type Text2TextGenerationPipeline } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachPrompts } from '../../adapters/compose/attach-sources.ts'
import { attachPrompts as attachInPage } from '../../adapters/compose/browser.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import type { Attachment } from '../../adapters/transformers/attach.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { DATA_TYPE } from '../../src/onnx/schema.ts'
import { makeNode, makeTensor, makeValueInfo } from '../../src/onnx/tensors.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { encoderOf, folderOf, int64, promptOf, promptsOf, reference, stockPipeline } from './fixtures.ts'

const model = 'tiny-t5-v11'
const ref = reference(model)
const steps = (ref.base_greedy[0]?.length ?? 0) - 1
/** Row of the reference without its pads. */
const textOf = (row: number): number[] => (ref.input_ids[row] as number[]).filter((_, at) => ref.attention_mask[row]?.[at] === 1)
const ones = (ids: readonly number[]): number[] => ids.map(() => 1)
const greedyOf = (name: 'a' | 'b' | 'c', row: number): number[] => ref.adapters[name].greedy[row] as number[]
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? String(error),
  )

const raw = (tensor: Tensor): unknown => (tensor as unknown as { ort_tensor: unknown }).ort_tensor

let pipe: Text2TextGenerationPipeline
let attached: Attachment
const generate = async (inputs: object): Promise<number[][]> => {
  const made = (await pipe.model.generate({ max_new_tokens: steps, ...inputs } as never)) as Tensor
  return made.tolist().map((row: bigint[]) => row.map(Number))
}
beforeAll(async () => {
  pipe = await stockPipeline(model)
  attached = await attachPrompts(pipe, promptsOf(model), { encoder: encoderOf(model) })
})
afterAll(() => pipe.dispose())

describe('inputs', () => {
  it('the alias `inputs` of input_ids', async () => {
    expect(await generate({ inputs: int64([textOf(0)]), attention_mask: int64([ones(textOf(0))]), soft_prompt: 'a' })).toEqual([
      greedyOf('a', 0),
    ])
  })

  it('a missing mask is made from the pads', async () => {
    expect(await generate({ input_ids: int64(ref.input_ids), soft_prompt: 'b' })).toEqual(ref.adapters.b.greedy)
  })

  it('left-padded rows answer as right-padded ones', async () => {
    const width = ref.input_ids[0]?.length as number
    const left = ref.texts.map((_, row) => [...Array<number>(width - textOf(row).length).fill(0), ...textOf(row)])
    expect(
      await generate({
        input_ids: int64(left),
        attention_mask: int64(left.map((ids) => ids.map((id) => (id === 0 ? 0 : 1)))),
        soft_prompt: 'c',
      }),
    ).toEqual(ref.adapters.c.greedy)
  })

  it('an internally masked token is as unseen as with a prompt of its own', async () => {
    const ids = textOf(0)
    const mask = ones(ids).with(2, 0)
    const swapped = ids.with(2, 77)
    const first = await generate({ input_ids: int64([ids]), attention_mask: int64([mask]), soft_prompt: 'a' })
    expect(await generate({ input_ids: int64([swapped]), attention_mask: int64([mask]), soft_prompt: 'a' })).toEqual(first)
    expect(await generate({ input_ids: int64([swapped]), attention_mask: int64([ones(ids)]), soft_prompt: 'a' })).not.toEqual(first)
  })

  it('empty text', async () => {
    const [answer] = (await pipe('', { soft_prompt: 'a', max_new_tokens: 3 } as never)) as unknown as { generated_text: string }[]
    expect(typeof answer?.generated_text).toBe('string')
  })

  it('null rows, and a list of nothing but null, are the untouched model', async () => {
    const inputs = { input_ids: int64(ref.input_ids), attention_mask: int64(ref.attention_mask) }
    expect(await generate({ ...inputs, soft_prompt: [null, null, null, null] })).toEqual(ref.base_greedy)
    expect(await generate({ ...inputs, soft_prompt: null })).toEqual(ref.base_greedy)
  })

  it('a prompt list that is not as long as the batch', async () => {
    expect(await codeOf(generate({ input_ids: int64(ref.input_ids), soft_prompt: ['a'] }))).toBe('prompt-count')
  })

  it('an unknown prompt', async () =>
    expect(await codeOf(generate({ input_ids: int64([textOf(0)]), soft_prompt: 'zz' }))).toBe('prompt-unknown'))
  it('no input at all', async () => expect(await codeOf(generate({ soft_prompt: 'a' }))).toBe('prompt-input'))

  it('token ids past the table and the bank are refused before the runtime sees them', async () => {
    expect(await codeOf(attached.session.run({ input_ids: raw(int64([[512 + 28, 1]])), attention_mask: raw(int64([[1, 1]])) }))).toBe(
      'bank-id',
    )
  })
})

const encode = async (): Promise<{ encoder_outputs: Tensor; attention_mask: Tensor; input_ids: Tensor }> => {
  const session = attached.session
  const { start } = session.bank.tokens('a')
  const ids = [...Array.from({ length: 7 }, (_, token) => session.vocabSize + start + token), ...textOf(0)]
  const [input_ids, attention_mask] = [int64([ids]), int64([ones(ids)])]
  const made = await session.run({ input_ids: raw(input_ids), attention_mask: raw(attention_mask) })
  return {
    encoder_outputs: new (input_ids.constructor as new (ort: unknown) => Tensor)(made['last_hidden_state']),
    attention_mask,
    input_ids,
  }
}

describe('encoder outputs', () => {
  it('of the caller’s own are used as they are', async () => expect(await generate(await encode())).toEqual([greedyOf('a', 0)]))
  it('beside soft_prompt are refused: the prompt would not be seen', async () => {
    expect(await codeOf(generate({ ...(await encode()), soft_prompt: 'a' }))).toBe('prompt-encoder-outputs')
  })
})

describe('generation', () => {
  it('rows end at their own end, with pads behind', async () => {
    // A token that these rows say at different steps is made the end.
    const rows = ref.adapters.a.greedy
    const eos = 384
    const ends = rows.map((row) => row.indexOf(eos, 1))
    expect(new Set(ends).size).toBeGreaterThan(1)
    const made = await generate({
      input_ids: int64(ref.input_ids),
      attention_mask: int64(ref.attention_mask),
      soft_prompt: 'a',
      eos_token_id: eos,
    })
    const cut = rows.map((row, index) => (ends[index] === -1 ? row : row.slice(0, (ends[index] as number) + 1)))
    const width = Math.max(...cut.map(({ length }) => length))
    expect(made).toEqual(cut.map((row) => Array.from({ length: width }, (_, at) => row[at] ?? 0)))
  })

  it('stops when all rows have ended, not when they end in the same step', async () => {
    const rows = [0, 1].map((row) => greedyOf('a', row))
    const ends = [rows[0]?.[1], rows[1]?.[2]] as number[]
    let ran = 0
    const made = await generate({
      input_ids: int64([ref.input_ids[0] as number[], ref.input_ids[1] as number[]]),
      attention_mask: int64([ref.attention_mask[0] as number[], ref.attention_mask[1] as number[]]),
      soft_prompt: 'a',
      eos_token_id: ends,
      stopping_criteria: [(given: bigint[][]) => (ran++, given.map(() => false))],
    })
    expect(ran).toBe((made[0]?.length as number) - 1)
    expect(ran).toBeLessThan(steps)
  })

  it('streams the same text', async () => {
    let streamed = ''
    const streamer = new TextStreamer(pipe.tokenizer, {
      skip_special_tokens: true,
      callback_function: (text: string) => void (streamed += text),
    })
    const [answer] = (await pipe(ref.texts[0] as string, { soft_prompt: 'a', max_new_tokens: steps, streamer } as never)) as unknown as {
      generated_text: string
    }[]
    expect(streamed.trim()).toBe(answer?.generated_text.trim())
    expect(streamed.length).toBeGreaterThan(0)
  })

  it('logits processors never see virtual tokens', async () => {
    const seen: bigint[] = []
    const { LogitsProcessor, LogitsProcessorList } = await import('@huggingface/transformers')
    class Watch extends LogitsProcessor {
      override _call(ids: bigint[][], logits: Tensor): Tensor {
        seen.push(...ids.flat())
        return logits
      }
    }
    const list = new LogitsProcessorList()
    list.push(new Watch() as never)
    const ids = { input_ids: int64([textOf(0)]), attention_mask: int64([ones(textOf(0))]) }
    expect(await generate({ ...ids, soft_prompt: 'a', logits_processor: list })).toEqual([greedyOf('a', 0)])
    expect(seen.length).toBeGreaterThan(steps)
    expect(seen.every((id) => id < 512n)).toBe(true)
  })

  it('num_beams is greedy in transformers.js, with prompts as without', async () => {
    expect(
      await generate({ input_ids: int64(ref.input_ids), attention_mask: int64(ref.attention_mask), soft_prompt: 'b', num_beams: 3 }),
    ).toEqual(ref.adapters.b.greedy)
  })

  it('classifier-free guidance is refused with words: stock transformers.js fails on it inside a kernel', async () => {
    expect(await codeOf(generate({ input_ids: int64([textOf(0)]), soft_prompt: 'a', guidance_scale: 2 }))).toBe('prompt-guidance')
  })

  it('return_dict_in_generate', async () => {
    const made = (await pipe.model.generate({
      input_ids: int64([textOf(0)]),
      attention_mask: int64([ones(textOf(0))]),
      soft_prompt: 'a',
      max_new_tokens: steps,
      return_dict_in_generate: true,
    } as never)) as unknown as { sequences: Tensor; past_key_values: unknown }
    expect(made.sequences.tolist().map((row: bigint[]) => row.map(Number))).toEqual([greedyOf('a', 0)])
    expect(made.past_key_values).toBeDefined()
  })

  it('forward: logits over the prompted input', async () => {
    const inputs = { input_ids: int64([textOf(0)]), attention_mask: int64([ones(textOf(0))]), decoder_input_ids: int64([[0]]) }
    const first = async (extra: object): Promise<number> => {
      const { logits } = (await pipe.model({ ...inputs, ...extra } as never)) as { logits: Tensor }
      const scores = Array.from(logits.data as Float32Array)
      return scores.indexOf(Math.max(...scores))
    }
    expect(await first({ soft_prompt: 'a' })).toBe(greedyOf('a', 0)[1])
    expect(await first({})).toBe(ref.base_greedy[0]?.[1])
  })

  it('two calls at once keep their own prompts', async () => {
    const ids = { input_ids: int64(ref.input_ids), attention_mask: int64(ref.attention_mask) }
    const [a, b] = await Promise.all([generate({ ...ids, soft_prompt: 'a' }), generate({ ...ids, soft_prompt: 'b' })])
    expect([a, b]).toEqual([ref.adapters.a.greedy, ref.adapters.b.greedy])
  })
})

describe('other pipelines', () => {
  it.each(['summarization', 'translation'] as const)('%s', async (task) => {
    const { pipeline } = await import('@huggingface/transformers')
    const other = await pipeline(task, folderOf(model), { dtype: 'fp32', local_files_only: true })
    await attachPrompts(other, promptsOf(model), { encoder: encoderOf(model) })
    const made = (await other(ref.texts[0] as string, { soft_prompt: 'a', max_new_tokens: steps } as never)) as unknown as Record<
      string,
      string
    >[]
    expect(Object.values(made[0] ?? {})[0]).toBe(pipe.tokenizer.decode(greedyOf('a', 0), { skip_special_tokens: true }))
    await other.dispose()
  })
})

describe('attaching and detaching', () => {
  it('twice is refused; detaching with ids in flight lets them end; the stock model is back, and can be attached again', async () => {
    const own = await stockPipeline(model)
    const inputs = () => ({ input_ids: int64(ref.input_ids), attention_mask: int64(ref.attention_mask), max_new_tokens: steps })
    const tokens = async (extra: object): Promise<number[][]> =>
      ((await own.model.generate({ ...inputs(), ...extra } as never)) as Tensor).tolist().map((row: bigint[]) => row.map(Number))
    const first = await attachPrompts(own, { a: promptOf(model, 'a') }, { encoder: encoderOf(model) })
    expect(await codeOf(attachPrompts(own, {}, { encoder: encoderOf(model) }))).toBe('model-attached')
    const running = tokens({ soft_prompt: 'a' })
    first.detach() // with that call in flight
    expect(await running).toEqual(ref.adapters.a.greedy)
    expect(await tokens({})).toEqual(ref.base_greedy)
    await attachPrompts(own, { other: promptOf(model, 'b') }, { encoder: encoderOf(model) })
    expect(await tokens({ soft_prompt: 'other' })).toEqual(ref.adapters.b.greedy)
    expect(await codeOf(tokens({ soft_prompt: 'a' }))).toBe('prompt-unknown')
    await own.dispose()
  })

  it('an empty bank', async () => {
    const own = await stockPipeline(model)
    const { bank } = await attachPrompts(own, {}, { encoder: encoderOf(model) })
    const inputs = { input_ids: int64(ref.input_ids), attention_mask: int64(ref.attention_mask), max_new_tokens: steps }
    expect(((await own.model.generate(inputs as never)) as Tensor).tolist().map((row: bigint[]) => row.map(Number))).toEqual(
      ref.base_greedy,
    )
    bank.add('late', promptOf(model, 'c'))
    expect(
      ((await own.model.generate({ ...inputs, soft_prompt: 'late' } as never)) as Tensor).tolist().map((row: bigint[]) => row.map(Number)),
    ).toEqual(ref.adapters.c.greedy)
    await own.dispose()
  })

  it('a fallback prompt, and null beside it', async () => {
    const own = await stockPipeline(model)
    await attachPrompts(own, promptsOf(model), { encoder: encoderOf(model), fallback: 'a' })
    const inputs = { input_ids: int64([textOf(0)]), attention_mask: int64([ones(textOf(0))]), max_new_tokens: steps }
    const tokens = async (extra: object): Promise<number[]> =>
      (((await own.model.generate({ ...inputs, ...extra } as never)) as Tensor).tolist()[0] as bigint[]).map(Number)
    expect(await tokens({})).toEqual(greedyOf('a', 0))
    expect(await tokens({ soft_prompt: null })).toEqual(ref.base_greedy[0])
    expect(await tokens({ soft_prompt: 'b' })).toEqual(greedyOf('b', 0))
    await own.dispose()
  })

  it('models may share a bank', async () => {
    const bank = createPromptBank(promptsOf(model))
    const [one, two] = await Promise.all([stockPipeline(model), stockPipeline(model)])
    await attachPrompts(one, bank, { encoder: encoderOf(model) })
    await attachPrompts(two, bank, { encoder: encoderOf(model) })
    for (const own of [one, two]) {
      const made = (await own.model.generate({ input_ids: int64([textOf(0)]), max_new_tokens: steps, soft_prompt: 'b' } as never)) as Tensor
      expect((made.tolist()[0] as bigint[]).map(Number)).toEqual(greedyOf('b', 0))
      await own.dispose()
    }
  })

  it('a model without decoder sessions is refused', async () => {
    expect(await codeOf(attachPrompts({ model: { sessions: {} } } as never, {}, { encoder: encoderOf(model) }))).toBe('model-kind')
  })

  it.each([5, null, undefined, true, { a: 5 }, { a: null }, { a: {} }, [7]])('what is no prompt is refused by name: %o', async (given) => {
    const own = await stockPipeline(model)
    try {
      expect(await codeOf(attachPrompts(own, given as never, { encoder: encoderOf(model) }))).toBe('prompt-kind')
      expect(await codeOf(loadPrompted(given as never, { base: folderOf(model) }))).toBe('prompt-kind')
      expect(await codeOf(attachInPage(own, given as never, { encoder: encoderOf(model) }))).toBe('prompt-kind')
    } finally {
      await own.dispose()
    }
  })

  it('the encoder of another model is refused, and the model stays as it was', async () => {
    const own = await stockPipeline(model)
    const other = formatModel({
      irVersion: 8,
      opsetImports: [{ domain: '', version: 13 }],
      metadataProps: [],
      graph: {
        name: 'narrow',
        nodes: [makeNode('Gather', ['w', 'input_ids'], ['last_hidden_state'])],
        initializers: [makeTensor('w', DATA_TYPE.FLOAT, [4, 2], new Uint8Array(32))],
        inputs: [makeValueInfo('input_ids', DATA_TYPE.INT64, ['b', 't'])],
        outputs: [makeValueInfo('last_hidden_state', DATA_TYPE.FLOAT, ['b', 't', 2])],
        valueInfos: [],
      },
    })
    expect(await codeOf(attachPrompts(own, {}, { encoder: other }))).toBe('encoder-mismatch')
    const made = (await own.model.generate({
      input_ids: int64(ref.input_ids),
      attention_mask: int64(ref.attention_mask),
      max_new_tokens: steps,
    } as never)) as Tensor
    expect(made.tolist().map((row: bigint[]) => row.map(Number))).toEqual(ref.base_greedy)
    await own.dispose()
  })

  it('a dynamically quantised model answers, and warns', async () => {
    const own = await stockPipeline(model, 'q8')
    const { warnings } = await attachPrompts(own, promptsOf(model), { encoder: encoderOf(model, 'q8') })
    expect(warnings.join()).toContain('dynamically quantised')
    expect(attached.warnings).toEqual([])
    const made = (await own.model.generate({
      input_ids: int64(ref.input_ids),
      soft_prompt: ['a', null, 'b', 'c'],
      max_new_tokens: steps,
    } as never)) as Tensor
    expect(made.dims).toEqual([4, steps + 1])
    await own.dispose()
  })
})
