/** The local hub for people: a list to browse, a repository's card, its files. Pages without scripts; strangers' text is escaped or shown as text. */
import { createHash } from 'node:crypto'
import { splitCard } from '../../../../src/card/front-matter.ts'
import { cardTags, formatPage, html, STYLE } from '../../../../src/card/page.ts'
import { openRepository, passGate, splitRevision, type Call, type Handler, type RepoAddress } from '../call.ts'
import { CARD, checkCard, readCard } from '../cards.ts'
import { countIn, type JsonObject, type Refusal } from '../http.ts'
import { describeAll } from '../info.ts'
import { BODY_CHARACTERS } from '../limits.ts'
import type { PromptLines } from '../prompts.ts'
import type { Commit, Repository } from '../repository.ts'

/** Repositories of one page. */
const PAGE = 50
/** Files of one listing; more are told of. */
const MAX_FILES = 2000

const POLICY = `default-src 'none'; img-src 'self'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`

const HOME = '<a href="/">Hub</a>'

function sendPage(call: Call, title: string, body: string, status = 200): void {
  const bytes = Buffer.from(formatPage({ title, body }))
  call.response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': bytes.length,
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  })
  call.response.end(call.request.method === 'HEAD' ? undefined : bytes)
}

/** Half of a character, in a name from before such were refused, has no address. */
const encoded = (part: string): string => encodeURIComponent(part.replace(/\p{Surrogate}/gu, '\ufffd'))
const path = (...parts: readonly string[]): string => parts.map((part) => part.split('/').map(encoded).join('/')).join('/')
const kindPrefix = (address: RepoAddress): string => (address.kind === 'datasets' ? '/datasets/' : '/')
const addressOf = (address: RepoAddress): string => kindPrefix(address) + path(address.owner, address.name)
const sizeText = (bytes: number): string =>
  bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`
const texts = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((item): item is string => typeof item === 'string')

/** Of our own making: the date of the commit. */
const changed = ({ info }: Pick<Listed, 'info'>): string => info['lastModified'] as string

interface Listed {
  readonly info: JsonObject
  readonly lines: PromptLines
  readonly bases: readonly string[]
  readonly task: string
}

/** What the caller may see, newest change first. */
async function visible(call: Call): Promise<Listed[]> {
  const found: Listed[] = []
  for await (const { info, lines } of describeAll(call, 'models')) {
    const card = info['cardData'] as JsonObject
    const bases = texts(card['base_model'])
    found.push({
      info,
      lines,
      bases: bases.length > 0 || lines.base === undefined ? bases : [lines.base],
      task: typeof info['pipeline_tag'] === 'string' ? info['pipeline_tag'] : '',
    })
  }
  return found.toSorted((a, b) => (changed(a) < changed(b) ? 1 : -1))
}

const choice = (name: string, label: string, values: readonly string[], chosen: string): string =>
  `<label>${label}<select name="${name}"><option value="">any</option>${[...new Set(values)]
    .toSorted()
    .slice(0, 500)
    .map((value) => `<option value="${html(value)}"${value === chosen ? ' selected' : ''}>${html(value.slice(0, 100))}</option>`)
    .join('')}</select></label>`

/** A prompt as people choose one: what it does, on which base, how well. */
function itemOf({ info, lines }: Listed): string {
  const id = info['id'] as string
  const secret = info['private'] === true ? ' · private' : ''
  const { task, base, result } = lines
  const facts = [
    ...(base === undefined ? [] : [`for <code>${html(base)}</code>`]),
    ...(result === undefined ? [] : [`<b>${html(result)}</b>`]),
  ]
  return `<li><a href="/${path(id)}"><b>${html(id)}</b></a> <span class="soft">${html(changed({ info }).slice(0, 10))}${secret}</span>
${task === undefined ? '' : `<p>${html(task)}</p>`}${facts.length === 0 ? '' : `<p>${facts.join(', ')}</p>`}${cardTags(info['cardData'] as JsonObject)}</li>`
}

/** `/`: repositories by name, base and task. */
export async function browse(call: Call): Promise<void> {
  const all = await visible(call)
  const [base, task, search] = ['base', 'task', 'search'].map((name) => call.query.get(name) ?? '') as [string, string, string]
  const chosen = all.filter(
    (item) =>
      (base === '' || item.bases.includes(base)) &&
      (task === '' || item.task === task) &&
      (item.info['id'] as string).toLowerCase().includes(search.toLowerCase()),
  )
  const from = countIn(call.query, 'from', 0)
  const next = new URLSearchParams({ base, task, search, from: String(from + PAGE) }).toString()
  const body = `<header><h1>Hub</h1></header>
<main>
<form method="get" action="/">
<label>Name<input name="search" value="${html(search)}"></label>
${choice(
  'base',
  'Base model',
  all.flatMap(({ bases }) => bases),
  base,
)}
${choice(
  'task',
  'Task',
  all.flatMap((item) => (item.task === '' ? [] : [item.task])),
  task,
)}
<button>Show</button>
</form>
<p class="soft">${chosen.length === 1 ? '1 repository' : `${chosen.length} repositories`}</p>
<ul class="list">
${chosen
  .slice(from, from + PAGE)
  .map(itemOf)
  .join('\n')}
</ul>
${from + PAGE < chosen.length ? `<a href="/?${html(next)}">More</a>` : ''}
</main>`
  sendPage(call, 'Hub', body)
}

async function cardOf(repository: Repository, commit: Commit): Promise<string> {
  const entry = commit.entries.find((item) => item.path === CARD)
  return entry === undefined ? '' : readCard(repository, entry)
}

/** The start of a long text, up to the end of a line. */
function startOf(body: string): string {
  if (body.length <= BODY_CHARACTERS) return body
  const end = body.lastIndexOf('\n', BODY_CHARACTERS)
  return body.slice(0, end > 0 ? end : BODY_CHARACTERS)
}

const link = (name: string, to: string, on: boolean): string => (on ? `<b>${name}</b>` : `<a href="${html(to)}">${name}</a>`)

function heading(address: RepoAddress, tab: 'card' | 'files', revision: string): string {
  const here = addressOf(address)
  return `<nav>${HOME}${link('Card', here, tab === 'card')}${link('Files', `${here}/tree/${path(revision)}`, tab === 'files')}</nav>
<h1>${html(`${address.owner}/${address.name}`)}</h1>`
}

/** Whether a card's address stays inside of its repository. */
const inside = (target: string): boolean => !/(^|\/)(\.|%2e){2}(\/|$)/i.test(target) && !target.startsWith('/')

/** `/OWNER/NAME`: the card. */
export const cardPage: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  passGate(call, repository, address.owner)
  const id = await repository.need('main')
  const card = await cardOf(repository, await repository.readCommit(id))
  // Loaded at the first page: tests and machines that only push and pull never need it.
  const { bodyHtml } = await import('../../../../src/card/markdown.ts')
  const file = `${addressOf(address)}/resolve/${id}/`
  const { body } = splitCard(card)
  const start = startOf(body)
  const { data, errors, warnings } = checkCard(card)
  const shown = bodyHtml(start, { address: (target) => (inside(target) ? `${file}${target.replace(/^\.\//, '')}` : undefined) })
  const cut =
    start.length < body.length
      ? [`the card is longer than is shown here: <a href="${html(`${file}${CARD}`)}">${CARD}</a> holds all of it`]
      : []
  // That a card says nothing about itself is no news on its own page.
  const notes = [...errors, ...warnings.filter(() => card !== '' && body.length < card.length)].map((note) => html(note.replace(/\.$/, '')))
  sendPage(
    call,
    `${address.owner}/${address.name}`,
    `<header>${heading(address, 'card', 'main')}${cardTags(data)}</header>
<main>
${[...notes, ...cut].map((note) => `<p class="soft">${note}.</p>\n`).join('')}${card === '' ? '<p class="soft">This repository has no card.</p>' : shown}
</main>`,
  )
}

/** `/OWNER/NAME/tree/REVISION`: the files of a revision. */
export const filesPage: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'read')
  const { commit: id } = await splitRevision(repository, call.rest.length > 0 ? call.rest : ['main'])
  const commit = await repository.readCommit(id)
  const rows = commit.entries
    .slice(0, MAX_FILES)
    .map(
      ({ path: file, size, since, lfs, oid }) =>
        `<tr><td><a href="${html(`${addressOf(address)}/resolve/${id}/${path(file)}`)}">${html(file)}</a></td><td class="number">${sizeText(size)}</td><td><code>${html((lfs ?? oid).slice(0, 12))}</code></td><td class="number">${html((since?.date ?? commit.date).slice(0, 10))}</td></tr>`,
    )
  const more = commit.entries.length > MAX_FILES ? `<p class="soft">and ${commit.entries.length - MAX_FILES} more</p>` : ''
  sendPage(
    call,
    `Files of ${address.owner}/${address.name}`,
    `<header>${heading(address, 'files', 'main')}</header>
<main>
<p>${html(commit.title)} <span class="soft">${html(commit.author)}, ${html(commit.date.slice(0, 10))}, <code>${html(id.slice(0, 12))}</code></span></p>
<div class="wide"><table><thead><tr><th>file</th><th>size</th><th>digest</th><th>changed</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></div>${more}
</main>`,
  )
}

/** Whether a refusal is told to a person: browsers ask for HTML, clients do not. */
export const wantsPage = (call: Pick<Call, 'request'>): boolean =>
  (call.request.headers.accept ?? '').includes('text/html') && /^(GET|HEAD)$/.test(call.request.method ?? '')

/** A refusal as a page. */
export function refusalPage(call: Call, error: Refusal): void {
  sendPage(
    call,
    `${error.status}`,
    `<header><nav>${HOME}</nav><h1>${error.status}</h1></header><main><p>${html(error.message)}</p></main>`,
    error.status,
  )
}
