/** The project's folder: the quickstart needs the base and the rows that lie in it, and runs from `scripts/` as from `dist/scripts/`. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../../src/errors.ts'

/** @throws {ConfigError} `quickstart-base` outside a checkout of the project */
export function projectRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dir, 'models', 't5-tiny-en', 'model.safetensors'))) {
    const above = dirname(dir)
    if (above === dir)
      throw new ConfigError('quickstart-base', 'models/t5-tiny-en is not here: the quickstart runs in a checkout of the project.')
    dir = above
  }
  return dir
}
