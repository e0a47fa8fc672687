/** The prompts of a run: one for each task and seed, with the identity that its checkpoint is held to. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import type { RunIdentity } from '../../src/train/state.ts'
import type { Base } from './open-base.ts'
import { initialPrompt, type PreparedTask } from './training-task.ts'

/** Which of several prompts that train together is meant. */
export interface Whose {
  /** Where there are several tasks. */
  readonly name?: string
  /** Where there are several seeds. */
  readonly seed?: number
}

export interface Lane {
  readonly task: PreparedTask
  readonly whose: Whose
  readonly seed: number
  /** Folder of the artifact. */
  readonly dir: string
  readonly identity: RunIdentity
  readonly initial: Float32Array // [P, D]
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** The lanes of every task, of its seed and those that follow it. */
export function openLanes(
  tasks: readonly PreparedTask[],
  seeds: number,
  base: Base,
  { described, engine, out }: { readonly described: BaseModel; readonly engine: string; readonly out: string },
): Lane[] {
  const lane = (task: PreparedTask, index: number): Lane => {
    const { name, data, dev } = task
    const recipe = { ...task.recipe, seed: task.recipe.seed + index, engine }
    const initial = initialPrompt(task, recipe, base)
    const { seed } = recipe
    return {
      task,
      whose: { ...(name === undefined ? {} : { name }), ...(seeds === 1 ? {} : { seed }) },
      seed,
      dir: join(out, ...(name === undefined ? [] : [name]), ...(seeds === 1 ? [] : [`seed-${seed}`])),
      identity: {
        recipe,
        data: data.sha256,
        ...(dev ? { dev: dev.sha256 } : {}),
        base: sha256(JSON.stringify(described.fingerprint ?? described.id)),
        start: sha256(bytesOf(initial)),
      },
      initial,
    }
  }
  return tasks.flatMap((task) => Array.from({ length: seeds }, (_, index) => lane(task, index)))
}
