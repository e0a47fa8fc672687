/** The surgery on graphs: what it adds, and what it refuses in which words. The numbers are checked in test/attach. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { SoftPromptError } from '../../src/errors.ts'
import { formatModel, parseModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type GraphProto, type ModelProto, type NodeProto } from '../../src/onnx/schema.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { addSoftPromptInput } from '../../src/onnx/surgery.ts'
import { externalDataOf, makeNode, makeTensor, makeValueInfo } from '../../src/onnx/tensors.ts'

const read = (file: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../fixtures/onnx/tiny-t5-v10/onnx/${file}`, import.meta.url)))
const encoder = read('encoder_model.onnx')

function refusalOf(act: () => unknown): SoftPromptError {
  try {
    act()
  } catch (error) {
    return error as SoftPromptError
  }
  throw new TypeError('It was not refused.')
}

/** ids -> the given nodes -> out, over one float table `w` [4, 2]. */
const small = (nodes: readonly NodeProto[], extra: Partial<GraphProto> = {}): ModelProto => ({
  irVersion: 8,
  opsetImports: [{ domain: '', version: 13 }],
  metadataProps: [],
  graph: {
    name: 'g',
    nodes,
    initializers: [makeTensor('w', DATA_TYPE.FLOAT, [4, 2], new Uint8Array(32))],
    inputs: [makeValueInfo('input_ids', DATA_TYPE.INT64, ['b', 't'])],
    outputs: [makeValueInfo('out', DATA_TYPE.FLOAT, ['b', 't', 2])],
    valueInfos: [],
    ...extra,
  },
})

describe('addSoftPromptInput', () => {
  it('adds one input and leaves every old node but the lookup as it was', () => {
    const model = parseModel(encoder)
    const { model: patched, vocabSize, width, dynamicallyQuantized } = addSoftPromptInput(model)
    expect([vocabSize, width, dynamicallyQuantized]).toEqual([512, 64, false])
    expect(patched.graph?.inputs.map(({ name }) => name)).toEqual(['input_ids', 'attention_mask', 'soft_prompt_rows'])
    const old = new Set(model.graph?.nodes)
    const added = patched.graph?.nodes.filter((node) => !old.has(node)) ?? []
    expect(added.map(({ opType }) => opType)).toEqual([
      'Constant',
      'Constant',
      'Less',
      'Where',
      'Sub',
      'Where',
      'Gather',
      'Gather',
      'Constant',
      'Shape',
      'Concat',
      'Reshape',
      'Where',
    ])
    expect(patched.graph?.initializers).toBe(model.graph?.initializers)
    expect(patched.graph?.outputs).toBe(model.graph?.outputs)
  })

  it('names every value before it is used', () => {
    const { graph } = addSoftPromptInput(parseModel(encoder)).model
    const known = new Set(['', ...(graph?.inputs ?? []).map(({ name }) => name), ...(graph?.initializers ?? []).map(({ name }) => name)])
    for (const node of graph?.nodes ?? []) {
      for (const input of node.inputs) expect(known).toContain(input)
      for (const output of node.outputs) {
        expect(known).not.toContain(output)
        known.add(output)
      }
    }
  })

  it('follows ids through Cast to int32', () => {
    const model = small([
      makeNode('Cast', ['input_ids'], ['narrow'], { to: BigInt(DATA_TYPE.INT32) }),
      makeNode('Gather', ['w', 'narrow'], ['out']),
    ])
    const { model: patched, vocabSize } = addSoftPromptInput(model)
    const size = patched.graph?.nodes.find(({ outputs }) => outputs[0] === 'soft_prompt/vocab_size')?.attributes[0]?.t
    expect([vocabSize, size?.dataType, size?.rawData?.length]).toEqual([4, DATA_TYPE.INT32, 4])
  })

  it('takes a table in a Constant node', () => {
    const table = makeTensor('c', DATA_TYPE.FLOAT, [4, 2], new Uint8Array(32))
    expect(
      addSoftPromptInput(small([makeNode('Constant', [], ['t'], { value: table }), makeNode('Gather', ['t', 'input_ids'], ['out'])]))
        .vocabSize,
    ).toBe(4)
  })

  describe('refuses', () => {
    it('an already patched model', () => {
      const { model } = addSoftPromptInput(parseModel(encoder))
      expect(refusalOf(() => addSoftPromptInput(model)).code).toBe('onnx-patched')
    })
    it('a merged decoder, and says which file it wants', () => {
      const refused = refusalOf(() => addSoftPromptInput(parseModel(read('decoder_model_merged.onnx'))))
      expect(refused.code).toBe('onnx-decoder')
      expect(refused.message).toContain('encoder_model.onnx')
    })
    it('a model with no lookup', () => {
      expect(refusalOf(() => addSoftPromptInput(small([makeNode('Cast', ['input_ids'], ['out'], { to: 1n })]))).code).toBe('onnx-no-lookup')
    })
    it('a model with no input_ids, naming what it has', () => {
      const refused = refusalOf(() => addSoftPromptInput(small([], { inputs: [makeValueInfo('pixels', 1, [1])] })))
      expect(refused.code).toBe('onnx-no-lookup')
      expect(refused.message).toContain('pixels')
    })
    it('a model with several lookups, naming them', () => {
      const lookups = ['one', 'two'].map((name) => makeNode('Gather', ['w', 'input_ids'], [name], {}, { name }))
      const refused = refusalOf(() => addSoftPromptInput(small(lookups)))
      expect(refused.code).toBe('onnx-several-lookups')
      expect(refused.message).toContain('one, two')
    })
    it('a lookup in something that is not stored', () => {
      expect(refusalOf(() => addSoftPromptInput(small([makeNode('Gather', ['made', 'input_ids'], ['out'])]))).code).toBe('onnx-table')
    })
    it('a table that is dequantised by itself', () => {
      const circle = makeNode('DequantizeLinear', ['w', 'made'], ['made'])
      expect(refusalOf(() => addSoftPromptInput(small([circle, makeNode('Gather', ['made', 'input_ids'], ['out'])]))).code).toBe(
        'onnx-table',
      )
    })
    it('a lookup along columns', () => {
      expect(refusalOf(() => addSoftPromptInput(small([makeNode('Gather', ['w', 'input_ids'], ['out'], { axis: 1n })]))).code).toBe(
        'onnx-table',
      )
    })
    it('an integer table that nothing dequantises', () => {
      const initializers = [makeTensor('w', DATA_TYPE.INT8, [4, 2], new Uint8Array(8))]
      expect(refusalOf(() => addSoftPromptInput(small([makeNode('Gather', ['w', 'input_ids'], ['out'])], { initializers }))).code).toBe(
        'onnx-table',
      )
    })
  })
})

const code = async (bytes: Uint8Array): Promise<string> =>
  readSkeleton({ sizeBytes: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) }, 'x').then(
    () => 'accepted',
    (error: SoftPromptError) => error.code,
  )

describe('readSkeleton', () => {
  const reads: [number, number][] = []
  const source = {
    sizeBytes: encoder.length,
    read: (offset: number, length: number): Uint8Array => {
      reads.push([offset, length])
      return encoder.subarray(offset, offset + length)
    },
  }
  it('is the model with its large payloads left where they are', async () => {
    const whole = parseModel(encoder)
    const skeleton = await readSkeleton(source, 'encoder_model.onnx')
    expect(formatModel(skeleton).length).toBeLessThan(encoder.length / 5)
    const restored = (skeleton.graph?.initializers ?? []).map((tensor) => {
      const at = externalDataOf(tensor)
      if (at === undefined) return tensor
      expect(at.location).toBe('encoder_model.onnx')
      return makeTensor(
        tensor.name ?? '',
        tensor.dataType ?? 0,
        tensor.dims,
        encoder.subarray(at.offset, at.offset + (at.length as number)),
      )
    })
    const back = { ...skeleton, graph: { ...(skeleton.graph as GraphProto), initializers: restored } }
    expect(Buffer.compare(formatModel(back), formatModel(whole))).toBe(0)
  })

  it('refuses what is cut off, and what is no model', async () => {
    for (let size = 0; size < encoder.length; size += 20_011) expect(await code(encoder.subarray(0, size))).toMatch(/^onnx-/)
    expect(await code(new TextEncoder().encode('<!DOCTYPE html>'))).toMatch(/^onnx-/)
  })

  it('never reads a payload larger than its window', async () => {
    // 2 MB of weights behind 10 bytes of header.
    const big = formatModel(
      small([makeNode('Gather', ['w', 'input_ids'], ['out'])], {
        initializers: [makeTensor('w', DATA_TYPE.FLOAT, [2 ** 18, 2], new Uint8Array(2 ** 21))],
      }),
    )
    let taken = 0
    await readSkeleton({ sizeBytes: big.length, read: (offset, length) => ((taken += length), big.subarray(offset, offset + length)) }, 'x')
    expect(taken).toBeLessThan(2 ** 18)
  })
})
