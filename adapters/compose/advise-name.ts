/** What is worth saying about the name that a base model is recorded under: whether others will find it by that name. */
import { hubIdOf, knownWidth } from '../../src/prompt/base-name.ts'
import type { Advice } from '../../src/train/advice.ts'
import type { Base } from './open-base.ts'

/** Where a model was made from, as its configuration says; a hint only, as one that was tuned further says it too. */
function originOf({ configJson }: Base): string | undefined {
  const name = (configJson as Readonly<Record<string, unknown>> | undefined)?.['_name_or_path']
  return typeof name === 'string' ? hubIdOf(name) : undefined
}

/** Advice before a run: what is trained on a folder that has no Hub id can be used where that folder is, and nowhere else. */
export function adviseName(base: Base): Advice[] {
  const { id, isLocal, config } = base
  if (!isLocal) return adviseWidth(id, config.width)
  const meant = hubIdOf(id)
  const origin = originOf(base)
  const hint = origin === undefined ? '' : ` Its config.json says that it comes from ${origin}.`
  const elsewhere =
    meant === undefined
      ? `others who load this prompt cannot find it, and push refuses to send it so`
      : `elsewhere that is read as ${meant}, which is right if it is that model`
  return [
    {
      code: 'base-local',
      message: `The base model is known by its folder's name only, ${JSON.stringify(id)}: ${elsewhere}. Say its Hub id with --base-id OWNER/NAME (in code: baseId), now or when it is pushed.${hint}`,
    },
    ...(meant === undefined ? [] : adviseWidth(meant, config.width)),
  ]
}

/** Advice where a name is that of a well-known model of another width: it will not load there. */
export function adviseWidth(id: string, width: number): Advice[] {
  const known = knownWidth(id)
  if (known === undefined || known === width) return []
  return [
    {
      code: 'base-width',
      message: `${id} is ${known} wide and this prompt ${width}: it does not fit that model. Check the base's name (--base-id, in code: baseId).`,
    },
  ]
}
