/** The ONNX codec against another implementation (@bufbuild/protobuf + onnx-buf), on real exports and on generated models. */
import { readdirSync, readFileSync } from 'node:fs'
import { create, equals, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { formatModel, parseModel } from '../../src/onnx/model.ts'
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from '../../src/onnx/schema.ts'

const fixtures = new URL('../fixtures/onnx/', import.meta.url)
const files = ['tiny-t5-v10', 'tiny-t5-v11'].flatMap((name) =>
  readdirSync(new URL(`${name}/onnx/`, fixtures)).map((file) => `${name}/onnx/${file}`),
)
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, fixtures)))

/** Every graph of a model, those inside attributes included. */
function* graphsOf(graph: GraphProto): Generator<GraphProto> {
  yield graph
  for (const node of graph.nodes) {
    for (const { g, graphs } of node.attributes) for (const inner of [...(g ? [g] : []), ...graphs]) yield* graphsOf(inner)
  }
}

describe('real exports', () => {
  it('finds them', () => expect(files).toHaveLength(9))

  it.each(files)('%s is written back byte for byte', (name) => {
    const bytes = read(name)
    expect(Buffer.compare(formatModel(parseModel(bytes)), bytes)).toBe(0)
  })

  it.each(files)('%s: names, shapes, attributes and payloads are what the oracle reads', (name) => {
    const bytes = read(name)
    const ours = parseModel(bytes)
    const oracle = fromBinary(ModelProtoSchema, bytes)
    const graph = ours.graph as GraphProto
    expect(ours.opsetImports.map(({ version }) => version)).toEqual(oracle.opsetImport.map(({ version }) => Number(version)))
    expect(graph.nodes.map(({ opType, inputs, outputs }) => [opType, inputs, outputs])).toEqual(
      oracle.graph?.node.map(({ opType, input, output }) => [opType, input, output]),
    )
    expect(graph.nodes.flatMap(({ attributes }) => attributes.map(({ name: key, i, ints, type }) => [key, i ?? 0n, ints, type]))).toEqual(
      oracle.graph?.node.flatMap(({ attribute }) => attribute.map(({ name: key, i, ints, type }) => [key, i, ints, type])),
    )
    for (const [index, tensor] of graph.initializers.entries()) {
      const theirs = oracle.graph?.initializer[index]
      expect([tensor.name, tensor.dims, tensor.dataType]).toEqual([theirs?.name, theirs?.dims.map(Number), theirs?.dataType])
      expect(Buffer.compare(tensor.rawData ?? new Uint8Array(), theirs?.rawData ?? new Uint8Array())).toBe(0)
    }
  })

  it('payloads are views into the file, not copies', () => {
    const bytes = read('tiny-t5-v10/onnx/encoder_model.onnx')
    const payloads = parseModel(bytes).graph?.initializers.flatMap(({ rawData }) => (rawData ? [rawData] : [])) ?? []
    expect(payloads.length).toBeGreaterThan(10)
    expect(payloads.every(({ buffer }) => buffer === bytes.buffer)).toBe(true)
  })

  it('reads the graphs inside the merged decoder', () => {
    const graph = parseModel(read('tiny-t5-v10/onnx/decoder_model_merged.onnx')).graph as GraphProto
    expect([...graphsOf(graph)].length).toBe(3)
  })
})

const text = fc.string({ unit: 'binary', maxLength: 12 })
const int64 = fc.oneof(
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 127n, 128n, 2n ** 31n, 2n ** 32n),
)
const integer = fc.oneof(fc.maxSafeInteger(), fc.nat(300), fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32, -1))
const float = fc.float({ noNaN: true })
const payload = fc.uint8Array({ maxLength: 20 })
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 3 })
/** Fields are absent as often as present; an absent field is no key at all. */
const some = <T>(fields: { [K in keyof T]: fc.Arbitrary<NonNullable<T[K]>> }, required: (keyof T)[]): fc.Arbitrary<T> =>
  fc.record(fields as never, { requiredKeys: required as never }) as fc.Arbitrary<T>

const entry = some<{ key?: string; value?: string }>({ key: text, value: text }, [])
const tensor = some<Omit<TensorProto, 'unknown'>>(
  {
    dims: list(integer),
    dataType: fc.nat(30),
    name: text,
    rawData: payload,
    externalData: list(entry),
    dataLocation: fc.nat(1),
  },
  ['dims', 'externalData'],
)

const { graph: graphArbitrary } = fc.letrec<{ graph: GraphProto; node: NodeProto; attribute: AttributeProto }>((tie) => ({
  attribute: some<Omit<AttributeProto, 'unknown'>>(
    {
      name: text,
      f: float,
      i: int64,
      s: payload,
      t: tensor,
      g: tie('graph') as fc.Arbitrary<GraphProto>,
      floats: list(float),
      ints: list(int64),
      strings: list(payload),
      tensors: list(tensor),
      graphs: fc.constant([]),
      type: fc.nat(14),
    },
    ['floats', 'ints', 'strings', 'tensors', 'graphs'],
  ),
  node: some<Omit<NodeProto, 'unknown'>>(
    {
      inputs: list(text),
      outputs: list(text),
      name: text,
      opType: text,
      attributes: fc.oneof({ depthSize: 'small' }, fc.constant([]), list(tie('attribute') as fc.Arbitrary<AttributeProto>)),
      domain: text,
    },
    ['inputs', 'outputs', 'attributes'],
  ),
  graph: some<Omit<GraphProto, 'unknown'>>(
    {
      nodes: fc.oneof({ depthSize: 'small' }, fc.constant([]), list(tie('node') as fc.Arbitrary<NodeProto>)),
      name: text,
      initializers: list(tensor),
      inputs: list(
        some(
          {
            name: text,
            type: fc.record({
              tensorType: some(
                {
                  elemType: fc.nat(30),
                  shape: fc.record({
                    dims: list(fc.oneof(fc.record({ dimValue: integer }), fc.record({ dimParam: text }), fc.constant({}))),
                  }),
                },
                [],
              ),
            }),
          },
          [],
        ),
      ) as never,
      outputs: fc.constant([]),
      valueInfos: fc.constant([]),
    },
    ['nodes', 'initializers', 'inputs', 'outputs', 'valueInfos'],
  ),
}))
const modelArbitrary = some<Omit<ModelProto, 'unknown'>>(
  {
    irVersion: integer,
    producerName: text,
    producerVersion: text,
    graph: graphArbitrary,
    opsetImports: list(some({ domain: text, version: integer }, [])),
    metadataProps: list(entry),
  },
  ['graph', 'opsetImports', 'metadataProps'],
)

describe('generated models', () => {
  it('come back as they were, and the oracle writes the same bytes', () => {
    fc.assert(
      fc.property(modelArbitrary, (model) => {
        const written = formatModel(model)
        expect(parseModel(written)).toEqual(model)
        expect(Buffer.compare(toBinary(ModelProtoSchema, fromBinary(ModelProtoSchema, written)), written)).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  it('fields we do not name survive, in protobuf order', () => {
    const oracle = create(ModelProtoSchema, {
      irVersion: 8n,
      domain: 'ours',
      modelVersion: 3n,
      docString: 'words',
      graph: {
        name: 'g',
        initializer: [{ name: 'w', dims: [2n], dataType: 1, floatData: [1, 2], docString: 'd', int64Data: [-1n, 2n ** 62n] }],
        node: [{ opType: 'Slice', docString: 'n', attribute: [{ name: 'x', docString: 'a', type: 2, i: 1n }] }],
        input: [{ name: 's', type: { value: { case: 'sequenceType', value: { elemType: {} } }, denotation: 'IMAGE' } }],
        docString: 'doc',
      },
      functions: [{ name: 'f', domain: 'ours', node: [{ opType: 'Identity', input: ['a'], output: ['b'] }] }],
    })
    const bytes = toBinary(ModelProtoSchema, oracle)
    const back = formatModel(parseModel(bytes))
    expect(Buffer.compare(back, bytes)).toBe(0)
    expect(equals(ModelProtoSchema, fromBinary(ModelProtoSchema, back), oracle)).toBe(true)
  })

  it('packed and unpacked integers are both read', () => {
    const attribute = [0x0a, 1, 0x61, 0x42, 3, 1, 0x80, 1] // name "a", ints packed: 1, 128
    const node = [0x2a, attribute.length, ...attribute]
    const graph = [0x0a, node.length, ...node]
    const model = parseModel(new Uint8Array([0x3a, graph.length, ...graph]))
    expect(model.graph?.nodes[0]?.attributes[0]?.ints).toEqual([1n, 128n])
  })
})
