/** What a card may say: only what the manifest, the log and the adapter itself hold. */
import { isPath, shownBase } from '../prompt/base-name.ts'
import type { Manifest, Metric } from '../prompt/manifest.ts'

export interface LossPoint {
  readonly step: number
  readonly loss: number
}

export interface EvaluationPoint {
  readonly step: number
  readonly metrics: readonly Metric[]
}

/** What training_log.jsonl holds. */
export interface LogFacts {
  readonly losses: readonly LossPoint[]
  readonly evaluations: readonly EvaluationPoint[]
}

export interface CardFacts {
  readonly manifest: Manifest
  readonly length: number // P
  readonly width: number // D
  readonly log?: LogFacts
  /** `owner/name`, once it is known. */
  readonly repo?: string
  /** Of the folder or bundle it lies in: what the snippets name where there is no `repo`. */
  readonly name?: string
  /** Repository that is known to have the base's ONNX files, where the manifest names none. */
  readonly onnxId?: string
  /** Size of the tensor file, bytes. */
  readonly sizeBytes?: number
  /** What the author says of licence and language; nothing else can know. */
  readonly license?: string
  readonly language?: readonly string[]
}

/** A manifest as others may see it: its base by Hub id or folder's name, never by a path on the author's disk. */
export function shownManifest(manifest: Manifest): Manifest {
  const { id, onnxId, ...base } = manifest.base
  return { ...manifest, base: { id: shownBase(id), ...(onnxId === undefined || isPath(onnxId) ? {} : { onnxId }), ...base } }
}

/** Lines that are not a point (cut by a crash, or of a newer version) are passed over. */
export function parseLog(text: string): LogFacts {
  const losses: LossPoint[] = []
  const evaluations: EvaluationPoint[] = []
  for (const line of text.split('\n')) {
    const item = parseLine(line)
    const step = item['step']
    if (typeof step !== 'number' || !Number.isFinite(step)) continue
    if (typeof item['loss'] === 'number' && Number.isFinite(item['loss'])) losses.push({ step, loss: item['loss'] })
    if (Array.isArray(item['metrics'])) evaluations.push({ step, metrics: item['metrics'].filter(isMetric) })
  }
  return { losses, evaluations }
}

function parseLine(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const isMetric = (value: unknown): value is Metric =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  'value' in value &&
  typeof value.value === 'number' &&
  'split' in value &&
  typeof value.split === 'string' &&
  'n' in value &&
  typeof value.n === 'number'
