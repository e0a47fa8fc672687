/** Other people's PEFT adapters: the rows PEFT itself puts in front of the input, and a word for whatever cannot be one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parsePeft } from '../../adapters/peft/peft.ts'
import { parseBase64 } from '../../src/tensor/base64.ts'
import { fromF16, toF16 } from '../../src/tensor/half.ts'
import { formatSafetensors, parseSafetensors } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

const file = (...parts: string[]): Buffer => readFileSync(join(import.meta.dirname, '..', ...parts))
const read = (name: string, task?: number): ReturnType<typeof parsePeft> =>
  parsePeft(
    file('fixtures/peft', name, 'adapter_config.json').toString(),
    file('fixtures/peft', name, 'adapter_model.safetensors'),
    task === undefined ? {} : { task },
  )

// test/golden/make_peft_types.py: model.get_prompt() of PEFT 0.21.
const golden = JSON.parse(file('golden/peft_types.json').toString()) as Record<string, string>

describe('PEFT types', () => {
  it.each(Object.keys(golden))('%s: the rows PEFT uses', (key) => {
    const [name = '', task] = key.split(' ')
    const expected = new Float32Array(parseBase64(golden[key] as string).buffer)
    const { embeddings } = read(name, task === undefined ? undefined : Number(task)).prompt
    expect(embeddings.shape).toEqual([5, 16])
    // One product more or less in F32 for the multitask rows; the others are copies.
    const tolerance = task === undefined ? 0 : 2 ** -22
    for (const [index, value] of expected.entries()) {
      expect(Math.abs((embeddings.data[index] as number) - value)).toBeLessThanOrEqual(tolerance * Math.abs(value))
    }
  })

  it.each<[string, number | undefined, string[]]>([
    ['prompt_tuning', undefined, ['PEFT stores them for the decoder and never uses them']],
    ['prompt_tuning_sub1', undefined, []],
    ['p_tuning_mlp', undefined, ['Rows 5 to 9', 'not the network']],
    ['multitask', 1, ['a decoder prefix', 'Task 1']],
    ['multitask_sub1', 0, ['Task 0']],
    ['cpt', undefined, ['causal']],
  ])('%s (task %s): says what was left out', (name, task, words) => {
    const { notes } = read(name, task)
    expect(notes).toEqual(words.map((word) => expect.stringContaining(word)))
  })

  it('tells how the matrix was stored', () => {
    expect(read('prompt_tuning')).toMatchObject({ peftType: 'PROMPT_TUNING', dtype: 'F32', storedShape: [10, 16] })
  })
})

const CONFIG = { peft_type: 'PROMPT_TUNING', num_virtual_tokens: 2, token_dim: 3, num_transformer_submodules: 1 }
const matrix = tensor('F32', [2, 3], new Float32Array([1, 2, 3, 4, 5, 6]))
const made = (
  config: object,
  tensors: Record<string, Tensor> = { prompt_embeddings: matrix },
  task?: number,
): ReturnType<typeof parsePeft> =>
  parsePeft(
    JSON.stringify({ ...CONFIG, ...config }),
    formatSafetensors(new Map(Object.entries(tensors))),
    task === undefined ? {} : { task },
  )

describe('PEFT adapters of all kinds', () => {
  it('F16 and BF16 become F32', () => {
    const half = tensor('F16', [2, 3], Uint16Array.from(matrix.data, toF16))
    expect(made({}, { prompt_embeddings: half })).toMatchObject({ dtype: 'F16', prompt: { embeddings: { data: matrix.data } } })
    const bf16 = tensor(
      'BF16',
      [2, 3],
      Uint16Array.from({ length: 6 }, () => 0x3f80),
    )
    expect(made({}, { prompt_embeddings: bf16 }).prompt.embeddings.data).toEqual(new Float32Array(6).fill(1))
    expect(fromF16(toF16(6))).toBe(6)
  })

  it('tensors of something else are left out with a note, whatever their dtype', () => {
    const { notes } = made({}, { prompt_embeddings: matrix, 'lm_head.weight': tensor('I64', [1], new BigInt64Array(1)) })
    expect(notes).toEqual([expect.stringContaining('lm_head.weight')])
  })

  it('without num_transformer_submodules both P and 2P rows are taken', () => {
    expect(made({ num_transformer_submodules: null }).prompt.embeddings.shape).toEqual([2, 3])
    expect(made({ num_transformer_submodules: null, num_virtual_tokens: 1 }).prompt.embeddings.shape).toEqual([1, 3])
  })

  it.each<[string, () => unknown, string]>([
    ['keys and values of every layer', () => read('prefix_tuning'), 'peft-type'],
    ['keys and values behind a projection', () => read('prefix_tuning_proj'), 'peft-type'],
    ['LoRA', () => made({ peft_type: 'LORA' }), 'peft-type'],
    ['a method from the prototype of objects', () => made({ peft_type: 'constructor' }), 'peft-type'],
    ['no method', () => made({ peft_type: null }), 'adapter-config-value'],
    ['a method that is a number', () => made({ peft_type: 3 }), 'adapter-config-value'],
    ['a configuration that is a list', () => parsePeft('[]', new Uint8Array()), 'adapter-config'],
    ['a configuration nested without end', () => parsePeft('['.repeat(100_000), new Uint8Array()), 'json-depth'],
    ['a key twice', () => parsePeft('{"peft_type":"LORA","peft_type":"PROMPT_TUNING"}', new Uint8Array()), 'json-duplicate-key'],
    ['more rows than promised', () => made({ num_virtual_tokens: 1 }), 'peft-shape'],
    ['fewer rows than promised', () => made({ num_virtual_tokens: 3 }), 'peft-shape'],
    ['2P rows promised, P stored', () => made({ num_transformer_submodules: 2 }), 'peft-shape'],
    ['another width than promised', () => made({ token_dim: 4 }), 'peft-shape'],
    ['no virtual tokens', () => made({ num_virtual_tokens: 0 }), 'adapter-config-value'],
    ['virtual tokens without end', () => made({ num_virtual_tokens: 1e9 }), 'adapter-config-value'],
    ['half a virtual token', () => made({ num_virtual_tokens: 1.5 }), 'adapter-config-value'],
    ['no number of virtual tokens', () => made({ num_virtual_tokens: null }), 'peft-shape'],
    ['no prompt_embeddings', () => made({}, { embedding: matrix }), 'peft-tensor'],
    ['no tensor at all', () => made({}, {}), 'peft-tensor'],
    ['integers', () => made({}, { prompt_embeddings: tensor('I32', [2, 3], new Int32Array(6)) }), 'prompt-dtype'],
    ['a vector', () => made({}, { prompt_embeddings: tensor('F32', [6], matrix.data) }), 'peft-shape'],
    ['NaN', () => made({}, { prompt_embeddings: tensor('F32', [2, 3], matrix.data.with(4, NaN)) }), 'prompt-not-finite'],
    [
      'an infinite value',
      () => made({}, { prompt_embeddings: tensor('F32', [2, 3], matrix.data.with(0, -Infinity)) }),
      'prompt-not-finite',
    ],
    ['an infinite F16', () => made({}, { prompt_embeddings: tensor('F16', [2, 3], new Uint16Array(6).fill(0x7c00)) }), 'prompt-not-finite'],
    ['no task of many', () => read('multitask'), 'peft-task'],
    ['a task past the last', () => read('multitask', 3), 'peft-task'],
    ['a task of an adapter with one prompt', () => made({}, { prompt_embeddings: matrix }, 0), 'peft-task'],
    ['multitask tensors that do not fit', () => swapped(), 'peft-shape'],
    [
      'multitask without its factors',
      () => made({ peft_type: 'MULTITASK_PROMPT_TUNING' }, { prompt_embeddings: matrix }, 0),
      'peft-tensor',
    ],
  ])('refuses %s', (_, act, code) => {
    expect(act).toThrow(expect.objectContaining({ code }))
  })
})

/** A multitask adapter whose two factors changed places. */
function swapped(): unknown {
  const { tensors } = parseSafetensors(file('fixtures/peft/multitask/adapter_model.safetensors'))
  const [cols, rows] = ['prefix_task_cols', 'prefix_task_rows'].map((name) => tensors.get(name) as Tensor)
  const mixed = new Map([...tensors, ['prefix_task_cols', rows as Tensor], ['prefix_task_rows', cols as Tensor]])
  return parsePeft(file('fixtures/peft/multitask/adapter_config.json').toString(), formatSafetensors(mixed), { task: 0 })
}
