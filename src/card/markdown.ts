/** Markdown of strangers as HTML that is safe in a page: markdown-it with raw HTML shown as text. Loaded only where a page is made. */
import markdownIt, { type MarkdownIt } from 'markdown-it'
import { splitCard } from './front-matter.ts'

/** Longest card that is turned into a page, characters; what follows is left out. */
const MAX_CHARACTERS = 400_000

export interface MarkdownOptions {
  /** The address of a picture or a relative link; undefined leaves the picture out. */
  readonly address?: (target: string, kind: 'image' | 'link') => string | undefined
}

/** `https:`, `mailto:` and so on: an address that needs no repository around it. */
const ABSOLUTE = /^(?:[a-z][a-z0-9+.-]*:|\/\/|#)/i

/** The one kind of HTML that is obeyed, as our cards write it: each tag on a line of its own, its title without any mark of HTML. */
const FOLD = /^<details><summary>([^<>&]{1,200})<\/summary>$/
const UNFOLD = '</details>'

const isFold = (line: string): boolean => FOLD.test(line) || line === UNFOLD

/** Makes of the lines of a fold what folds; one that nothing closes is closed at the end. */
function addFolds(parse: MarkdownIt): void {
  const { rules } = parse.renderer
  parse.block.ruler.before(
    'paragraph',
    'fold',
    (state, start, _, silent) => {
      const line = state.src.slice(state.bMarks[start], state.eMarks[start])
      // Only where nothing else is open: the tags of a fold never cross others.
      if (state.parentType !== 'root' && state.parentType !== 'paragraph') return false
      if (state.level > 0 || !isFold(line)) return false
      if (silent) return true
      const open = Number(state.env.folds ?? 0)
      if (line === UNFOLD && open === 0) return false
      state.env.folds = open + (line === UNFOLD ? -1 : 1)
      state.push('fold', '', 0).content = FOLD.exec(line)?.[1] ?? ''
      state.line = start + 1
      return true
    },
    { alt: ['paragraph', 'reference', 'blockquote', 'list', 'table'] },
  )
  rules['fold'] = (tokens, index) => {
    const title = tokens[index]?.content ?? ''
    return title === '' ? `${UNFOLD}\n` : `<details><summary>${parse.utils.escapeHtml(title)}</summary>\n`
  }
}

function parser({ address }: MarkdownOptions): MarkdownIt {
  const parse = markdownIt({ html: false, linkify: false })
  const { rules } = parse.renderer
  addFolds(parse)
  rules['link_open'] = (tokens, index, options, _, self) => {
    const token = tokens[index]
    const href = String(token?.attrGet('href') ?? '')
    if (!ABSOLUTE.test(href)) token?.attrSet('href', address?.(href, 'link') ?? '#')
    token?.attrSet('rel', 'nofollow noopener noreferrer')
    return self.renderToken(tokens, index, options)
  }
  // Alignment as a class: pages allow no style attributes.
  for (const name of ['th_open', 'td_open']) {
    rules[name] = (tokens, index, options, _, self) => {
      const token = tokens[index]
      const right = String(token?.attrGet('style') ?? '').includes('right')
      if (token) token.attrs = right ? [['class', 'number']] : []
      return self.renderToken(tokens, index, options)
    }
  }
  // A figure and its sign stay on one line.
  const plain = rules['text']
  rules['text'] = (...given) => (plain?.(...given) ?? '').replace(/(\d) %/g, '$1\u00a0%')
  rules['image'] = (tokens, index) => {
    const token = tokens[index]
    const alt = parse.utils.escapeHtml(token?.content ?? '')
    const src = String(token?.attrGet('src') ?? '')
    // A picture from elsewhere tells its host who reads the page: only the repository's own are shown.
    const found = ABSOLUTE.test(src) ? undefined : address?.(src, 'image')
    return found === undefined ? `<span class="nopicture">[${alt}]</span>` : `<img src="${parse.utils.escapeHtml(found)}" alt="${alt}">`
  }
  return parse
}

/** A card's body as HTML, without its front matter and without comments. */
export const cardHtml = (card: string, options: MarkdownOptions = {}): string =>
  bodyHtml(splitCard(card).body.slice(0, MAX_CHARACTERS), options)

/** What follows the front matter, as HTML without comments. */
export function bodyHtml(body: string, options: MarkdownOptions = {}): string {
  // Our marks and other comments stand on lines of their own; inside of code they are kept.
  const lines = body.split(/\r?\n/)
  let fence = ''
  const shown = lines.map((line) => {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? ''
    if (fence === '' && mark !== '') fence = mark
    else if (fence !== '' && mark.startsWith(fence) && line.trim() === mark) fence = ''
    return fence === '' && /^<!--(?:(?!-->).)*-->\s*$/.test(line) ? '' : line
  })
  const env: { folds?: number } = {}
  const page = parser(options).render(shown.join('\n'), env)
  return `${page}${UNFOLD.repeat(env.folds ?? 0)}`
    .replaceAll('<table>', '<div class="wide"><table>')
    .replaceAll('</table>', '</table></div>')
}
