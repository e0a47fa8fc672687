/** Names of a training's options as the flags that make them: the core speaks of options, a command of its flags. */
import { RECIPE_FLAGS } from '../../src/card/reproduce.ts'

const FLAGS: Readonly<Record<string, string | null>> = { ...RECIPE_FLAGS, initText: 'init-text', init: 'init', labelMap: 'label-map' }

/** A message with the flags of what it is about: `Take smaller batches (--batch, --accumulate).` */
export function withFlags(message: string, options: readonly string[] = []): string {
  if (options.length === 0) return message
  const flags = options.map((name) => `--${FLAGS[name] ?? name}`).join(', ')
  return `${message.replace(/\.$/, '')} (${flags})${message.endsWith('.') ? '.' : ''}`
}
