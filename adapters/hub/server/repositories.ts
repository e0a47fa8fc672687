/** All repositories of a local hub, by kind and `owner/name`. */
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { namesIn, readText } from '../../disk/read.ts'
import { unfinishedName } from '../../disk/unfinished.ts'
import { parseJson } from './http.ts'
import { checkName, isName, type RepoKind } from './names.ts'
import { writePrivate } from './private.ts'
import { Repository, type Commit, type Settings } from './repository.ts'

const SETTINGS = 'repo.json'

export class Repositories {
  readonly #dir: string
  /** One object a repository, so that its writers queue; those that ask while it is opened get the same. */
  readonly #open = new Map<string, Promise<Repository | undefined>>()
  /** Creations wait for each other: of two of one name, the second finds the first's. */
  #created: Promise<unknown> = Promise.resolve()

  readonly #check: () => Promise<void>

  /** @param check before each change of a branch or of settings; throws where the folder is no longer ours */
  constructor(dir: string, check: () => Promise<void>) {
    this.#dir = dir
    this.#check = check
  }

  #path(kind: RepoKind, owner: string, name: string): string {
    return join(this.#dir, kind, checkName(owner), checkName(name))
  }

  async find(kind: RepoKind, owner: string, name: string): Promise<Repository | undefined> {
    const dir = this.#path(kind, owner, name)
    const known = this.#open.get(dir)
    if (known) return known
    const opening = this.#read(dir)
    this.#open.set(dir, opening)
    const forget = (): void => void (this.#open.get(dir) === opening && this.#open.delete(dir))
    try {
      const found = await opening
      if (found === undefined) forget()
      return found
    } catch (error) {
      forget()
      throw error
    }
  }

  async #read(dir: string): Promise<Repository | undefined> {
    const text = await readText(join(dir, SETTINGS))
    return text === undefined ? undefined : new Repository(dir, parseJson(text) as Settings, this.#check) // written by save only
  }

  /** Makes a repository with its first commit. @returns whether there was none of that name */
  async create(settings: Settings, first: Commit): Promise<boolean> {
    const [owner = '', name = ''] = settings.id.split('/')
    const make = async (): Promise<boolean> => {
      if (await this.find(settings.kind, owner, name)) return false
      const repository = new Repository(this.#path(settings.kind, owner, name), settings, this.#check)
      await repository.writeRef('refs/heads/main', await repository.writeCommit(first))
      await this.save(repository, settings) // what makes it found
      this.#open.set(repository.dir, Promise.resolve(repository))
      return true
    }
    const mine = this.#created.then(make)
    this.#created = mine.catch(() => {})
    return mine
  }

  async save(repository: Repository, settings: Settings): Promise<void> {
    await this.#check()
    await writePrivate(join(repository.dir, SETTINGS), `${JSON.stringify(settings)}\n`)
    repository.settings = settings
  }

  /** Takes it away when what is being done to it is done: what waits for its turn finds it gone, and no later one of its name has anything of it. */
  async delete(repository: Repository): Promise<void> {
    const { dir } = repository
    const aside = unfinishedName(dir)
    await repository.exclusive(async () => {
      await this.#check()
      await rename(dir, aside)
      repository.isGone = true
      this.#open.delete(dir)
    })
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
