/** The one error type of the library, in eight families. Codes are stable: programs may switch on them. */

/** Machine-readable facts beside the message: what was expected, what was got, where. */
export type ErrorFacts = Readonly<Record<string, unknown>>

export interface ErrorOptions {
  readonly facts?: ErrorFacts
  readonly cause?: unknown
}

/**
 * Base of every error this library throws on purpose.
 * `code` is a stable kebab-case name such as `safetensors-overlap`; the message says what, where, expected and got, and what to do next.
 */
export class SoftPromptError extends Error {
  readonly code: string
  readonly facts: ErrorFacts

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.facts = options.facts ?? {}
  }
}

/** Bytes or text that do not follow their format (safetensors, ONNX, JSON, tar, npy). */
export class FormatError extends SoftPromptError {}
/** A configuration that is incomplete, contradicts itself or is out of range. */
export class ConfigError extends SoftPromptError {}
/** A tensor of another shape or dtype than its use needs. */
export class ShapeError extends SoftPromptError {}
/** Two sound things that do not belong together: a prompt and another base model, a checkpoint and another recipe. */
export class MismatchError extends SoftPromptError {}
/** Sound, but not something this library does; the message says what to do instead. */
export class UnsupportedError extends SoftPromptError {}
/** The Hub, or the way to it, said no. */
export class HubError extends SoftPromptError {}
/** Rows, labels or templates that cannot be used; the message names file and line. */
export class DataError extends SoftPromptError {}
/** A file or folder that cannot be written: no room, no permission; what stood there is as it was. */
export class DiskError extends SoftPromptError {}
