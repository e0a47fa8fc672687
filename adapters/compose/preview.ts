/** A card as a page in one file, as the Hub would show it; pictures of the folder inside. */
import { createHash } from 'node:crypto'
import { readFile, realpath, stat } from 'node:fs/promises'
import { basename, extname, join, relative, resolve, sep } from 'node:path'
import { readCardData } from '../../src/card/front-matter.ts'
import { cardTags, formatPage, html, STYLE } from '../../src/card/page.ts'

/** Kinds of picture that are put into a page. */
const PICTURES: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
}
/** A curve has 12 KB; a photograph a few MB. */
const MAX_PICTURE_BYTES = 8 << 20

/** A picture of the folder as a data address; undefined for anything else, or outside of it. */
async function pictureOf(dir: string, target: string, made: ReadonlyMap<string, string>): Promise<string | undefined> {
  const type = PICTURES[extname(target).toLowerCase()]
  if (type === undefined) return undefined
  const fresh = made.get(target)
  if (fresh !== undefined) return `data:${type};base64,${Buffer.from(fresh).toString('base64')}`
  try {
    const path = await realpath(join(dir, decodeURI(target)))
    const inside = relative(await realpath(dir), path)
    const { size } = await stat(path)
    if (inside.startsWith(`..${sep}`) || inside === '..' || size > MAX_PICTURE_BYTES) return undefined
    return `data:${type};base64,${(await readFile(path)).toString('base64')}`
  } catch {
    return undefined
  }
}

/**
 * The page of a card.
 * @param files README.md and what else was made for it (loss.svg), by name
 * @param dir the folder or bundle: pictures are looked for in it, and it names what has no other name
 */
export async function previewCard(files: ReadonlyMap<string, string>, dir: string): Promise<string> {
  // Loaded only here: no other command needs a Markdown parser.
  const { cardHtml } = await import('../../src/card/markdown.ts')
  const card = files.get('README.md') ?? ''
  const asked: string[] = []
  cardHtml(card, { address: (target, kind) => (kind === 'image' ? void asked.push(target) : undefined) })
  const pictures = new Map<string, string | undefined>()
  for (const target of new Set(asked)) pictures.set(target, await pictureOf(dir, target, files))
  const body = cardHtml(card, { address: (target, kind) => (kind === 'image' ? pictures.get(target) : target) })
  const data = readCardData(card)
  const [model] = Array.isArray(data['model-index']) ? (data['model-index'] as unknown[]) : []
  const named = (model as { name?: unknown } | undefined)?.name
  // A pack, and a prompt without results, have no name in the front matter: that of the folder or bundle is what its card is called after.
  const title = typeof named === 'string' ? named : basename(resolve(dir)).replace(/\.(?:tar\.gz|tgz)$/, '')
  const style = createHash('sha256').update(STYLE).digest('base64')
  return formatPage({
    title,
    policy: `default-src 'none'; img-src data:; style-src 'sha256-${style}'; base-uri 'none'; form-action 'none'`,
    body: `<header><b>${html(title)}</b>${cardTags(data)}</header>\n<main>\n${body}</main>`,
  })
}
