/** What the name of a base model says: a repository on the Hub, a folder, or a path on somebody's disk. One rule for all; it is the Hub's own (huggingface_hub, `validate_repo_id`). */

const PART = String.raw`[A-Za-z0-9_](?:[\w.-]{0,94}\w)?`
const HUB_ID = new RegExp(`^${PART}/${PART}$`)

/** The original T5s have names without an owner, from before the Hub had owners; it serves them as these. */
const T5_NAME = /^t5-(?:small|base|large|3b|11b)$/

/** Whether a text is OWNER/NAME as the Hub allows it. `./x`, `../x`, `~/x`, `C:\x` and everything else with a path's marks is not. */
export const isHubId = (name: string): boolean => HUB_ID.test(name) && !/--|\.\./.test(name)

/** The Hub id that a base's name means: OWNER/NAME as it stands, `t5-small` and its like with their owner; undefined for a folder or path. */
export const hubIdOf = (name: string): string | undefined => (T5_NAME.test(name) ? `google-t5/${name}` : isHubId(name) ? name : undefined)

/** One name for a base, however it is written: what to compare by. */
export const canonicalBase = (name: string): string => hubIdOf(name) ?? name

/** Whether a base's name is a place on a disk, which tells others nothing and them too much. A folder's bare name is none. */
export const isPath = (name: string): boolean =>
  hubIdOf(name) === undefined && (/[/\\]/.test(name) || /^(?:~|[A-Za-z]:|\.{1,2}$)/.test(name))

/** The last part of a path of any system; a name that is no path is itself. */
export const folderName = (path: string): string =>
  path.split(/[/\\]/).findLast((part) => !/^(?:|~.*|[A-Za-z]:|\.{1,2})$/.test(part)) ?? 'base'

/** A base's name as it may be shown to others: its Hub id, else its folder's name, never a path. */
export const shownBase = (name: string): string => hubIdOf(name) ?? (isPath(name) ? folderName(name) : name)

/** What may stand in front matter and text as it is. */
const PLAIN = /^\w[\w. -]*$/

/** In front matter these part a key from its value, a line from the next and a text from its comment: no path is looked for across them. */
const PARTING = /[\p{Cc}\p{Zl}\p{Zp}]|: | #/u

/**
 * A text of somebody's with a base's path replaced by a name, wherever it stands whole: other programs write it into their cards.
 * What has no part that is a word (`~`, `./`) is left: it means other things too.
 */
export function renamePath(text: string, base: string, name: string = shownBase(base)): string {
  const path = base.trim()
  if (!isPath(path) || !/[/\\]/.test(path) || !path.split(/[/\\]/).some((part) => /\w/.test(part)) || PARTING.test(path)) return text
  const whole = `(?<![\\w./\\\\~-])${path.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)}(?![\\w/\\\\…-])`
  return text.replace(new RegExp(whole, 'g'), () => (hubIdOf(name) !== undefined || PLAIN.test(name) ? name : 'base'))
}

const SIZES: Readonly<Record<string, number>> = { small: 512, base: 768, large: 1024, xl: 2048, xxl: 4096 }
const OF_GOOGLE = /^google\/(?:flan-t5-|t5-v1_1-|mt5-|umt5-|t5-(?=\w+-lm-adapt$))(small|base|large|xl|xxl)(?:-lm-adapt)?$/

/** Hidden size D of a well-known base; undefined for any other. */
export function knownWidth(name: string): number | undefined {
  const id = canonicalBase(name)
  // The two largest of the original T5s are wide in their feed-forward layers only.
  if (id.startsWith('google-t5/t5-') && hubIdOf(id.slice('google-t5/'.length)) === id)
    return SIZES[id.slice('google-t5/t5-'.length)] ?? 1024
  const size = OF_GOOGLE.exec(id)?.[1]
  return size === undefined ? undefined : SIZES[size]
}
