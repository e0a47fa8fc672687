/** The digest that names rows: of the texts that are trained on, whatever file, table or page they came from. SPEC.md, `data.sha256`. */
import type { Example } from './examples.ts'

/**
 * A line for each row, the JSON array of its input and its answer, digested as UTF-8.
 * @param examples the rows that are meant: of those trained on, after some were held out
 * @param digest sha256 in hex, of node:crypto or WebCrypto
 */
export function digestRows<D extends string | Promise<string>>(
  examples: readonly Pick<Example, 'input' | 'target'>[],
  digest: (bytes: Uint8Array) => D,
): D {
  const lines = examples.map(({ input, target }) => `${JSON.stringify([input, target])}\n`)
  return digest(new TextEncoder().encode(lines.join('')))
}
