/** All repositories of a local hub, by kind and `owner/name`. */
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { namesIn, readText, unfinishedName, writeAtomic } from '../disk.ts'
import { parseJson } from './http.ts'
import { checkName, isName, type RepoKind } from './names.ts'
import { Repository, type Settings } from './repository.ts'

const SETTINGS = 'repo.json'

export class Repositories {
  readonly #dir: string
  /** One object a repository, so that its writers queue; settings are read again each time. */
  readonly #open = new Map<string, Repository>()

  constructor(dir: string) {
    this.#dir = dir
  }

  #path(kind: RepoKind, owner: string, name: string): string {
    return join(this.#dir, kind, checkName(owner), checkName(name))
  }

  async find(kind: RepoKind, owner: string, name: string): Promise<Repository | undefined> {
    const dir = this.#path(kind, owner, name)
    const known = this.#open.get(dir)
    if (known) return known
    const text = await readText(join(dir, SETTINGS))
    if (text === undefined) return undefined
    const opened = this.#open.get(dir) ?? new Repository(dir, parseJson(text) as Settings) // written by save only
    this.#open.set(dir, opened)
    return opened
  }

  async save(kind: RepoKind, owner: string, name: string, settings: Settings): Promise<void> {
    const dir = this.#path(kind, owner, name)
    await writeAtomic(join(dir, SETTINGS), `${JSON.stringify(settings)}\n`)
    this.#open.delete(dir)
  }

  async delete(kind: RepoKind, owner: string, name: string): Promise<void> {
    const dir = this.#path(kind, owner, name)
    const aside = unfinishedName(dir)
    await rename(dir, aside)
    this.#open.delete(dir)
    await rm(aside, { recursive: true, force: true })
  }

  async *all(kind: RepoKind): AsyncGenerator<Repository> {
    for (const owner of (await namesIn(join(this.#dir, kind))).filter(isName)) {
      for (const name of (await namesIn(join(this.#dir, kind, owner))).filter(isName)) {
        const found = await this.find(kind, owner, name)
        if (found) yield found
      }
    }
  }
}
