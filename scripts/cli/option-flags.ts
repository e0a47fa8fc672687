/** Names of a training's options as the flags that make them: the core speaks of options, a command of its flags. */
import { RECIPE_FLAGS } from '../../src/card/reproduce.ts'

const FLAGS: Readonly<Record<string, string | null>> = { ...RECIPE_FLAGS, labelMap: 'label-map' }

/** ` (--batch, --accumulate)`, or nothing. */
export function flagsOf(options: readonly string[] = []): string {
  return options.length === 0 ? '' : ` (${options.map((name) => `--${FLAGS[name] ?? name}`).join(', ')})`
}
