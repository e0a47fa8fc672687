/** The layers of ONNX files against the checkpoint they were made of: every exporter, dtype and quantiser; and files of which only the layers are others. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openOnnxFacts } from '../../adapters/checkpoint/onnx-facts.ts'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { onnxEmbeddingTable } from '../../src/onnx/embedding-table.ts'
import { onnxLayerWeights, type Half } from '../../src/onnx/layer-weights.ts'
import { parseModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type ModelProto, type NodeProto, type TensorProto } from '../../src/onnx/schema.ts'
import { makeNode, makeTensor } from '../../src/onnx/tensors.ts'
import { compareFingerprint, fingerprintOf, type Comparison, type Digest, type ModelFacts } from '../../src/prompt/fingerprint.ts'
import { toF16 } from '../../src/tensor/half.ts'
import { folderOf, MODELS, type ModelName } from '../attach/fixtures.ts'
import { withGraph } from '../attach/variants.ts'
import { checkpointFacts, readOnnx, scrambledOnnx } from '../prompt/layers.ts'

const digest: Digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
const none = (): never => {
  throw new Error('these models keep their weights inside')
}
const dir = mkdtempSync(join(tmpdir(), 'layer-weights-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const checkpoints = Object.fromEntries(
  await Promise.all(MODELS.map(async (model) => [model, await checkpointFacts(join(folderOf(model), 'hf'))] as const)),
) as Record<ModelName, ModelFacts>

/** The checkpoint's fingerprint against these ONNX models; the embedding is the checkpoint's own. */
async function compare(model: ModelName, files: Partial<Record<Half, ModelProto>>): Promise<Comparison> {
  const fingerprint = await fingerprintOf(checkpoints[model], digest)
  const weights = Object.entries(files).flatMap(([half, proto]) => onnxLayerWeights(proto, half as Half, none))
  return compareFingerprint(fingerprint, { table: checkpoints[model].table, layers: { weights } }, digest)
}

const suffixOf = { float: '', quantised: '_quantized' } as const
const both = (model: ModelName, suffix: string): Record<Half, ModelProto> => ({
  encoder: readOnnx(folderOf(model), `encoder_model${suffix}.onnx`),
  decoder: readOnnx(folderOf(model), `decoder_model_merged${suffix}.onnx`),
})

describe.each(MODELS)('%s', (model) => {
  it('exported by optimum: every weight is found, and is the same', async () => {
    expect(await compare(model, both(model, ''))).toEqual({ answer: 'same', drift: 0, reasons: [] })
  })

  it('quantised dynamically: every weight is found, and is the same but quantised', async () => {
    const { answer, drift, reasons } = await compare(model, both(model, '_quantized'))
    expect({ answer, reasons }).toEqual({ answer: 'quantised', reasons: [] })
    expect(drift).toBeGreaterThan(0)
    expect(drift).toBeLessThan(0.03)
  })

  it('exported by this library: every weight is found, and is the same', async () => {
    const out = join(dir, model)
    await exportOnnx(join(folderOf(model), 'hf'), out)
    expect(await compare(model, both2(out))).toEqual({ answer: 'same', drift: 0, reasons: [] })
  })

  describe.each(['float', 'quantised'] as const)('%s files', (kind) => {
    const files = both(model, suffixOf[kind])

    it('with all layers overwritten: another model', async () => {
      const { answer, reasons } = await compare(model, { encoder: scrambledOnnx(files.encoder), decoder: scrambledOnnx(files.decoder) })
      expect(answer).toBe('other')
      expect(Number(/(\d+) of \d+ weights of the layers differ/.exec(reasons.join())?.[1])).toBeGreaterThan(40)
    })

    it.each(['encoder', 'decoder'] as const)('with the layers of the %s overwritten: another model', async (half) => {
      const { answer, reasons } = await compare(model, { ...files, [half]: scrambledOnnx(files[half]) })
      expect(answer).toBe('other')
      expect(reasons.join()).toMatch(new RegExp(`weights of the layers differ \\(${half}\\.`))
    })

    it('with one matrix of the decoder overwritten: another model, and which', async () => {
      const product = nodesOf(files.decoder).find(({ name }) => name?.startsWith('/decoder/block.1/layer.1/EncDecAttention/v/MatMul'))
      const decoder = scrambledOnnx(files.decoder, ({ name }) => name === product?.inputs[1])
      const { answer, reasons } = await compare(model, { ...files, decoder })
      expect(answer).toBe('other')
      expect(reasons).toEqual([expect.stringContaining('1 of')])
      expect(reasons.join()).toContain('(decoder.block.1.layer.1.EncDecAttention.v.weight; relative')
    })
  })

  it('the other model: another one', async () => {
    const other = MODELS.find((each) => each !== model) as ModelName
    for (const suffix of Object.values(suffixOf)) expect((await compare(model, both(other, suffix))).answer).toBe('other')
  })
})

const both2 = (folder: string): Record<Half, ModelProto> => ({
  encoder: readOnnx(folder, 'encoder_model.onnx'),
  decoder: readOnnx(folder, 'decoder_model_merged.onnx'),
})

function nodesOf(model: ModelProto): NodeProto[] {
  const within = (nodes: readonly NodeProto[]): NodeProto[] =>
    nodes.flatMap((node) => [node, ...node.attributes.flatMap(({ g }) => (g ? within(g.nodes) : []))])
  return within(model.graph?.nodes ?? [])
}

// ---- other ways to store a matrix: the encoder's products rewritten ----

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
const floatsOf = (tensor: TensorProto): Float32Array => new Float32Array((tensor.rawData as Uint8Array).slice().buffer)
const scaleOf = (values: readonly number[], top: number): number => Math.max(...values.map(Math.abs), 1e-9) / top

/** A stored matrix [K, N] in another form: its tensors, and the nodes that multiply x by it. */
type Stored = (
  matrix: Float32Array,
  name: string,
  dims: readonly [k: number, n: number],
) => {
  readonly tensors: readonly TensorProto[]
  readonly nodes: (x: string, out: string, name: string) => readonly NodeProto[]
}

function rewritten(form: Stored): ModelProto {
  return withGraph(readOnnx(folderOf('tiny-t5-v11'), 'encoder_model.onnx'), ({ nodes, initializers }) => {
    const stored = new Map(initializers.map((tensor) => [tensor.name, tensor]))
    const made = new Map<string, ReturnType<Stored>>()
    for (const { opType, inputs } of nodes) {
      const tensor = stored.get(inputs[1])
      if (opType === 'MatMul' && tensor?.dims.length === 2)
        made.set(inputs[1] ?? '', form(floatsOf(tensor), inputs[1] ?? '', tensor.dims as [number, number]))
    }
    return {
      initializers: [...initializers.filter(({ name }) => !made.has(name ?? '')), ...[...made.values()].flatMap(({ tensors }) => tensors)],
      nodes: nodes.flatMap(
        (node) => made.get(node.inputs[1] ?? '')?.nodes(node.inputs[0] ?? '', node.outputs[0] ?? '', node.name ?? '') ?? [node],
      ),
    }
  })
}

const turned = (matrix: Float32Array, [k, n]: readonly [number, number]): Float32Array =>
  Float32Array.from({ length: k * n }, (_, at) => matrix[(at % k) * n + Math.floor(at / k)] as number)
const column = (matrix: Float32Array, [k, n]: readonly [number, number], at: number): number[] =>
  Array.from({ length: k }, (_, row) => matrix[row * n + at] as number)

/** One scale a column. */
function perChannel(matrix: Float32Array, name: string, dims: readonly [number, number]): { scales: Float32Array; tensors: TensorProto[] } {
  const [k, n] = dims
  const scales = Float32Array.from({ length: n }, (_, at) => scaleOf(column(matrix, dims, at), 127))
  const whole = Int8Array.from(matrix, (value, at) => Math.round(value / (scales[at % n] as number)))
  const tensors = [
    makeTensor(`${name}_q`, DATA_TYPE.INT8, [k, n], bytesOf(whole)),
    makeTensor(`${name}_s`, DATA_TYPE.FLOAT, [n], bytesOf(scales)),
    makeTensor(`${name}_z`, DATA_TYPE.INT8, [n], new Uint8Array(n)),
  ]
  return { scales, tensors }
}

/** [N, blocks, bytes]: low bits first; with zero points, or centred. */
function blocksOf(bits: 4 | 8, block: number, zeroPoints: boolean): Stored {
  return (matrix, name, dims) => {
    const [k, n] = dims
    const blocks = Math.ceil(k / block)
    const middle = 2 ** (bits - 1)
    const [data, scales, zeros] = [
      new Uint8Array((n * blocks * block * bits) / 8),
      new Float32Array(n * blocks),
      new Uint8Array(n * Math.ceil((blocks * bits) / 8)),
    ]
    for (let out = 0; out < n; out++) {
      const values = column(matrix, dims, out)
      for (let group = 0; group < blocks; group++) {
        const part = values.slice(group * block, (group + 1) * block)
        // with a zero point of its own a block need not be centred
        const [low, high] = zeroPoints ? [Math.min(0, ...part), Math.max(0, ...part)] : [0, 0]
        const scale = zeroPoints ? (high - low) / (2 ** bits - 1) : scaleOf(part, middle - 1)
        const zero = zeroPoints ? Math.round(-low / scale) : middle
        scales[out * blocks + group] = scale
        const at = Math.ceil((blocks * bits) / 8) * out + Math.floor((group * bits) / 8)
        zeros[at] = (zeros[at] as number) | (zero << ((group * bits) % 8))
        for (const [index, value] of part.entries()) {
          const byte = ((out * blocks + group) * block * bits) / 8 + Math.floor((index * bits) / 8)
          data[byte] =
            (data[byte] as number) | (Math.min(2 ** bits - 1, Math.max(0, Math.round(value / scale) + zero)) << ((index * bits) % 8))
        }
      }
    }
    const attributes = { K: BigInt(k), N: BigInt(n), bits: BigInt(bits), block_size: BigInt(block) }
    return {
      tensors: [
        makeTensor(`${name}_Q`, DATA_TYPE.UINT8, [n, blocks, (block * bits) / 8], data),
        makeTensor(`${name}_s`, DATA_TYPE.FLOAT, [n * blocks], bytesOf(scales)),
        ...(zeroPoints ? [makeTensor(`${name}_z`, DATA_TYPE.UINT8, [zeros.length], zeros)] : []),
      ],
      nodes: (x, out, node) => [
        makeNode('MatMulNBits', [x, `${name}_Q`, `${name}_s`, ...(zeroPoints ? [`${name}_z`] : [])], [out], attributes, {
          name: `${node}_Q${bits}`,
          domain: 'com.microsoft',
        }),
      ],
    }
  }
}

const plainProduct =
  (matrix: string) =>
  (x: string, out: string, name: string): NodeProto[] => [makeNode('MatMul', [x, matrix], [out], {}, { name })]

const FORMS: Readonly<Record<string, readonly [answer: 'same' | 'quantised', form: Stored]>> = {
  'turned round, with a Transpose in front': [
    'same',
    (matrix, name, [k, n]) => ({
      tensors: [makeTensor(name, DATA_TYPE.FLOAT, [n, k], bytesOf(turned(matrix, [k, n])))],
      nodes: (x, out, node) => [
        makeNode('Transpose', [name], [`${name}_t`], { perm: [1n, 0n] }),
        ...plainProduct(`${name}_t`)(x, out, node),
      ],
    }),
  ],
  'turned round, for Gemm': [
    'same',
    (matrix, name, [k, n]) => ({
      tensors: [makeTensor(name, DATA_TYPE.FLOAT, [n, k], bytesOf(turned(matrix, [k, n])))],
      nodes: (x, out, node) => [makeNode('Gemm', [x, name], [out], { transB: 1n }, { name: node })],
    }),
  ],
  'F16 with a Cast': [
    'quantised',
    (matrix, name, dims) => ({
      tensors: [makeTensor(name, DATA_TYPE.FLOAT16, dims, bytesOf(Uint16Array.from(matrix, toF16)))],
      nodes: (x, out, node) => [makeNode('Cast', [name], [`${name}_c`], { to: 1n }), ...plainProduct(`${name}_c`)(x, out, node)],
    }),
  ],
  'int8 with a scale for each column, DequantizeLinear': [
    'quantised',
    (matrix, name, dims) => ({
      tensors: perChannel(matrix, name, dims).tensors,
      nodes: (x, out, node) => [
        makeNode('DequantizeLinear', [`${name}_q`, `${name}_s`, `${name}_z`], [`${name}_f`], { axis: 1n }),
        ...plainProduct(`${name}_f`)(x, out, node),
      ],
    }),
  ],
  'int8 with a scale for each column, MatMulInteger': [
    'quantised',
    (matrix, name, dims) => ({
      tensors: perChannel(matrix, name, dims).tensors,
      nodes: (x, out, node) => [
        makeNode('DynamicQuantizeLinear', [x], [`${out}_q`, `${out}_s`, `${out}_z`]),
        makeNode('Mul', [`${out}_s`, `${name}_s`], [`${out}_scale`]),
        makeNode('MatMulInteger', [`${out}_q`, `${name}_q`, `${out}_z`, `${name}_z`], [`${out}_i`], {}, { name: `${node}_quant` }),
        makeNode('Cast', [`${out}_i`], [`${out}_c`], { to: 1n }),
        makeNode('Mul', [`${out}_c`, `${out}_scale`], [out]),
      ],
    }),
  ],
  'blocks of 4 bits': ['quantised', blocksOf(4, 32, false)],
  'blocks of 4 bits with zero points': ['quantised', blocksOf(4, 32, true)],
  'blocks of 4 bits that end past the matrix': ['quantised', blocksOf(4, 128, true)],
  'blocks of 8 bits': ['quantised', blocksOf(8, 64, false)],
}

describe.each(Object.entries(FORMS))('matrices as %s', (_, [answer, form]) => {
  it(`are all found, and ${answer}`, async () => {
    const compared = await compare('tiny-t5-v11', { encoder: rewritten(form) })
    expect(compared).toMatchObject({ answer, reasons: ["the decoder's layers were not compared"] })
    expect(compared.drift).toBeLessThan(0.2)
  })

  it('are another model when overwritten', async () => {
    const { answer: other, reasons } = await compare('tiny-t5-v11', {
      encoder: scrambledOnnx(rewritten(form), ({ name }) => !/_[sz]$/.test(name ?? '')),
    })
    expect(other).toBe('other')
    expect(Number(/(\d+) of 29 weights of the layers differ/.exec(reasons.join())?.[1])).toBeGreaterThan(15)
  })
})

describe('an export without names of modules (dynamo)', () => {
  const folder = folderOf('tiny-t5-v11')
  const model = parseModel(readFileSync(join(folder, 'encoder_dynamo.onnx')))
  const files = new Map<string, Uint8Array>()
  const read = (location: string, offset: number, length: number): Uint8Array => {
    const bytes = files.get(location) ?? readFileSync(join(folder, location))
    files.set(location, bytes)
    return bytes.subarray(offset, offset + length)
  }
  const compareOrder = async (given: ModelProto): Promise<Comparison> =>
    compareFingerprint(
      await fingerprintOf(checkpoints['tiny-t5-v11'], digest),
      { table: onnxEmbeddingTable(model, read), layers: { weights: onnxLayerWeights(given, 'encoder', read) } },
      digest,
    )

  it('is known by the order of its products', async () => {
    expect(await compareOrder(model)).toEqual({ answer: 'same', drift: 0, reasons: ["the decoder's layers were not compared"] })
  })

  it('overwritten is another model', async () => {
    expect((await compareOrder(scrambledOnnx(model))).answer).toBe('other')
  })

  it('whose products are fewer than its layers need is said not to be compared', async () => {
    let left = 1
    const fused = withGraph(model, ({ nodes }) => ({
      nodes: nodes.map((node) => (node.name === 'node_linear_1' && left-- > 0 ? { ...node, opType: 'FusedSomething' } : node)),
    }))
    const { answer, reasons } = await compareOrder(fused)
    expect(answer).toBe('same')
    expect(reasons).toEqual([
      expect.stringMatching(/^21 of 29 weights of the encoder were not compared/),
      "the decoder's layers were not compared",
    ])
  })
})

it('a file on disk is read in place, its decoder beside it', async () => {
  const onnx = join(folderOf('tiny-t5-v10'), 'onnx')
  const fingerprint = await fingerprintOf(checkpoints['tiny-t5-v10'], digest)
  const facts = await openOnnxFacts(join(onnx, 'encoder_model_quantized.onnx'), join(onnx, 'decoder_model_merged_quantized.onnx'))
  expect(await compareFingerprint(fingerprint, facts, digest)).toMatchObject({ answer: 'quantised', reasons: [] })
})
