/** What `soft_prompt.json` says, as plain types. The wire form and its schema are in adapters/artifact. */
import type { LayerProbe } from './layers.ts'

/** The frozen model a prompt was made for. */
export interface BaseModel {
  /** Hub id (`google-t5/t5-small`) or a folder's name. */
  readonly id: string
  /** Hub commit the prompt was trained on. */
  readonly revision?: string
  /** Repository with the base's ONNX files, where it is another one. */
  readonly onnxId?: string
  readonly fingerprint?: Fingerprint
}

/** Identifies a base model beyond its shape (see fingerprint.ts). */
export interface Fingerprint {
  /** 1: without layers. */
  readonly version: 1 | 2
  readonly vocabSize: number // V
  readonly width: number // D
  readonly encoderLayers?: number
  readonly decoderLayers?: number
  /** sha256 (hex) of the tokenizer's pieces in id order. */
  readonly tokenizer?: string
  /** A few embedding rows, as ids and their values' base64 F32 bytes. */
  readonly probe?: { readonly ids: readonly number[]; readonly rows: string }
  /** Base64 F32 bytes of the encoder's final norm vector. */
  readonly finalNorm?: string
  /** A few values of every weight of the layers. */
  readonly layers?: LayerProbe
}

/** One measured figure. */
export interface Metric {
  readonly name: string // accuracy, f1, exact_match, …
  readonly split: string
  readonly value: number
  readonly n: number
  /** 95 % interval. */
  readonly interval?: readonly [number, number]
  readonly step?: number
  /** How answers were read: label scoring or generation. */
  readonly by?: 'labels' | 'generation'
}

/** A figure to hold the prompt's against, on the same rows: the base model without a prompt, or the answer that training met most. */
export interface Baseline extends Metric {
  readonly of: 'untuned' | 'majority'
}

/** A row that was answered wrongly. */
export interface Failure {
  readonly input: string
  readonly expected: string
  readonly answered: string
}

/** An encoder file of the base model that the prompt was checked on. */
export interface EncoderCheck {
  /** Name in the base's folder `onnx/`. */
  readonly file: string
  readonly sha256: string
  /** Of the fingerprint: the same model, or the same rounded or quantised. */
  readonly answer: 'same' | 'quantised'
  /** Relative RMS difference of the values that the fingerprint holds. */
  readonly drift: number
  /** Relative RMS difference of the encoder's output behind the prompt, from the float file's; on `texts` texts. */
  readonly outputDrift?: number
  readonly texts?: number
}

/** Rows: where they come from, and the digest of what was made of them. */
export interface DataFacts {
  readonly name?: string
  /** Configuration and split of a Hub dataset. */
  readonly config?: string
  readonly split?: string
  readonly rows: number
  readonly sha256: string
}

/** What a prompt begins as. */
export const INITS = ['labels', 'vocab', 'random', 'text', 'prompt'] as const
export const OPTIMIZERS = ['adafactor', 'adamw', 'sgd'] as const

/** All that is needed to train the prompt again. */
export interface Recipe {
  readonly length: number // P
  readonly init: (typeof INITS)[number]
  readonly steps: number
  readonly batch: number // B
  readonly learningRate: number
  readonly optimizer: (typeof OPTIMIZERS)[number]
  readonly weightDecay: number
  readonly stepOffset: number
  readonly seed: number
  readonly maxInputTokens: number
  readonly maxTargetTokens: number
  readonly evalEvery: number
  /** Engine and device of the run: results are bit-equal on one engine only. */
  readonly engine?: string
}

/** A recipe as a manifest holds it: fields of other versions stay. */
export interface RecordedRecipe extends Recipe {
  readonly [extra: string]: unknown
}

export interface Manifest {
  readonly base: BaseModel
  /** What the prompt does, in one line. */
  readonly task?: string
  /** `{field}` names of a row; default `{input}`. */
  readonly template?: string
  /** Verbalizer: the label words the prompt answers with, in their scoring order. */
  readonly labels?: readonly string[]
  readonly generation?: Readonly<Record<string, number | boolean>>
  readonly recipe?: RecordedRecipe
  readonly data?: DataFacts & {
    /** The field with the answer; default `target`. */
    readonly target?: string
    readonly labelMap?: Readonly<Record<string, string>>
  }
  /** Rows that the metrics were measured on, where they are others than a part of `data`. */
  readonly dev?: DataFacts
  /** The step of the run whose prompt this is, and the metrics there. */
  readonly bestStep?: number
  readonly metrics?: readonly Metric[]
  readonly baselines?: readonly Baseline[]
  /** Pieces of the vocabulary nearest to each virtual token, nearest first. */
  readonly nearest?: readonly (readonly string[])[]
  /** Rows answered wrongly, where they were asked for. */
  readonly failures?: readonly Failure[]
  /** Files of the base model that it was checked on. */
  readonly checks?: readonly EncoderCheck[]
  readonly createdBy?: string
  /** sha256 (hex) by file name, of every hashed file of the artifact. */
  readonly files?: Readonly<Record<string, string>>
  /** Fields of a newer version, kept as they were. */
  readonly unknown?: Readonly<Record<string, unknown>>
}
