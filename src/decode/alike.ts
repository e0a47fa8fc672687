/** Rows that run together: those that are alike in what a batch has only one of. */

/** Indices of what is alike, in the order of the first of each kind; `of` gives what is compared, by its JSON. */
export function alike<T>(each: readonly T[], of: (item: T) => unknown): number[][] {
  const groups = new Map<string, number[]>()
  for (const [index, item] of each.entries()) {
    const key = JSON.stringify(of(item))
    const group = groups.get(key)
    if (group) group.push(index)
    else groups.set(key, [index])
  }
  return [...groups.values()]
}
