/** The layer rule: a file imports its own folder and what stands before it; an adapter imports src/ and one outside package. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** Folders of src/ by rank: a file may import from lower ranks and from its own folder. */
const RANK: Readonly<Record<string, number>> = {
  errors: 0,
  tensor: 1,
  prompt: 2,
  graph: 2,
  data: 2,
  onnx: 3,
  t5: 4,
  decode: 5,
  train: 6,
  card: 7,
  index: 8,
}

/** Every import specifier of a file: static, dynamic and re-exports. Type-only imports count too. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  return [
    ...text.matchAll(/(?:^|[\s;}])(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|import\(\s*'([^']+)'\s*\)|^\s*import\s+'([^']+)'/gm),
  ].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

const filesUnder = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => posix.join(folder, name.split(sep).join('/')))

/** A specifier as a path from the root, or undefined where it is a package. */
const target = (file: string, specifier: string): string | undefined =>
  specifier.startsWith('.')
    ? relative(root, resolve(root, dirname(file), specifier))
        .split(sep)
        .join('/')
    : undefined

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

interface Edge {
  readonly file: string
  readonly specifier: string
  readonly path: string | undefined
}

const edges = (folder: string): Edge[] =>
  filesUnder(folder).flatMap((file) => importsOf(join(root, file)).map((specifier) => ({ file, specifier, path: target(file, specifier) })))

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item])
  return groups
}

const shown = ({ file, specifier }: Edge): string => `${file} imports ${specifier}`

/** src/data/rows.ts -> data; src/errors.ts -> errors */
const layerOf = (path: string): string => (path.split('/')[1] ?? '').replace(/\.ts$/, '')

describe('layers', () => {
  it('finds imports at all', () => {
    expect(edges('src').length).toBeGreaterThan(5)
    expect(edges('src').every((edge) => edge.path === undefined || edge.path.endsWith('.ts'))).toBe(true)
  })

  it('src/ imports only what stands before it', () => {
    const wrong = edges('src').filter(({ file, path }) => {
      if (path === undefined) return false
      if (!path.startsWith('src/')) return true
      const from = layerOf(file)
      const to = layerOf(path)
      if (from === to) return false
      const [rankFrom, rankTo] = [RANK[from], RANK[to]]
      return rankFrom === undefined || rankTo === undefined || rankTo >= rankFrom
    })
    expect(wrong.map(shown)).toEqual([])
  })

  it('src/ knows no Node, and each outside package is imported by one file', () => {
    const outside = edges('src').filter(({ path }) => path === undefined)
    expect(outside.filter(({ specifier }) => specifier.startsWith('node:')).map(shown)).toEqual([])
    const users = groupBy(outside, ({ specifier }) => packageOf(specifier))
    const shared = [...users].filter(([, list]) => new Set(list.map(({ file }) => file)).size > 1)
    expect(shared.map(([name, list]) => `${name}: ${[...new Set(list.map(({ file }) => file))].join(', ')}`)).toEqual([])
  })

  it('an adapter imports src/, the disk and itself, never another adapter; only compose/ wires them together', () => {
    const wrong = edges('adapters').filter(({ file, path }) => {
      if (path === undefined || path.startsWith('src/') || path.startsWith('hub-cards/') || path.startsWith('adapters/disk/')) return false
      const own = file.split('/').slice(0, 2).join('/')
      return !path.startsWith(`${own}/`) && !(own === 'adapters/compose' && path.startsWith('adapters/'))
    })
    expect(wrong.map(shown)).toEqual([])
  })

  it('an adapter file imports at most one outside package', () => {
    const outside = edges('adapters').filter(({ path, specifier }) => path === undefined && !specifier.startsWith('node:'))
    const byFile = groupBy(outside, ({ file }) => file)
    const wrong = [...byFile].filter(([, list]) => new Set(list.map(({ specifier }) => packageOf(specifier))).size > 1)
    expect(wrong.map(([file, list]) => `${file}: ${list.map(({ specifier }) => specifier).join(', ')}`)).toEqual([])
  })
})
