/** The prompts of a run: one for each task and seed, with the identity that its checkpoint is held to. */
import { join } from 'node:path'
import { DEFAULT_TEMPLATE } from '../../src/data/template.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import type { RunIdentity, RunSources } from '../../src/train/state.ts'
import { sha256 } from '../hub/digest.ts'
import type { Base } from './open-base.ts'
import { initialPrompt, initTextOf, type PreparedTask } from './training-task.ts'

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

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** What the rows and the prompt of a run are called, for people. */
function sourcesOf({ options, data, dev, recipe }: PreparedTask, base: Base): RunSources {
  const { template = DEFAULT_TEMPLATE, target = 'target', labelMap } = options
  const init = recipe.init === 'text' ? initTextOf(options) : recipe.init === 'prompt' ? options.initPrompt : undefined
  return {
    model: base.id,
    data: data.name,
    ...(dev && options.dev !== undefined ? { dev: dev.name } : {}),
    template,
    target,
    ...(labelMap ? { labelMap } : {}),
    ...(init === undefined ? {} : { init }),
  }
}

/** What all lanes of a run share. */
export interface LaneFacts {
  readonly described: BaseModel
  /** Digest of the base's weight files. */
  readonly weights: string
  readonly engine: string
  readonly out: string
}

/** The lanes of every task, of its seed and those that follow it. */
export function openLanes(
  tasks: readonly PreparedTask[],
  seeds: number,
  base: Base,
  { described, weights, engine, out }: LaneFacts,
): Lane[] {
  const model = sha256(JSON.stringify([described.fingerprint ?? described.id, base.config]))
  const lane = (task: PreparedTask, index: number): Lane => {
    const { name, data, dev, labels } = task
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
        ...(labels ? { labels } : {}),
        base: model,
        weights,
        start: sha256(bytesOf(initial)),
        from: sourcesOf(task, base),
      },
      initial,
    }
  }
  return tasks.flatMap((task) => Array.from({ length: seeds }, (_, index) => lane(task, index)))
}
