/** What a command is: a table of arguments and flags, from which help, parsing and the handler's types all come. */
import type { Output } from './output.ts'

export type FlagKind = 'string' | 'number' | 'boolean' | 'strings'

export interface Flag {
  readonly kind: FlagKind
  readonly help: string
  /** Shown in help as `--name <value>`. */
  readonly value?: string
  readonly default?: string | number | boolean
  readonly choices?: readonly string[]
  readonly required?: boolean
}

export interface Argument {
  readonly name: string
  readonly help: string
  readonly optional?: boolean
  readonly variadic?: boolean
}

type ValueOf<F extends Flag> = F['kind'] extends 'number'
  ? number
  : F['kind'] extends 'boolean'
    ? boolean
    : F['kind'] extends 'strings'
      ? string[]
      : string

/** Values by flag name; a flag with neither `default` nor `required` may be absent. */
export type Values<F extends Record<string, Flag>> = {
  readonly [K in keyof F as F[K] extends { default: unknown } | { required: true } ? K : never]: ValueOf<F[K]>
} & {
  readonly [K in keyof F as F[K] extends { default: unknown } | { required: true } ? never : K]?: ValueOf<F[K]>
}

export interface Command {
  readonly name: string
  readonly summary: string
  readonly args: readonly Argument[]
  readonly flags: Readonly<Record<string, Flag>>
  /** Example command lines, shown at the end of help. */
  readonly examples: readonly string[]
  run(args: readonly string[], flags: Record<string, unknown>, out: Output): Promise<void>
}

/** Defines a command; `run` imports what it needs inside, so that help answers at once. */
export function command<const F extends Record<string, Flag>>(spec: {
  readonly name: string
  readonly summary: string
  readonly args?: readonly Argument[]
  readonly flags: F
  readonly examples?: readonly string[]
  run(args: readonly string[], flags: Values<F>, out: Output): Promise<void>
}): Command {
  return {
    args: [],
    examples: [],
    ...spec,
    run: (args, flags, out) => spec.run(args, flags as Values<F>, out),
  }
}
