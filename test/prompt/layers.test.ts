/** The layers in a fingerprint: which weights, where, how large; what is the same model, the same but rounded, and another one. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { compareFingerprint, fingerprintOf, type Comparison, type Digest, type ModelFacts } from '../../src/prompt/fingerprint.ts'
import { layerNames, placesOf, probeLayers, type LayerWeight } from '../../src/prompt/layers.ts'
import type { Fingerprint } from '../../src/prompt/manifest.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { fromBF16, fromF16, toBF16, toF16 } from '../../src/tensor/half.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { folderOf, MODELS } from '../attach/fixtures.ts'
import { checkpointFacts, withValues } from './layers.ts'

const digest: Digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
const facts = await checkpointFacts(join(folderOf('tiny-t5-v11'), 'hf'))
const fingerprint = await fingerprintOf(facts, digest)
const compare = (given: ModelFacts, expected: Fingerprint = fingerprint): Promise<Comparison> => compareFingerprint(expected, given, digest)
const bf16 = (values: Float32Array): Float32Array => values.map((value) => fromBF16(toBF16(value)))
const f16 = (values: Float32Array): Float32Array => values.map((value) => fromF16(toF16(value)))
const plan = { gated: true, tied: false, biasInEveryLayer: false }
const bytes = (given: unknown): number => JSON.stringify(given).length

describe('the layers of a fingerprint', () => {
  it.each(MODELS)('%s: are all weights of the checkpoint but the embedding', async (model) => {
    const { config: json, weights } = await openCheckpoint(join(folderOf(model), 'hf'))
    const config = parseT5Config(json)
    expect(layerNames(config, config).toSorted()).toEqual([...weights.keys()].filter((name) => name !== 'shared.weight').toSorted())
  })

  it.each([
    ['t5-small', 6, { ...plan, gated: false, tied: true }, 130, 2200],
    ['t5-v1.1-base', 12, plan, 281, 3200],
    ['t5-11b', 24, { ...plan, gated: false, tied: true }, 508, 5600],
    ['umt5-xxl', 24, { ...plan, biasInEveryLayer: true }, 603, 6600],
  ] as const)('of %s are small', (_, layers, of, count, most) => {
    const counts = { encoderLayers: layers, decoderLayers: layers }
    const names = layerNames(counts, of)
    const weights = names.map((name) => ({ name, size: 2 ** 26, values: (places: readonly number[]) => Float32Array.from(places) }))
    const probe = probeLayers(counts, of, weights)
    expect(names.length).toBe(count)
    expect(new Set(names).size).toBe(count)
    expect(bytes(probe)).toBeLessThan(most)
  })

  it('are looked at at places that follow from names alone, and are spread', () => {
    const name = 'encoder.block.0.layer.0.SelfAttention.q.weight'
    // FNV-1a of "…:0", "…:1", as any other program counts it
    expect(placesOf(name, 2 ** 32, 2)).toEqual([fnv(`${name}:0`), fnv(`${name}:1`)])
    const places = layerNames({ encoderLayers: 24, decoderLayers: 24 }, plan).flatMap((each) => placesOf(each, 4096, 2))
    const quarters = [0, 1, 2, 3].map((quarter) => places.filter((place) => Math.floor(place / 1024) === quarter).length / places.length)
    for (const share of quarters) expect(share).toBeGreaterThan(0.2)
  })

  it('are read from few places', async () => {
    let read = 0
    await fingerprintOf(
      withValues(facts, (_, values) => {
        read += values.length
        return values
      }),
      digest,
    )
    expect(read).toBeLessThanOrEqual(512)
  })

  it('make version 2, which survives JSON', async () => {
    expect(fingerprint.version).toBe(2)
    expect(await compare(facts, JSON.parse(JSON.stringify(fingerprint)) as Fingerprint)).toEqual({ answer: 'same', drift: 0, reasons: [] })
  })
})

/** Another writing of FNV-1a. */
function fnv(text: string): number {
  let hash = 2166136261n
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 16777619n) % 2n ** 32n
  return Number(hash)
}

const noise = (name: string, values: Float32Array): Float32Array => values.map((value, index) => value + (name.length + index) / 100)

describe('a model with the same embeddings', () => {
  it.each<[string, (name: string, values: Float32Array) => Float32Array]>([
    ['all layers overwritten', noise],
    [
      'one matrix of one decoder layer',
      (name, values) => (name === 'decoder.block.2.layer.1.EncDecAttention.v.weight' ? noise(name, values) : values),
    ],
    ['only norms', (name, values) => (name.includes('layer_norm') ? values.map((value) => value * 1.01) : values)],
    ['another head', (name, values) => (name === 'lm_head.weight' ? noise(name, values) : values)],
    [
      'a merged LoRA: q and v changed by a ten-thousandth',
      (name, values) => (/\.[qv]\.weight/.test(name) ? values.map((value) => value * 1.0001) : values),
    ],
    ['values that are none', (_, values) => values.fill(Number.NaN)],
  ])('%s: another model', async (_, change) => {
    const { answer, reasons } = await compare(withValues(facts, change))
    expect(answer).toBe('other')
    expect(reasons.join()).toMatch(/\d+ of 74 weights of the layers differ/)
  })

  it('names what differs', async () => {
    const only = 'encoder.block.1.layer.1.DenseReluDense.wi_0.weight'
    const { reasons } = await compare(withValues(facts, (name, values) => (name === only ? noise(name, values) : values)))
    expect(reasons).toEqual([expect.stringMatching(new RegExp(`^1 of 74 weights of the layers differ \\(${only}; relative 0\\.\\d+\\)$`))])
  })

  it.each<[string, (values: Float32Array) => Float32Array]>([
    ['BF16', bf16],
    ['F16', f16],
    [
      'F16, what is smaller lifted as converters do',
      (values) => f16(values.map((value) => Math.sign(value) * Math.max(Math.abs(value), 1e-7))),
    ],
  ])('rounded to %s: the same but quantised, either way', async (_, rounded) => {
    const half = withValues(facts, (__, values) => rounded(values))
    expect((await compare(half)).answer).toBe('quantised')
    expect((await compare(facts, await fingerprintOf(half, digest))).answer).toBe('quantised')
    expect((await compare(half, await fingerprintOf(half, digest))).answer).toBe('same')
  })

  it('of a BF16 base, fine-tuned in BF16 by one step of the last bit: another model', async () => {
    const half = withValues(facts, (_, values) => bf16(values))
    const tuned = withValues(facts, (_, values) => values.map((value) => fromBF16(toBF16(value) + 1)))
    expect((await compare(tuned, await fingerprintOf(half, digest))).answer).toBe('other')
  })

  it.each([
    ['no gate', { gated: false }, /no gate, expected: the feed-forward layers have a gate/],
    ['a tied head', { tied: true }, /the head is the embedding matrix, expected/],
    ['a bias in every layer', { biasInEveryLayer: true }, /every layer has a position bias, expected/],
  ])('of another plan, %s: another model', async (_, change, reason) => {
    const { answer, reasons } = await compare({ ...facts, layers: { ...facts.layers!, plan: { ...plan, ...change } } })
    expect(answer).toBe('other')
    expect(reasons.join()).toMatch(reason)
  })
})

const rounded = (random: () => number): number => random() - 0.5
const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

describe('a model quantised to 4 bits', () => {
  /** As large as blocks of 32 values make it, whose largest are two deviations. */
  const steps = new Map(
    facts.layers!.weights.map(({ name, size, values }) => {
      const all = values(Array.from({ length: Math.min(size, 64) }, (_, place) => place))
      return [name, 0.3 * Math.sqrt(all.reduce((sum, value) => sum + value ** 2, 0) / all.length)]
    }),
  )
  /** The same with matrices that are off by errors in steps. */
  const quantised = (errors: (name: string) => number): ModelFacts => ({
    ...facts,
    layers: {
      ...facts.layers,
      weights: facts.layers!.weights.map((weight): LayerWeight => {
        if (weight.name.includes('norm')) return weight
        const step = steps.get(weight.name) ?? 0
        return {
          ...weight,
          values: (places) => weight.values(places).map((value) => value + step * errors(weight.name)),
          steps: (places) => new Float32Array(places.length).fill(step),
        }
      }),
    },
  })
  const answersOf = async (errors: (random: () => number) => (name: string) => number): Promise<string[]> => {
    const made = Array.from({ length: 60 }, (_, seed) => compare(quantised(errors(createRandom(seed).uniform))))
    return (await Promise.all(made)).map(({ answer }) => answer)
  }

  it('by rounding: the same', async () => {
    expect(new Set(await answersOf((random) => () => rounded(random)))).toEqual(new Set(['quantised']))
  })

  it('by making errors good by others, with a few values far off (as GPTQ measured on t5-tiny-en): the same', async () => {
    const answers = await answersOf((random) => () => {
      const moved = (random() < 0.01 ? 1.2 : 0.33) * normal(random)
      return rounded(random) + (random() < 0.00005 ? 11 : moved)
    })
    expect(answers.filter((answer) => answer === 'other').length).toBeLessThan(3)
  })

  it.each([
    ['a block', 'decoder.block.1.', 60],
    ['a feed-forward part', 'encoder.block.1.layer.1.', 58],
    ['a matrix', 'encoder.block.0.layer.0.SelfAttention.v', 45],
  ])('with noise of its own size in %s: another, mostly or always', async (_, place, least) => {
    const answers = await answersOf(
      (random) => (name) => rounded(random) + (name.startsWith(place) ? (Math.SQRT2 / 0.3) * normal(random) : 0),
    )
    expect(answers.filter((answer) => answer === 'other').length).toBeGreaterThanOrEqual(least)
  })

  it('with values that are none: another', async () => {
    const one = facts.layers!.weights.find(({ name }) => name.endsWith('.q.weight'))
    expect((await compare(quantised((name) => (name === one?.name ? Number.NaN : 0)))).answer).toBe('other')
  })
})

describe('what cannot be seen is said', () => {
  const only = (isKept: (name: string) => boolean): ModelFacts => ({
    ...facts,
    layers: { weights: facts.layers!.weights.filter(({ name }) => isKept(name)) },
  })

  it.each<[string, ModelFacts, RegExp[]]>([
    ['no layers', { ...facts, layers: { weights: [] } }, [/^the layers were not compared$/]],
    ['a source without layers', { table: facts.table }, [/^the layers were not compared$/]],
    ['an encoder alone', only((name) => name.startsWith('encoder.')), [/^the decoder's layers were not compared$/]],
    [
      'a few matrices',
      only((name) => !name.includes('.wo.')),
      [
        /^3 of 29 weights of the encoder were not compared \(encoder\.block\.0\.layer\.1\.DenseReluDense\.wo\.weight, …\)$/,
        /^3 of 45 .* decoder/,
      ],
    ],
  ])('%s', async (_, given, expected) => {
    const { answer, reasons } = await compare(given)
    expect(answer).toBe('same')
    expect(reasons).toEqual(expected.map((reason) => expect.stringMatching(reason)))
  })

  it('a fingerprint of version 1 holds none', async () => {
    const { layers: _, ...older } = fingerprint
    const { answer, reasons } = await compare(
      withValues(facts, (__, values) => values.map((value) => value + 1)),
      { ...older, version: 1 },
    )
    expect(answer).toBe('same')
    expect(reasons).toEqual(['the layers were not compared: the fingerprint is of version 1, which holds none'])
  })

  it('an encoder alone makes a fingerprint of version 1', async () => {
    expect(
      await fingerprintOf(
        only((name) => name.startsWith('encoder.')),
        digest,
      ),
    ).toMatchObject({ version: 1 })
  })
})

it.each<[string, Partial<Fingerprint>]>([
  ['no values', { layers: { ...fingerprint.layers!, values: '' } }],
  ['too few values', { layers: { ...fingerprint.layers!, values: fingerprint.layers!.values.slice(0, 400) } }],
  ['more of each than there are', { layers: { ...fingerprint.layers!, each: 64 } }],
  ['numbers of layers that no memory holds', { encoderLayers: 1e15, decoderLayers: 1e15 }],
  ['no layers', { encoderLayers: 0 }],
])('a fingerprint that fits no model is another one, at once: %s', async (_, wrong) => {
  const { encoderLayers: _e, decoderLayers: _d, ...rest } = facts
  expect((await compare(rest, { ...fingerprint, ...wrong })).answer).toBe('other')
})
