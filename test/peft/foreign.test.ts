/** Adapters of other tasks, other libraries and with other tensors in them: read as Python reads them, with a word for what they are. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openPromptAs } from '../../adapters/compose/open-prompt.ts'
import { verifyPrompts } from '../../adapters/compose/verify.ts'
import { parsePeft } from '../../adapters/peft/peft.ts'
import { parseSafetensors, parseSafetensorsHeader } from '../../src/tensor/safetensors.ts'

const PROMPT = { dtype: 'F32', shape: [2, 4], bytes: 32 }

/** A file of tensors by dtype, shape and size in bytes, filled with ones of some kind. */
function fileOf(tensors: Readonly<Record<string, { dtype: string; shape: number[]; bytes: number }>>, metadata?: unknown): Uint8Array {
  let end = 0
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    end += bytes
    return [name, { dtype, shape, data_offsets: [end - bytes, end] }]
  })
  const header = Buffer.from(
    JSON.stringify({ ...(metadata === undefined ? {} : { __metadata__: metadata }), ...Object.fromEntries(entries) }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.alloc(end, 0x3c)])
}

const configOf = (over: object = {}): string =>
  JSON.stringify({
    peft_type: 'PROMPT_TUNING',
    task_type: 'SEQ_2_SEQ_LM',
    num_virtual_tokens: 2,
    num_transformer_submodules: 1,
    token_dim: 4,
    ...over,
  })

async function inFolder<T>(files: Readonly<Record<string, string | Uint8Array>>, act: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-foreign-'))
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
    return await act(dir)
  } finally {
    await rm(dir, { recursive: true })
  }
}

describe('task types', () => {
  it.each([
    ['SEQ_CLS', /classification head, not for generated answers/],
    ['TOKEN_CLS', /classifies tokens.*not for generated answers/],
    ['QUESTION_ANS', /finds spans.*not for generated answers/],
    ['FEATURE_EXTRACTION', /hidden states.*not for generated answers/],
    ['SOMETHING_NEW', /not for generated answers \(its task_type is SOMETHING_NEW/],
    ['CAUSAL_LM', /causal model/],
  ])('%s: a note, in verify too', async (taskType, note) => {
    const files = {
      'adapter_config.json': configOf({ task_type: taskType }),
      'adapter_model.safetensors': fileOf({ prompt_embeddings: PROMPT }),
    }
    expect((await inFolder(files, openPromptAs)).notes).toEqual([expect.stringMatching(note)])
    const [verified] = await inFolder(files, verifyPrompts)
    expect(verified?.sound).toBe(true)
    expect(verified?.checks).toContainEqual({ name: 'note', standing: 'warning', detail: expect.stringMatching(note) })
  })

  it.each([['SEQ_2_SEQ_LM'], [null]])('%s: none', (taskType) => {
    expect(parsePeft(configOf({ task_type: taskType }), fileOf({ prompt_embeddings: PROMPT })).notes).toEqual([])
  })
})

describe('tensors of other dtypes', () => {
  const step = { dtype: 'I16', shape: [3], bytes: 6 }

  it('are left out with a note, as Python reads the rest', async () => {
    const files = {
      'adapter_config.json': configOf(),
      'adapter_model.safetensors': fileOf({
        a: { dtype: 'F8_E4M3', shape: [4], bytes: 4 },
        prompt_embeddings: PROMPT,
        step,
        packed: { dtype: 'F4', shape: [4], bytes: 2 },
      }),
    }
    const { prompt, notes } = await inFolder(files, openPromptAs)
    expect(prompt.embeddings.shape).toEqual([2, 4])
    expect(notes).toEqual(['Tensors of no prompt were left out: a, step, packed.'])
    const [verified] = await inFolder(files, verifyPrompts)
    expect(verified?.checks.find(({ name }) => name === 'tensor file')).toMatchObject({
      standing: 'ok',
      detail: expect.stringContaining('step I16 [3]'),
    })
  })

  it('are refused where they are the prompt, or where every tensor counts', () => {
    expect(() => parsePeft(configOf(), fileOf({ prompt_embeddings: { dtype: 'I16', shape: [2, 4], bytes: 16 } }))).toThrow(
      expect.objectContaining({ code: 'safetensors-dtype', message: expect.stringMatching(/prompt_embeddings.*I16/) }),
    )
    const bytes = fileOf({ prompt_embeddings: PROMPT, step })
    expect(() => parseSafetensors(bytes)).toThrow(expect.objectContaining({ code: 'safetensors-dtype' }))
    expect([...parseSafetensorsHeader(bytes, bytes.length, { leaveOut: true }).leftOut]).toEqual([['step', { dtype: 'I16', shape: [3] }]])
  })

  it('have to lie where they say all the same', () => {
    const wrong = fileOf({ prompt_embeddings: PROMPT, step: { dtype: 'I16', shape: [3], bytes: 8 } })
    expect(() => parsePeft(configOf(), wrong)).toThrow(expect.objectContaining({ code: 'safetensors-entry-size' }))
    const odd = fileOf({ prompt_embeddings: PROMPT, step: { dtype: 'F4', shape: [3], bytes: 2 } })
    expect(() => parsePeft(configOf(), odd)).toThrow(expect.objectContaining({ code: 'safetensors-entry-size' }))
  })

  it('metadata that is null is none', () => {
    expect(parseSafetensors(fileOf({ prompt_embeddings: PROMPT }, null)).metadata).toEqual({})
  })
})

describe('folders of something else', () => {
  const hub = JSON.stringify({
    config: { architecture: 'prompt_tuning', prompt_length: 10 },
    config_id: 'x',
    model_class: 'T5AdapterModel',
    version: 'adapters.1.0.0',
  })

  it.each([
    ['AdapterHub’s', { 'adapter_config.json': hub, 'pytorch_adapter.bin': 'x' }, 'adapter-hub', /AdapterHub's library "adapters"/],
    ['AdapterHub’s as safetensors', { 'adapter_config.json': hub, 'adapter.safetensors': 'x' }, 'adapter-hub', /not of PEFT/],
    ['a pickle', { 'adapter_config.json': configOf(), 'adapter_model.bin': 'x' }, 'peft-pickle', /save_pretrained/],
    ['no type and no other sign', { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'x' }, 'adapter-config-value', /peft_type/],
  ])('%s is named', async (_, files, code, message) => {
    await expect(inFolder(files, openPromptAs)).rejects.toEqual(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })
})
