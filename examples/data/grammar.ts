/** Sentences from templates and word lists, seeded. Development rows use templates and words of their own, so what they measure was not in the training rows. */

/** What may fill a `{slot}`; `dev` words appear in development rows only. A list without `dev` serves both. */
export interface Words {
  readonly train: readonly string[]
  readonly dev?: readonly string[]
}

export interface Task {
  readonly name: string
  readonly slots: Readonly<Record<string, Words>>
  /** Templates by label word. */
  readonly labels: Readonly<Record<string, { readonly train: readonly string[]; readonly dev: readonly string[] }>>
}

export interface Row {
  readonly input: string
  readonly target: string
}

export type Part = 'train' | 'dev'

/** `a | b | c` as a list: word lists are easier to read so. */
export const list = (text: string): string[] => text.split('|').map((word) => word.trim())

/** Words for training before the double bar, words for development after it. */
export function words(text: string): Words {
  const [train, dev] = text.split('||')
  return dev === undefined ? { train: list(train ?? '') } : { train: list(train ?? ''), dev: list(dev) }
}

/** Mulberry32: a function of its own, so that the rows never change with the library. */
function seeded(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

/** `rows` different sentences of one part, the labels in turn. */
export function makeRows(task: Task, part: Part, rows: number, seed: number): Row[] {
  const int = seeded(seed)
  const pick = (from: readonly string[]): string => from[int(from.length)] as string
  const fill = (text: string): string =>
    text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const slot = task.slots[name]
      if (slot === undefined) throw new RangeError(`${task.name}: no slot ${name}`)
      return fill(pick((part === 'dev' ? slot.dev : undefined) ?? slot.train))
    })
  const labels = Object.entries(task.labels)
  const seen = new Map<string, Row>()
  for (let tries = 0; seen.size < rows; tries += 1) {
    if (tries > 100 * rows) throw new RangeError(`${task.name}: the ${part} templates hold fewer than ${rows} sentences`)
    const [target, templates] = labels[seen.size % labels.length] as (typeof labels)[number]
    const text = fill(pick(templates[part])).replaceAll(/\b([Aa]) (?=[aeiou])/g, '$1n ')
    const input = text.replaceAll(/(?:^|[.!?] )[a-z]/g, (start) => start.toUpperCase())
    seen.set(input, { input, target })
  }
  return [...seen.values()]
}
