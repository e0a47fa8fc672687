/** What a manifest says of the base model a prompt is trained on. */
import type { BaseModel } from '../../src/prompt/manifest.ts'
import type { Base } from './open-base.ts'

export function baseModel({ id, revision }: Base): BaseModel {
  return { id, ...(revision === undefined ? {} : { revision }) }
}
