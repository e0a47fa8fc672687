/** A model's layers in its fingerprint: a few values of every weight, at places that follow from the weight's name, however a file lays it out. */
import { formatBase64, parseBase64Floats } from '../tensor/base64.ts'
import { fromBF16, fromF16, toBF16, toF16 } from '../tensor/half.ts'

/** One weight of a model's layers, wherever its values lie. */
export interface LayerWeight {
  /** As PyTorch names it: `encoder.block.0.layer.0.SelfAttention.q.weight`. */
  readonly name: string
  /** How many values it has. */
  readonly size: number
  /** The values at these places of PyTorch's order: row by row of [out, in]. */
  values(places: readonly number[]): Float32Array
  /** Quantised weights only: how far apart neighbouring values are at these places. */
  steps?(places: readonly number[]): Float32Array
}

/** What beside the numbers of layers decides which weights a T5 has. */
export interface LayerPlan {
  /** Two input matrices in the feed-forward part (v1.1). */
  readonly gated: boolean
  /** The head is the embedding matrix. */
  readonly tied: boolean
  /** A position bias in every layer (UMT5), not only in the first. */
  readonly biasInEveryLayer: boolean
}

/** The layers of a model, as far as its files show them. */
export interface LayerFacts {
  readonly plan?: LayerPlan
  /** Several of one name are held against the fingerprint each. */
  readonly weights: readonly LayerWeight[]
}

/** A fingerprint's layers: so many values of each weight that the plan has, in the order of `layerNames`. */
export interface LayerProbe extends LayerPlan {
  readonly each: number
  /** Base64 F32 bytes. */
  readonly values: string
}

export interface LayerCounts {
  readonly encoderLayers: number
  readonly decoderLayers: number
}

/** Values kept of all weights together, about: 2.7 kB in the manifest. The largest T5 has 508 weights. */
const VALUES = 512
const [LEAST, MOST] = [2, 4]

const ATTENTION = ['q', 'k', 'v', 'o']

function partsOf(side: 'encoder' | 'decoder', block: number, { gated, biasInEveryLayer }: LayerPlan): string[] {
  const sub = (index: number, part: string, weights: readonly string[]): string[] =>
    [...weights.map((weight) => `${part}.${weight}`), 'layer_norm'].map((name) => `${side}.block.${block}.layer.${index}.${name}.weight`)
  const bias = block === 0 || biasInEveryLayer ? ['relative_attention_bias'] : []
  return [
    ...sub(0, 'SelfAttention', [...ATTENTION, ...bias]),
    ...(side === 'decoder' ? sub(1, 'EncDecAttention', ATTENTION) : []),
    ...sub(side === 'decoder' ? 2 : 1, 'DenseReluDense', [...(gated ? ['wi_0', 'wi_1'] : ['wi']), 'wo']),
  ]
}

/** The names of all weights of a T5's layers, in the fingerprint's order. */
export function layerNames({ encoderLayers, decoderLayers }: LayerCounts, plan: LayerPlan): string[] {
  const side = (name: 'encoder' | 'decoder', blocks: number): string[] => [
    ...Array.from({ length: blocks }, (_, block) => partsOf(name, block, plan)).flat(),
    `${name}.final_layer_norm.weight`,
  ]
  return [...side('encoder', encoderLayers), ...side('decoder', decoderLayers), ...(plan.tied ? [] : ['lm_head.weight'])]
}

/** How many names `layerNames` gives, counted without making them: the numbers come from a file. */
function countNames({ encoderLayers, decoderLayers }: LayerCounts, plan: LayerPlan): number {
  const first = partsOf('encoder', 0, plan).length + partsOf('decoder', 0, plan).length
  const [encoder, decoder] = [partsOf('encoder', 1, plan).length, partsOf('decoder', 1, plan).length]
  return first + (encoderLayers - 1) * encoder + (decoderLayers - 1) * decoder + (plan.tied ? 2 : 3)
}

/** FNV-1a, 32 bits, of UTF-8 text. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** Where a weight of so many values is looked at: `FNV-1a(name:index) mod size`. */
export const placesOf = (name: string, size: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => hashOf(`${name}:${index}`) % size)

/** The layers' part of a fingerprint; undefined where a weight is missing. */
export function probeLayers(counts: LayerCounts, plan: LayerPlan, weights: readonly LayerWeight[]): LayerProbe | undefined {
  const names = layerNames(counts, plan)
  const each = Math.min(MOST, Math.max(LEAST, Math.floor(VALUES / names.length)))
  const values = new Float32Array(names.length * each)
  const byName = new Map(weights.map((weight) => [weight.name, weight]))
  for (const [index, name] of names.entries()) {
    const weight = byName.get(name)
    if (!weight) return undefined
    values.set(weight.values(placesOf(name, weight.size, each)), index * each)
  }
  const { gated, tied, biasInEveryLayer } = plan
  return { each, gated, tied, biasInEveryLayer, values: formatBase64(new Uint8Array(values.buffer)) }
}

export interface LayerComparison {
  /** Relative RMS difference of the values looked at. */
  readonly drift: number
  /** Every value looked at is the same. */
  readonly exact: boolean
  /** Why it is another model; none: it may be the same. */
  readonly reasons: readonly string[]
  /** What could not be looked at. */
  readonly unseen: readonly string[]
}

/** Holds the weights that a model's files show against a fingerprint's. */
export function compareLayers(probe: LayerProbe, counts: LayerCounts, facts: LayerFacts): LayerComparison {
  const wanted = parseBase64Floats(probe.values)
  const nothing = { drift: Number.NaN, exact: false, unseen: [] }
  const fits = counts.encoderLayers > 0 && counts.decoderLayers > 0 && wanted.length === countNames(counts, probe) * probe.each
  if (wanted.length === 0 || !fits) {
    return { ...nothing, reasons: [`the fingerprint of the layers holds ${wanted.length} values, which fits no model of its shape`] }
  }
  const reasons = planReasons(probe, facts.plan)
  if (reasons.length > 0) return { ...nothing, reasons }
  const names = layerNames(counts, probe)
  const byName = new Map<string, LayerWeight[]>()
  for (const weight of facts.weights) byName.set(weight.name, [...(byName.get(weight.name) ?? []), weight])
  const sum = new Sum()
  const other: string[] = []
  const unseen: string[] = []
  for (const [index, name] of names.entries()) {
    const found = byName.get(name) ?? []
    if (found.length === 0) unseen.push(name)
    const values = wanted.subarray(index * probe.each, (index + 1) * probe.each)
    if (found.some((weight) => !sum.add(values, weight))) other.push(name)
  }
  const seen = names.length - unseen.length
  const found = sum.drift()
  if (other.length > 0) {
    const more = other.length === 1 ? '' : ` and ${other.length - 1} more`
    reasons.push(`${other.length} of ${seen} weights of the layers differ (${other[0]}${more}; relative ${found.toPrecision(2)})`)
  } else if (sum.strays()) {
    reasons.push(`the layers' weights lie further from those expected than their quantisation explains (relative ${found.toPrecision(2)})`)
  }
  return { drift: found, exact: sum.exact, reasons, unseen: unseenWords(names, unseen, facts.plan !== undefined) }
}

function planReasons(expected: LayerPlan, got: LayerPlan | undefined): string[] {
  if (!got) return []
  const words: [keyof LayerPlan, string, string][] = [
    ['gated', 'the feed-forward layers have a gate', 'the feed-forward layers have no gate'],
    ['tied', 'the head is the embedding matrix', 'the head is a matrix of its own'],
    ['biasInEveryLayer', 'every layer has a position bias', 'only the first layers have a position bias'],
  ]
  return words
    .filter(([key]) => expected[key] !== got[key])
    .map(([key, yes, no]) => (got[key] ? `${yes}, expected: ${no}` : `${no}, expected: ${yes}`))
}

const isOf = (side: string, name: string): boolean => (side === 'encoder') === name.startsWith('encoder.')

/** Which weights were not looked at: both sides, one side, or a few. */
function unseenWords(names: readonly string[], unseen: readonly string[], whole: boolean): string[] {
  if (unseen.length === 0) return []
  if (unseen.length === names.length) return ['the layers were not compared']
  return ['encoder', 'decoder'].flatMap((side) => {
    const missing = unseen.filter((name) => isOf(side, name))
    const all = names.filter((name) => isOf(side, name)).length
    if (missing.length === 0) return []
    if (missing.length === all) return [`the ${side}'s layers were not compared`]
    const why = whole ? ', as the checkpoint lacks them' : ''
    return [`${missing.length} of ${all} weights of the ${side} were not compared (${missing[0]}${missing.length > 1 ? ', …' : ''})${why}`]
  })
}

/** F16 halves a word's precision to 11 bits and ends at steps of 2^-24; converters lift what is smaller to 10^-7. */
const F16_ROUNDING = 2 ** -10
const F16_FLOOR = 2 ** -23
const BF16_ROUNDING = 2 ** -8
/**
 * In squared quantisation steps. Rounding to the nearest gives 1/12 a value. Methods that make one error good by others (GPTQ) give 0.21, and few values
 * far off: up to 11 steps. Noise of a weight's own size gives 9 and more. So what counts is a sum over many values, in which one may be off at will.
 */
const MOST_A_VALUE = 0.36
const OUTLIER = 12

type Precision = 'F32' | 'F16' | 'BF16'

/** The coarsest precision that holds these values as they are. */
function precisionOf(values: Float32Array): Precision {
  if (values.every((value) => fromBF16(toBF16(value)) === value)) return 'BF16'
  return values.every((value) => fromF16(toF16(value)) === value) ? 'F16' : 'F32'
}

/**
 * How far apart two values may be if one was rounded from the other. Values that fill an F32 on both sides, or are of one smaller precision,
 * were not: any difference tells another model, however small a fine-tuning was.
 */
function roundingOf(wanted: Float32Array, got: Float32Array): (value: number) => number {
  const [a, b] = [precisionOf(wanted), precisionOf(got)]
  const floor = a === 'F32' && b === 'F32' ? 0 : F16_FLOOR
  const relative = a === b ? 0 : a === 'BF16' || b === 'BF16' ? BF16_ROUNDING : F16_ROUNDING
  return (value) => Math.abs(value) * relative + floor
}

/** Squared steps that values are off, of how many. */
interface Steps {
  readonly squares: number
  readonly count: number
}

/** Written so that NaN is too far. */
const isTooFar = ({ squares, count }: Steps): boolean => !(squares <= MOST_A_VALUE * count + OUTLIER)

/** The block that a weight is in, else its own name. */
const blockOf = (name: string): string => /^\w+\.block\.\d+/.exec(name)?.[0] ?? name

/** Differences added up over all weights. */
class Sum {
  exact = true
  #error = 0
  #total = 0
  /** Of quantised weights: by block, and of all. */
  readonly #steps = new Map<string, Steps>()

  /** Whether this weight may be the one whose values were wanted. */
  add(wanted: Float32Array, weight: LayerWeight): boolean {
    const places = placesOf(weight.name, weight.size, wanted.length)
    const got = weight.values(places)
    const steps = weight.steps?.(places)
    const rounding = steps ? (value: number) => Math.abs(value) * BF16_ROUNDING : roundingOf(wanted, got)
    let within = true
    let squares = 0
    for (const [index, value] of wanted.entries()) {
      const difference = Math.abs((got[index] ?? Number.NaN) - value)
      if (difference !== 0) this.exact = false
      this.#error += difference ** 2
      this.#total += value ** 2
      const over = difference - rounding(value)
      // Written so that NaN is outside.
      if (over <= 0) continue
      if (steps) squares += Math.min((over / (steps[index] as number)) ** 2, OUTLIER)
      else within = false
    }
    if (!steps) return within
    for (const group of [blockOf(weight.name), 'all']) {
      const sum = this.#steps.get(group) ?? { squares: 0, count: 0 }
      this.#steps.set(group, { squares: sum.squares + squares, count: sum.count + wanted.length })
    }
    return !isTooFar({ squares, count: wanted.length })
  }

  /** Relative RMS. */
  drift(): number {
    return Math.sqrt(this.#error / (this.#total === 0 ? 1 : this.#total))
  }

  /** Whether the quantised weights of a block, or of all, are further off than quantising brings them. */
  strays(): boolean {
    return [...this.#steps.values()].some(isTooFar)
  }
}
