/** What a command is: a table of arguments and flags, from which help, parsing and the handler's types all come. */
import type { Output } from './output.ts'

/** `strings` takes several values at once, `repeated` one each time it is given. */
export type FlagKind = 'string' | 'number' | 'boolean' | 'strings' | 'repeated'

export interface Flag {
  readonly kind: FlagKind
  readonly help: string
  /** Shown in help as `--name <value>`. */
  readonly value?: string
  readonly default?: string | number | boolean
  /** The only values it takes: a union of them in the handler's types. */
  readonly choices?: readonly string[]
  readonly required?: boolean
  /** Needed, but not beside this flag. */
  readonly requiredUnless?: string
}

export interface Argument {
  readonly name: string
  readonly help: string
  readonly optional?: boolean
  readonly variadic?: boolean
}

type Word<F extends Flag> = F extends { readonly choices: readonly (infer Choice)[] } ? Choice : string

type ValueOf<F extends Flag> = F['kind'] extends 'number'
  ? number
  : F['kind'] extends 'boolean'
    ? boolean
    : F['kind'] extends 'strings' | 'repeated'
      ? Word<F>[]
      : Word<F>

/** Values by flag name; a flag with neither `default` nor `required` may be absent. */
export type Values<F extends Readonly<Record<string, Flag>>> = {
  readonly [K in keyof F as F[K] extends { default: unknown } | { required: true } ? K : never]: ValueOf<F[K]>
} & {
  readonly [K in keyof F as F[K] extends { default: unknown } | { required: true } ? never : K]?: ValueOf<F[K]>
}

/** Headings of help with the flags below each, in the order that help shows them. */
export type Groups<Name extends string = string> = Readonly<Record<string, readonly Name[]>>

export interface Command {
  readonly name: string
  readonly summary: string
  readonly args: readonly Argument[]
  readonly flags: Readonly<Record<string, Flag>>
  /** Where there are many flags: every one under a heading, and the examples above them. */
  readonly groups?: Groups
  /** Example command lines, shown with help. */
  readonly examples: readonly string[]
  run(args: readonly string[], flags: Record<string, unknown>, out: Output): Promise<void>
}

/** Nothing where every flag has a group; else a type that no table has, naming those without. */
type Whole<F, G extends Groups> = [Exclude<keyof F, G[keyof G][number]>] extends [never]
  ? unknown
  : { readonly 'flags without a group': Exclude<keyof F, G[keyof G][number]> }

/** Defines a command; `run` imports what it needs inside, so that help answers at once. */
export function command<
  const F extends Readonly<Record<string, Flag>>,
  const G extends Groups<keyof F & string> = Readonly<Record<string, readonly (keyof F & string)[]>>,
>(spec: {
  readonly name: string
  readonly summary: string
  readonly args?: readonly Argument[]
  readonly flags: F
  readonly groups?: G & Whole<F, G>
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

/** Options without those that were not said. */
export type Said<T> = { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Leaves out what was not said: flags that are absent become options that are absent. */
export const said = <T extends object>(options: T): Said<T> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Said<T>
