/** Prompted sessions on plain onnxruntime: bit-identical without prompts, and with them equal to the cut graph fed [prompt; embeddings]. */
import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPromptedSession, type PromptedSession } from '../../adapters/onnxruntime/attach.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type ModelProto } from '../../src/onnx/schema.ts'
import { makeNode, makeTensor, makeValueInfo, withExternalData } from '../../src/onnx/tensors.ts'
import { createPromptBank } from '../../src/prompt/bank.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { encoderOf, promptsOf, reference } from './fixtures.ts'
import { cut, embeddingOf, floatModel, VARIANTS, withGraph } from './variants.ts'

const D = 64
const prompts = promptsOf('tiny-t5-v11')
const ref = reference('tiny-t5-v11')
const lengths = ref.attention_mask.map((row) => row.reduce((sum, bit) => sum + bit, 0))

const int = (rows: readonly (readonly number[])[], type: 'int64' | 'int32' = 'int64'): ort.Tensor => {
  const dims = [rows.length, rows[0]?.length ?? 0]
  return type === 'int64'
    ? new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), dims)
    : new ort.Tensor('int32', Int32Array.from(rows.flat()), dims)
}
const idsType = (model: ModelProto): 'int64' | 'int32' =>
  model.graph?.inputs[0]?.type?.tensorType?.elemType === DATA_TYPE.INT32 ? 'int32' : 'int64'
const hiddenOf = async (
  session: { run(feeds: Record<string, ort.Tensor>): Promise<unknown> },
  feeds: Record<string, ort.Tensor>,
): Promise<Float32Array> => ((await session.run(feeds)) as Record<string, ort.Tensor>)['last_hidden_state']?.data as Float32Array
const worst = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] as number))), a.length === b.length ? 0 : Infinity)

describe.each(Object.entries(VARIANTS))('%s', (kind, make) => {
  const model = make()
  const type = idsType(model)
  const feeds = (): Record<string, ort.Tensor> => ({ input_ids: int(ref.input_ids, type), attention_mask: int(ref.attention_mask) })
  let stock: ort.InferenceSession
  let session: PromptedSession
  beforeAll(async () => {
    const bytes = formatModel(model)
    stock = await ort.InferenceSession.create(bytes)
    session = await openPromptedSession(ort, bytes, { bank: createPromptBank(prompts) })
  })
  afterAll(async () => {
    await Promise.all([stock.release(), session.release()])
  })

  // onnxruntime folds a DequantizeLinear into its neighbours where it may, which moves the last bits.
  const tolerance = /quantised|behind/.test(kind) ? 1e-5 : 0
  it('without prompts: the same bits', async () => {
    expect([session.vocabSize, session.width]).toEqual([512, D])
    expect(session.inputNames).toEqual(stock.inputNames)
    expect(worst(await hiddenOf(session, feeds()), await hiddenOf(stock, feeds()))).toBeLessThanOrEqual(tolerance)
  })

  it('with prompts in mixed rows: the cut graph fed [prompt; embeddings], difference 0', async () => {
    const { name, dataType, flat } = embeddingOf(model)
    const names = ['a', null, 'c', 'b'] as const
    const joined = session.join(feeds(), [...names])
    const { head, tail } = cut(model, name, dataType)
    const [top, rest] = await Promise.all([ort.InferenceSession.create(head), ort.InferenceSession.create(tail)])
    const tokens = (await top.run(feeds()))['cut_out']?.data as Float32Array
    const padded = ref.input_ids[0]?.length as number
    const [batch, width] = (joined['input_ids'] as ort.Tensor).dims as [number, number]
    // Pads embed as token 0, whose vector stands at row 0's first pad.
    const pad = tokens.subarray((lengths[0] as number) * D, ((lengths[0] as number) + 1) * D)
    const embedded = new Float32Array(batch * width * D)
    for (const [row, prompt] of names.entries()) {
      const rows = prompt === null ? new Float32Array() : prompts[prompt].embeddings.data
      const text = tokens.subarray(row * padded * D, (row * padded + (lengths[row] as number)) * D)
      const at = row * width * D
      embedded.set(rows, at)
      embedded.set(text, at + rows.length)
      for (let end = at + rows.length + text.length; end < (row + 1) * width * D; end += D) embedded.set(pad, end)
    }
    const cutIn = new ort.Tensor('float32', embedded, flat ? [batch * width, D] : [batch, width, D])
    const expected = await hiddenOf(rest, {
      input_ids: int(
        Array.from({ length: batch }, () => Array<number>(width).fill(0)),
        type,
      ),
      attention_mask: joined['attention_mask'] as ort.Tensor,
      cut_in: cutIn,
    })
    expect(worst(await hiddenOf(session, joined), expected)).toBe(0)
    await Promise.all([top.release(), rest.release()])
  })
})

describe('a float session', () => {
  it.each(['a', 'b', 'c'] as const)('prompt %s: hidden states are PyTorch’s to 2e-5', async (name) => {
    const session = await openPromptedSession(ort, encoderOf('tiny-t5-v11'), { bank: createPromptBank(prompts) })
    const joined = session.join({ input_ids: int(ref.input_ids), attention_mask: int(ref.attention_mask) }, name)
    const hidden = await hiddenOf(session, joined)
    const width = joined['input_ids']?.dims[1] as number
    const length = ref.adapters[name].P
    for (const [row, texts] of lengths.entries()) {
      const ours = hidden.subarray(row * width * D, (row * width + length + texts) * D)
      expect(worst(ours, new Float32Array((ref.adapters[name].hidden[row] as number[][]).slice(0, length + texts).flat()))).toBeLessThan(
        2e-5,
      )
    }
    await session.release()
  })
})

describe('dynamically quantised models', () => {
  const rows = [ref.input_ids[2]?.slice(0, 3) as number[], ref.input_ids[2]?.slice(0, 3) as number[]]
  const loud: SoftPrompt = softPrompt({ dtype: 'F32', shape: [1, D], data: new Float32Array(D).fill(1000) }, { base: { id: 'x' } })
  /** How far a row with no prompt moves when its neighbour's prompt is huge. */
  const moved = async (path: string): Promise<number> => {
    const session = await openPromptedSession(ort, path, { bank: createPromptBank({ a: prompts.a, loud }) })
    const hidden = async (neighbour: string): Promise<Float32Array> => {
      const joined = session.join(
        {
          input_ids: int(rows),
          attention_mask: int([
            [1, 1, 1],
            [1, 1, 1],
          ]),
        },
        [null, neighbour],
      )
      return (await hiddenOf(session, joined)).slice(0, 3 * D)
    }
    const one = softPrompt({ dtype: 'F32', shape: [1, D], data: new Float32Array(D) }, { base: { id: 'x' } })
    session.bank.add('quiet', one)
    const distance = worst(await hidden('loud'), await hidden('quiet'))
    await session.release()
    return distance
  }
  it('say so, because a neighbour’s prompt moves a row that has none; in a float model it does not', async () => {
    const flags = await Promise.all(
      [encoderOf('tiny-t5-v11', 'q8'), encoderOf('tiny-t5-v11')].map(async (path) => {
        const session = await openPromptedSession(ort, path)
        await session.release()
        return session.dynamicallyQuantized
      }),
    )
    expect(flags).toEqual([true, false])
    expect(await moved(encoderOf('tiny-t5-v11'))).toBe(0)
    expect(await moved(encoderOf('tiny-t5-v11', 'q8'))).toBeGreaterThan(0.01)
  })
})

/** The float encoder with all large weights in one file beside it. */
const external = (location: string): { model: Uint8Array; data: Uint8Array } => {
  const parts: Uint8Array[] = []
  let offset = 0
  const model = withGraph(floatModel(), ({ initializers }) => ({
    initializers: initializers.map((tensor) => {
      const raw = tensor.rawData
      if (raw === undefined || raw.length < 1024) return tensor
      parts.push(raw)
      offset += raw.length
      return withExternalData(tensor, { location, offset: offset - raw.length, length: raw.length })
    }),
  }))
  return { model: formatModel(model), data: new Uint8Array(Buffer.concat(parts)) }
}

describe('where the weights are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'soft-prompts-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const feeds = { input_ids: int(ref.input_ids), attention_mask: int(ref.attention_mask) }
  let expected: Float32Array
  beforeAll(async () => {
    const session = await openPromptedSession(ort, encoderOf('tiny-t5-v11'), { bank: createPromptBank(prompts) })
    expected = await hiddenOf(session, session.join(feeds, 'b'))
    await session.release()
  })
  /** Distance from what the plain path gives. */
  const distance = async (source: string | Uint8Array | Blob, options: object = {}): Promise<number> => {
    const session = await openPromptedSession(ort, source, { bank: createPromptBank(prompts), ...options })
    const far = worst(await hiddenOf(session, session.join(feeds, 'b')), expected)
    await session.release()
    return far
  }

  it('bytes', async () => expect(await distance(new Uint8Array(readFileSync(encoderOf('tiny-t5-v11'))))).toBe(0))
  it('a Blob', async () => expect(await distance(new Blob([readFileSync(encoderOf('tiny-t5-v11'))]))).toBe(0))

  it('external data beside the model', async () => {
    const { model, data } = external('encoder_model.onnx_data')
    writeFileSync(join(folder, 'encoder_model.onnx'), model)
    writeFileSync(join(folder, 'encoder_model.onnx_data'), data)
    expect(await distance(join(folder, 'encoder_model.onnx'))).toBe(0)
  })

  it('external data in the Hugging Face cache: links into a folder of blobs', async () => {
    const { model, data } = external('encoder_model.onnx_data')
    mkdirSync(join(folder, 'blobs'))
    mkdirSync(join(folder, 'snapshots/1/onnx'), { recursive: true })
    writeFileSync(join(folder, 'blobs/aaa'), model)
    writeFileSync(join(folder, 'blobs/bbb'), data)
    symlinkSync('../../../blobs/aaa', join(folder, 'snapshots/1/onnx/encoder_model.onnx'))
    symlinkSync('../../../blobs/bbb', join(folder, 'snapshots/1/onnx/encoder_model.onnx_data'))
    expect(await distance(join(folder, 'snapshots/1/onnx/encoder_model.onnx'))).toBe(0)
  })

  it('bytes with external bytes', async () => {
    const { model, data } = external('encoder_model.onnx_data')
    expect(await distance(model, { externalData: [{ path: 'encoder_model.onnx_data', data }] })).toBe(0)
  })

  it('a file that is not there, a folder, a decoder, a text: each is named', async () => {
    writeFileSync(join(folder, 'page.onnx'), '<!DOCTYPE html><title>404</title>')
    const wrong: [string, RegExp][] = [
      [join(folder, 'absent.onnx'), /encoder-missing/],
      [folder, /encoder-missing/],
      [encoderOf('tiny-t5-v11').replace('encoder_model', 'decoder_model_merged'), /onnx-decoder/],
      [join(folder, 'page.onnx'), /onnx-/],
    ]
    for (const [path, code] of wrong) {
      await expect(openPromptedSession(ort, path)).rejects.toMatchObject({
        code: expect.stringMatching(code),
        message: expect.stringContaining(path),
      })
    }
  })

  it('external data that is not there is named, and what to do', async () => {
    const { model } = external('weights.onnx_data')
    writeFileSync(join(folder, 'parted.onnx'), model)
    for (const [source, what] of [
      [join(folder, 'parted.onnx'), 'fetch it too'],
      [model, 'give its bytes'],
    ] as const) {
      await expect(openPromptedSession(ort, source)).rejects.toMatchObject({
        code: 'onnx-external-missing',
        message: expect.stringMatching(new RegExp(`"weights.onnx_data", which is not there; ${what}`)),
      })
    }
  })

  it('external data outside the model’s folder is refused', async () => {
    writeFileSync(join(folder, 'escaping.onnx'), external('../secret').model)
    await expect(openPromptedSession(ort, join(folder, 'escaping.onnx'))).rejects.toMatchObject({ code: 'onnx-external-escape' })
  })
})

describe('old models', () => {
  it.each([
    [9, 3],
    [11, 6],
    [13, 7],
  ])('the added nodes run in opset %i, IR version %i', async (version, irVersion) => {
    const table = makeTensor('w', DATA_TYPE.FLOAT, [3, 2], new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer))
    const model: ModelProto = {
      irVersion,
      opsetImports: [{ domain: '', version }],
      metadataProps: [],
      graph: {
        name: 'lookup',
        nodes: [makeNode('Gather', ['w', 'input_ids'], ['out'])],
        initializers: [table],
        // IR version 3 lists initializers among the inputs.
        inputs: [
          makeValueInfo('input_ids', DATA_TYPE.INT64, ['b', 't']),
          ...(irVersion === 3 ? [makeValueInfo('w', DATA_TYPE.FLOAT, [3, 2])] : []),
        ],
        outputs: [makeValueInfo('out', DATA_TYPE.FLOAT, ['b', 't', 2])],
        valueInfos: [],
      },
    }
    const prompt = softPrompt({ dtype: 'F32', shape: [2, 2], data: Float32Array.of(10, 11, 12, 13) }, { base: { id: 'x' } })
    const session = await openPromptedSession(ort, formatModel(model), { bank: createPromptBank({ p: prompt }) })
    const { input_ids: ids } = session.join({ input_ids: int([[2, 1]]) }, 'p')
    const { out } = await session.run({ input_ids: ids as ort.Tensor })
    expect([...((out as ort.Tensor).data as Float32Array)]).toEqual([10, 11, 12, 13, 4, 5, 2, 3])
    await session.release()
  })
})
