/** What an app gave where a prompt belongs, and is none: JavaScript has no types to say so. */
import { ConfigError } from '../../src/errors.ts'

const kindOf = (got: unknown): string =>
  got === null
    ? 'null'
    : Array.isArray(got)
      ? 'a list'
      : typeof got === 'object'
        ? 'an object'
        : typeof got === 'number'
          ? String(got)
          : typeof got

/** @param takes what a prompt may be given as, for people */
export function noPrompt(got: unknown, takes: string, name?: string): ConfigError {
  return new ConfigError(
    'prompt-kind',
    `${name === undefined ? 'The prompt' : `The prompt ${JSON.stringify(name)}`} is ${kindOf(got)}. Give ${takes}.`,
    { facts: { ...(name === undefined ? {} : { name }), got: kindOf(got) } },
  )
}
