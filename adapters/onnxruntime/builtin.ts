/** Node's modules without an import, so that bundlers for browsers find nothing of Node. */
import type * as FileSystem from 'node:fs/promises'
import type * as Os from 'node:os'
import type * as Path from 'node:path'

export interface Builtins {
  readonly fs: typeof FileSystem
  readonly os: typeof Os
  readonly path: typeof Path
}

/** Undefined in a browser. */
export function builtins(): Builtins | undefined {
  const get = (globalThis as { process?: Partial<NodeJS.Process> }).process?.getBuiltinModule
  return get && { fs: get('node:fs/promises'), os: get('node:os'), path: get('node:path') }
}
