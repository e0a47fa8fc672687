/** Flags that say how rows are read: once for all files, or once for each, in order. */
import { presetOf } from '../../src/data/presets.ts'
import { ConfigError } from '../../src/errors.ts'

/** How one file is read. */
export interface DataReading {
  readonly template?: string
  readonly target?: string
  readonly labelMap?: Readonly<Record<string, string>>
}

export interface DataFlags {
  readonly preset?: readonly string[]
  readonly template?: readonly string[]
  readonly target?: readonly string[]
  readonly labelMap?: readonly string[]
}

const wrong = (why: string, cause?: unknown): ConfigError =>
  new ConfigError('label-map', `--label-map ${why}. Write {"0": "negative", "1": "positive"}.`, { cause })

/** `{"0": "negative"}` as it is typed. @throws {ConfigError} `label-map` */
export function parseLabelMap(text: string): Record<string, string> {
  let map: unknown
  try {
    map = JSON.parse(text)
  } catch (cause) {
    throw wrong(`is not JSON: ${(cause as Error).message}`, cause)
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw wrong(`is no object: ${text.slice(0, 80)}`)
  const odd = Object.entries(map).find(([, word]) => typeof word !== 'string')
  if (odd) throw wrong(`gives ${JSON.stringify(odd[0])} no text`)
  return map as Record<string, string>
}

/**
 * How each file is read. A flag given once is meant for all; an empty value leaves a file to the prompt's own.
 * @throws {ConfigError} `data-flags` for a flag given neither once nor once for each file; `preset-unknown` | `label-map`
 */
export function readingsOf(files: readonly string[], flags: DataFlags): (DataReading & { readonly file: string })[] {
  const of = (name: string, values: readonly string[] | undefined, index: number): string | undefined => {
    if (values === undefined) return undefined
    if (values.length !== 1 && values.length !== files.length) {
      throw new ConfigError(
        'data-flags',
        `--${name} was given ${values.length} times for ${files.length} files of --data: give it once for all, or once for each in their order ("" for what the prompt itself says).`,
        { facts: { flag: name, given: values.length, files: files.length } },
      )
    }
    return (values.length === 1 ? values[0] : values[index]) || undefined
  }
  return files.map((file, index) => {
    const preset = of('preset', flags.preset, index)
    const template = of('template', flags.template, index)
    const target = of('target', flags.target, index)
    const labelMap = of('label-map', flags.labelMap, index)
    return {
      file,
      ...(preset === undefined ? {} : presetOf(preset)),
      ...(template === undefined ? {} : { template }),
      ...(target === undefined ? {} : { target }),
      ...(labelMap === undefined ? {} : { labelMap: parseLabelMap(labelMap) }),
    }
  })
}
