/**
 * Whether the files of a repository can lie side by side on every disk: on ones that keep case and Unicode as they are (Linux), ones that do not
 * (Windows, macOS), and in git. Sources: learn.microsoft.com "Naming Files, Paths, and Namespaces"; Apple File System Reference, "case-insensitive".
 * Characters that only Windows forbids (`<>:"|?*`) are not looked at: readers of paths that go to a disk refuse what they must.
 */

/** Why a list of paths cannot be kept everywhere. */
export type NameReason =
  /** The same path again. */
  | 'twice'
  /** A file here is a folder there. */
  | 'file-and-folder'
  /** Two names that differ in capital letters only. */
  | 'case'
  /** Two names that look the same and are other code points, such as `é` in one and in two. */
  | 'normalisation'
  /** A name that is a device on Windows, with any ending. */
  | 'device'
  /** A name with a dot or a space at its end, which Windows takes away. */
  | 'ending'

export interface NameConflict {
  readonly reason: NameReason
  /** The path, or the folder of it, that cannot be. */
  readonly path: string
  /** What it meets, where it meets something. */
  readonly other?: string
  /** In words, on one line, names in quotes. */
  readonly words: string
}

/** With endings and superscript digits, as Windows reads them. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i

/** What disks without case and normalisation tell names apart by. */
const folded = (name: string): string => name.normalize('NFD').toUpperCase().toLowerCase().normalize('NFC')

/** On one line and within reason; with `ascii`, so that code points can be told apart. */
const shown = (path: string, ascii = false): string =>
  JSON.stringify(path.length > 120 ? `${path.slice(0, 120)}…` : path).replace(
    ascii ? /[^\u0020-\u007e]/g : /[\p{C}\p{Zl}\p{Zp}]/gu,
    (letter) => [...Array(letter.length).keys()].map((at) => `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  )

/** A file or a folder by what it is told apart by. */
interface Node {
  /** As it was first written. */
  readonly name: string
  /** What lies in it; absent for a file. */
  readonly inside?: Map<string, Node>
}

function nameAlone(part: string, path: string): NameConflict | undefined {
  if (DEVICE.test(part)) {
    return { reason: 'device', path, words: `${shown(path)} cannot be kept on Windows, where ${shown(part)} is a device` }
  }
  if (!/[. ]$/.test(part)) return undefined
  return { reason: 'ending', path, words: `${shown(path)} cannot be kept on Windows: ${shown(part)} ends with a dot or a space` }
}

function meets(path: string, other: string, isFile: boolean, node: Node): NameConflict | undefined {
  if (path !== other) {
    const reason = path.normalize('NFC') === other.normalize('NFC') ? 'normalisation' : 'case'
    const ascii = reason === 'normalisation'
    const how = ascii ? 'are the same letters in other code points' : 'differ in capital letters only'
    return { reason, path, other, words: `${shown(path, ascii)} and ${shown(other, ascii)} ${how}, and are one name on many disks` }
  }
  if (isFile && node.inside === undefined) return { reason: 'twice', path, other, words: `${shown(path)} is there twice` }
  if (isFile === (node.inside === undefined)) return undefined
  return { reason: 'file-and-folder', path, other, words: `${shown(path)} is a file and a folder` }
}

/**
 * The first path, in the order given, that cannot lie beside those before it, with the reason; undefined where all can. Time grows with their length only.
 * @param paths with `/` between the parts; that they are sound by themselves (no `..`, no empty part) is checked elsewhere
 */
export function findNameConflict(paths: readonly string[]): NameConflict | undefined {
  const root = new Map<string, Node>()
  for (const path of paths) {
    const parts = path.split('/')
    let at = root
    // The way as it is, and as it was written before.
    let [length, before] = [0, '']
    for (const [index, part] of parts.entries()) {
      const isFile = index === parts.length - 1
      length += part.length + (index === 0 ? 0 : 1)
      const alone = nameAlone(part, path)
      if (alone) return alone
      const key = folded(part)
      const found = at.get(key)
      if (found === undefined) {
        const made: Node = isFile ? { name: part } : { name: part, inside: new Map() }
        at.set(key, made)
        before += index === 0 ? part : `/${part}`
        if (made.inside) at = made.inside
        continue
      }
      before += index === 0 ? found.name : `/${found.name}`
      const conflict = meets(path.slice(0, length), before, isFile, found)
      if (conflict) return conflict
      if (found.inside) at = found.inside
    }
  }
  return undefined
}
