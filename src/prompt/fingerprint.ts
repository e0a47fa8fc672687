/** What tells one base model from another of the same shape: a few values of the embedding, the final norm and every layer, layer counts and the tokenizer's pieces. */
import { formatBase64, parseBase64Floats } from '../tensor/base64.ts'
import { compareLayers, probeLayers, type LayerComparison, type LayerFacts } from './layers.ts'
import type { Fingerprint } from './manifest.ts'

/** Rows of a model's embedding matrix, wherever they lie: safetensors, an ONNX file, a quantised table. */
export interface EmbeddingTable {
  readonly vocabSize: number // V
  readonly width: number // D
  /** The rows of these ids in F32. */
  rows(ids: readonly number[]): Float32Array // [ids.length, D]
  /** Quantised tables only: how far apart neighbouring values are, for each value of these rows. */
  steps?(ids: readonly number[]): Float32Array // [ids.length, D]
}

/** What of a base model the fingerprint is made from; what a source lacks is left out of the comparison. */
export interface ModelFacts {
  readonly table: EmbeddingTable
  readonly encoderLayers?: number
  readonly decoderLayers?: number
  /** The tokenizer's pieces by id. */
  readonly pieces?: readonly string[]
  /** The encoder's final norm vector. */
  readonly finalNorm?: Float32Array // [D]
  readonly layers?: LayerFacts
}

/** sha256 in hex; node:crypto or WebCrypto. */
export type Digest = (bytes: Uint8Array) => string | Promise<string>

/** Rows and columns of the embedding looked at: 256 values, 1.4 kB in the manifest. */
const PROBE_ROWS = 16
const PROBE_COLUMNS = 16
/** Values kept of the final norm. */
const NORM_VALUES = 64
/** Rounding to BF16 changes a value by at most 2^-9 of itself, to F16 by less, but near 0 by up to 2^-25. */
const ROUNDING = 2 ** -8
const ROUNDING_FLOOR = 2 ** -24
/** Relative RMS difference past which a quantised table says nothing any more; int4 T5s stay under 0.15. */
const MAX_DRIFT = 0.5

/** Ids spread over the vocabulary, denser among the common pieces at its start (those that fine-tuning moves). */
function probeIds(vocabSize: number): number[] {
  const ids = Array.from({ length: PROBE_ROWS }, (_, index) => Math.floor((vocabSize - 1) * (index / (PROBE_ROWS - 1)) ** 3))
  return [...new Set(ids)]
}

/** The first columns of rows [ids, D]. */
function columnsOf(rows: Float32Array, width: number, columns: number): Float32Array {
  const out = new Float32Array((rows.length / width) * columns)
  for (let row = 0; row * width < rows.length; row++) out.set(rows.subarray(row * width, row * width + columns), row * columns)
  return out
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** Canonical: the JSON array of the pieces in id order, never the bytes of a tokenizer file. */
const digestOf = (pieces: readonly string[], digest: Digest): string | Promise<string> =>
  digest(new TextEncoder().encode(JSON.stringify(pieces)))

/** The fingerprint of a base model. */
export async function fingerprintOf(facts: ModelFacts, digest: Digest): Promise<Fingerprint> {
  const { table, encoderLayers, decoderLayers, pieces, finalNorm } = facts
  const layers = layersOf(facts)
  const ids = probeIds(table.vocabSize)
  const values = columnsOf(table.rows(ids), table.width, Math.min(PROBE_COLUMNS, table.width))
  return {
    version: layers ? 2 : 1,
    vocabSize: table.vocabSize,
    width: table.width,
    ...(encoderLayers === undefined ? {} : { encoderLayers }),
    ...(decoderLayers === undefined ? {} : { decoderLayers }),
    ...(pieces ? { tokenizer: await digestOf(pieces, digest) } : {}),
    probe: { ids, rows: formatBase64(bytesOf(values)) },
    ...(finalNorm ? { finalNorm: formatBase64(bytesOf(finalNorm.slice(0, NORM_VALUES))) } : {}),
    ...(layers ? { layers } : {}),
  }
}

/** Of a checkpoint, whose layers are all there; an ONNX file alone makes a fingerprint of version 1. */
function layersOf({ encoderLayers, decoderLayers, layers }: ModelFacts): Fingerprint['layers'] {
  if (!layers?.plan || encoderLayers === undefined || decoderLayers === undefined) return undefined
  return probeLayers({ encoderLayers, decoderLayers }, layers.plan, layers.weights)
}

/** The answer: the same model; the same but rounded or quantised, with its drift; another model. */
export interface Comparison {
  readonly answer: 'same' | 'quantised' | 'other'
  /** Relative RMS difference of the values looked at, of the embedding or of the layers, whichever is larger; 0 for `same`. */
  readonly drift: number
  /** Why it is another model, or what of the fingerprint could not be compared. */
  readonly reasons: readonly string[]
}

/** Compares a model with the fingerprint that a prompt carries. */
export async function compareFingerprint(expected: Fingerprint, facts: ModelFacts, digest: Digest): Promise<Comparison> {
  const { table } = facts
  const reasons: string[] = []
  const differ = (name: string, wanted: unknown, got: unknown): boolean => {
    if (wanted === undefined || got === undefined || wanted === got) return false
    reasons.push(`${name} is ${String(got)}, expected ${String(wanted)}`)
    return true
  }
  const tokenizer = facts.pieces && expected.tokenizer !== undefined ? await digestOf(facts.pieces, digest) : undefined
  const shapes = [
    differ('the vocabulary', expected.vocabSize, table.vocabSize),
    differ('the width', expected.width, table.width),
    differ('the number of encoder layers', expected.encoderLayers, facts.encoderLayers),
    differ('the number of decoder layers', expected.decoderLayers, facts.decoderLayers),
    differ('the tokenizer', expected.tokenizer, tokenizer),
  ]
  if (shapes.includes(true)) return { answer: 'other', drift: Number.NaN, reasons }

  const norm =
    expected.finalNorm === undefined || !facts.finalNorm ? undefined : near(parseBase64Floats(expected.finalNorm), facts.finalNorm)
  const probe = compareProbe(expected, table)
  if (norm && !norm.within) reasons.push(`the encoder's final norm differs (relative ${norm.drift.toPrecision(2)})`)
  if (!probe.within) reasons.push(`the embedding rows differ (relative ${probe.drift.toPrecision(2)})`)
  const layers = seenLayers(expected, facts)
  reasons.push(...layers.reasons)
  const drift = Math.max(probe.drift, layers.drift)
  if (reasons.length > 0) return { answer: 'other', drift, reasons }
  const unseen = [
    ...(expected.tokenizer !== undefined && tokenizer === undefined ? ['the tokenizer was not compared'] : []),
    ...(expected.finalNorm !== undefined && norm === undefined ? ['the final norm was not compared'] : []),
    ...layers.unseen,
  ]
  const exact = probe.drift === 0 && (norm?.drift ?? 0) === 0 && layers.exact
  return { answer: exact ? 'same' : 'quantised', drift, reasons: unseen }
}

function seenLayers({ version, layers, encoderLayers, decoderLayers }: Fingerprint, facts: ModelFacts): LayerComparison {
  const nothing = { drift: 0, exact: true, reasons: [] }
  if (!layers || encoderLayers === undefined || decoderLayers === undefined) {
    const why = version === 1 ? ': the fingerprint is of version 1, which holds none' : ''
    return { ...nothing, unseen: [`the layers were not compared${why}`] }
  }
  if (!facts.layers) return { ...nothing, unseen: ['the layers were not compared'] }
  return compareLayers(layers, { encoderLayers, decoderLayers }, facts.layers)
}

interface Nearness {
  /** Relative RMS difference. */
  readonly drift: number
  readonly within: boolean
}

function compareProbe({ probe }: Fingerprint, table: EmbeddingTable): Nearness {
  if (!probe) return { drift: 0, within: true }
  const wanted = parseBase64Floats(probe.rows)
  const columns = wanted.length / probe.ids.length
  if (!Number.isInteger(columns) || columns < 1 || columns > table.width || probe.ids.some((id) => id >= table.vocabSize)) {
    return { drift: Number.NaN, within: false }
  }
  const got = columnsOf(table.rows(probe.ids), table.width, columns)
  const steps = table.steps && columnsOf(table.steps(probe.ids), table.width, columns)
  return near(wanted, got, steps)
}

/** Whether all values are as close as rounding and one quantisation step bring them. */
function near(wanted: Float32Array, got: Float32Array, steps?: Float32Array): Nearness {
  let within = true
  let error = 0
  let total = 0
  for (const [index, value] of wanted.entries()) {
    const difference = Math.abs((got[index] ?? Number.NaN) - value)
    // A step where the largest value of a block has no number of its own (+8 of 4 bits), and its scale rounded.
    const allowed = Math.abs(value) * ROUNDING + ROUNDING_FLOOR + (steps?.[index] ?? 0)
    // Written so that NaN is outside.
    if (!(difference <= allowed)) within = false
    error += difference * difference
    total += value * value
  }
  const drift = Math.sqrt(error / (total === 0 ? 1 : total))
  return { drift, within: within && drift <= MAX_DRIFT }
}
