/** `soft_prompt.json`: the reader and the published JSON Schema agree on every single change to a full manifest; what is newer is kept. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { formatManifest, parseManifest } from '../../adapters/artifact/manifest.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'

const schema = JSON.parse(readFileSync(new URL('../../adapters/artifact/soft_prompt.schema.json', import.meta.url), 'utf8')) as object
const accepts = new Ajv2020({ strict: true, strictTypes: false }).compile(schema)

const sha = 'a1'.repeat(32)
const manifest: Manifest = {
  base: {
    id: 'me/tiny',
    revision: 'abc',
    onnxId: 'me/tiny-ONNX',
    fingerprint: {
      version: 2,
      vocabSize: 512,
      width: 16,
      encoderLayers: 3,
      decoderLayers: 2,
      tokenizer: sha,
      probe: { ids: [1, 2], rows: 'AAAA' },
      finalNorm: 'AAA=',
      layers: { each: 2, gated: true, tied: false, biasInEveryLayer: false, values: 'AAAA' },
    },
  },
  task: 'sentiment',
  template: 'review: {input}',
  labels: ['positive', 'negative'],
  generation: { max_new_tokens: 5, do_sample: false },
  recipe: {
    length: 4,
    init: 'labels',
    steps: 10,
    batch: 2,
    learningRate: 0.3,
    optimizer: 'adafactor',
    weightDecay: 1e-5,
    stepOffset: 0,
    seed: -1,
    maxInputTokens: 64,
    maxTargetTokens: 8,
    evalEvery: 5,
    engine: 'cpu',
    initText: 'good or bad',
    clipNorm: 0,
  },
  data: {
    name: 'me/rows',
    config: 'default',
    split: 'train',
    rows: 3,
    sha256: sha,
    target: 'label',
    labelMap: { '0': 'negative', aB_c: 'positive' },
  },
  dev: { name: 'dev.jsonl', rows: 2, sha256: sha },
  bestStep: 5,
  metrics: [{ name: 'accuracy', split: 'dev', value: 0.9, n: 20, interval: [0.7, 0.97], step: 5, by: 'labels' }],
  baselines: [{ name: 'accuracy', split: 'dev', value: 0.5, n: 20, interval: [0.3, 0.7], of: 'majority' }],
  nearest: [['▁good', '▁fine'], []],
  failures: [{ input: 'review: x', expected: 'positive', answered: 'negative' }],
  checks: [{ file: 'encoder_model_q4.onnx', sha256: sha, answer: 'quantised', drift: 0.1, outputDrift: 0.2, texts: 4 }],
  createdBy: 'soft-prompts 0.1.0',
  files: { 'adapter_config.json': sha },
}

type Wire = Record<string, unknown>
const wire = (): Wire => JSON.parse(formatManifest(manifest)) as Wire
const isRead = (value: unknown): boolean => {
  try {
    parseManifest(JSON.stringify(value))
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^manifest-/) })
    return false
  }
}

/** Every place in a value, as a path. */
const places = (value: unknown, path: readonly string[] = []): (readonly string[])[] =>
  typeof value === 'object' && value !== null
    ? [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))]
    : [path]

/** A copy with the value at a place replaced, or removed where it is undefined. */
function changed(value: unknown, path: readonly string[], to: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return to
  const copy = structuredClone(value) as Wire
  const inner = changed(copy[key], rest, to)
  if (inner === undefined && !Array.isArray(copy)) delete copy[key]
  else copy[key] = inner ?? null
  return copy
}

const NEAR_MISSES: readonly unknown[] = [
  undefined,
  null,
  true,
  -1,
  0,
  1,
  1.5,
  2,
  1e12,
  '',
  'x',
  'x y',
  'AAAA',
  'AAA=A',
  'labels',
  'sgd',
  'generation',
  sha,
  sha.toUpperCase(),
  'x'.repeat(10_001),
  [],
  [1],
  [1, 2],
  [1, 2, 3],
  ['x'],
  [null],
  {},
  { x: 1 },
  { x: true },
  { x: 'x' },
  { x: sha },
  { aB: 1 },
  { a_2: 1 },
]

describe('manifest', () => {
  it('comes back as it was, and equal manifests give equal text', () => {
    const text = formatManifest(manifest)
    expect(parseManifest(text)).toEqual(manifest)
    expect(formatManifest(parseManifest(text))).toBe(text)
    expect(wire()['recipe']).toMatchObject({ learning_rate: 0.3, clip_norm: 0 })
    expect(wire()['generation']).toEqual({ max_new_tokens: 5, do_sample: false })
  })

  it('the schema and the reader agree on every change', () => {
    const disagreements: unknown[] = []
    let [taken, refused] = [0, 0]
    for (const path of places(wire())) {
      for (const value of NEAR_MISSES) {
        // An own error tells of newer versions, and of what is no object at all.
        if (path.length === 0 || (path[0] === 'version' && typeof value === 'number')) continue
        const candidate = changed(wire(), path, value)
        const [byReader, bySchema] = [isRead(candidate), accepts(candidate)]
        if (byReader) taken += 1
        else refused += 1
        if (byReader !== bySchema) disagreements.push({ path, value, byReader, bySchema })
      }
    }
    expect(disagreements).toEqual([])
    expect(taken).toBeGreaterThan(200)
    expect(refused).toBeGreaterThan(1000)
  })

  it('fields of a newer writer come back where they were, at every depth', () => {
    const newer = wire()
    newer['future'] = { camelCase: [1, { x_1: null }] }
    ;(newer['base_model'] as Wire)['hub_2'] = { some_name: 1 }
    ;(newer['recipe'] as Wire)['z_loss'] = 1e-4
    ;((newer['metrics'] as Wire[])[0] as Wire)['per_label'] = { x: 1 }
    expect(accepts(newer)).toBe(true)
    expect(JSON.parse(formatManifest(parseManifest(JSON.stringify(newer))))).toEqual(newer)
  })

  it('an unknown field never stands in for a known one', () => {
    const text = formatManifest({ ...manifest, unknown: { version: 2, task: 'other', later: 1 } })
    expect(JSON.parse(text)).toMatchObject({ version: 1, task: 'sentiment', later: 1 })
  })

  it.each<[string, string, string]>([
    ['no JSON', '{', 'json-syntax'],
    ['a list', '[]', 'manifest-format'],
    ['a newer version', JSON.stringify({ ...wire(), version: 2 }), 'manifest-version'],
    ['a version that is a text', JSON.stringify({ ...wire(), version: '1' }), 'manifest-invalid'],
    ['a key twice', '{"version":1,"version":1}', 'json-duplicate-key'],
    ['__proto__', '{"version":1,"__proto__":{"base_model":{"id":"x"}}}', 'json-forbidden-key'],
    ['nesting without end', `{"version":1,"x":${'['.repeat(100_000)}`, 'json-depth'],
    ['a name that is not snake_case', JSON.stringify({ ...wire(), base_model: { id: 'x', hubId: 'y' } }), 'manifest-invalid'],
    ['an infinite number', formatManifest(manifest).replace('"value": 0.9', '"value": 1e999'), 'json-number'],
  ])('refuses %s', (_, text, code) => {
    expect(() => parseManifest(text)).toThrow(expect.objectContaining({ code }))
  })
})
