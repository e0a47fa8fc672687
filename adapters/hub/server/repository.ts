/**
 * One repository on disk. Blobs are named by content (git blob id, or sha256 for LFS), a commit is a JSON file named by its sha1, a ref is a
 * file that holds a commit's name. Blobs first, then the commit, then the ref: a kill in between leaves the old state.
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, namesIn, readText } from '../../disk/read.ts'
import { gitBlobId, sha1 } from '../digest.ts'
import { badRequest, parseJson, Refusal } from './http.ts'
import { checkRef, COMMIT, type RepoKind } from './names.ts'
import { writePrivate } from './private.ts'

export interface Origin {
  readonly id: string
  readonly title: string
  readonly date: string
}

export interface Entry {
  readonly path: string
  /** Git blob id; of the pointer file for LFS. */
  readonly oid: string
  readonly size: number
  /** sha256 of the content, for files kept by LFS. */
  readonly lfs?: string
  /** The commit that last changed the file; absent: this one. */
  readonly since?: Origin
}

export interface Commit {
  readonly parent: string | null
  readonly title: string
  readonly message: string
  readonly author: string
  readonly date: string // ISO 8601
  readonly entries: readonly Entry[] // by path
}

export interface Settings {
  readonly kind: RepoKind
  readonly id: string
  readonly private: boolean
  readonly gated: boolean
  readonly createdAt: string
}

/** The pointer file git holds in place of an LFS object. */
export const pointerOf = (oid: string, size: number): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`

export const lfsEntry = (path: string, sha256: string, size: number): Entry => ({
  path,
  oid: gitBlobId(Buffer.from(pointerOf(sha256, size))),
  size,
  lfs: sha256,
})

export class Repository {
  readonly dir: string
  /** As on disk: changed by `Repositories.save` only. */
  settings: Settings
  /** Deleted: set by `Repositories.delete` only. */
  isGone = false
  /** Writers of one repository wait for each other. */
  #last: Promise<unknown> = Promise.resolve()

  readonly #check: () => Promise<void>

  /** @param check throws where this hub no longer holds the folder */
  constructor(dir: string, settings: Settings, check: () => Promise<void>) {
    this.dir = dir
    this.settings = settings
    this.#check = check
  }

  /**
   * Runs `work` when all earlier exclusive work on this repository is done. All that changes a ref or settings by what they were is such work.
   * @throws {Refusal} 404 RepoNotFound where it was deleted meanwhile
   */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => {
      if (this.isGone) throw new Refusal(404, 'RepoNotFound', 'Repository not found')
      return work()
    })
    this.#last = mine.catch(() => {})
    return mine
  }

  blobPath(entry: Pick<Entry, 'oid' | 'lfs'>): string {
    return entry.lfs === undefined ? join(this.dir, 'blobs', entry.oid) : this.lfsPath(entry.lfs)
  }

  lfsPath(sha256: string): string {
    return join(this.dir, 'lfs', sha256)
  }

  /** Bytes of an LFS object; undefined where it was never uploaded. */
  async lfsSize(sha256: string): Promise<number | undefined> {
    return (await stat(this.lfsPath(sha256)).catch(() => undefined))?.size
  }

  async putBlob(bytes: Uint8Array): Promise<string> {
    const oid = gitBlobId(bytes)
    const path = join(this.dir, 'blobs', oid)
    if (!(await exists(path))) await writePrivate(path, bytes)
    return oid
  }

  #refPath(ref: string): string {
    const [, group, name] = /^refs\/(heads|tags|pr)\/(.+)$/.exec(ref) ?? []
    if (group === undefined || name === undefined) throw badRequest(`"${ref.slice(0, 100)}" is not a ref.`)
    return join(this.dir, 'refs', group, encodeURIComponent(checkRef(name)))
  }

  async readRef(ref: string): Promise<string | undefined> {
    return (await readText(this.#refPath(ref)))?.trim()
  }

  async writeRef(ref: string, commit: string): Promise<void> {
    await this.#check()
    await writePrivate(this.#refPath(ref), `${commit}\n`)
  }

  async deleteRef(ref: string): Promise<void> {
    await this.#check()
    await rm(this.#refPath(ref), { force: true })
  }

  /** Names and commits of all refs of one group. */
  async refs(group: 'heads' | 'tags' | 'pr'): Promise<{ name: string; ref: string; targetCommit: string }[]> {
    const names = (await namesIn(join(this.dir, 'refs', group))).map(decodeURIComponent)
    const all = names.map(async (name) => ({
      name,
      ref: `refs/${group}/${name}`,
      targetCommit: (await this.readRef(`refs/${group}/${name}`)) ?? '',
    }))
    return Promise.all(all)
  }

  /** The commit a branch, tag, `refs/…` or commit id stands for. */
  async resolve(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return (await exists(join(this.dir, 'commits', revision))) ? revision : undefined
    const name = revision === 'HEAD' ? 'main' : revision
    if (/^refs\/(heads|tags|pr)\//.test(name)) return this.readRef(name)
    checkRef(name)
    return (await this.readRef(`refs/heads/${name}`)) ?? this.readRef(`refs/tags/${name}`)
  }

  /** @throws {Refusal} 404 RevisionNotFound */
  async need(revision: string): Promise<string> {
    const commit = await this.resolve(revision)
    if (commit === undefined) throw new Refusal(404, 'RevisionNotFound', `Invalid rev id: ${revision.slice(0, 100)}`)
    return commit
  }

  async readCommit(id: string): Promise<Commit> {
    const text = COMMIT.test(id) ? await readText(join(this.dir, 'commits', id)) : undefined
    if (text === undefined) throw new Refusal(404, 'RevisionNotFound', `Invalid rev id: ${id.slice(0, 100)}`)
    return parseJson(text) as Commit // written by writeCommit only
  }

  async writeCommit(commit: Commit): Promise<string> {
    const text = JSON.stringify(commit)
    const id = sha1(text)
    await writePrivate(join(this.dir, 'commits', id), text)
    return id
  }

  /** The newest commits first, from `id` back to the first. */
  async *history(id: string): AsyncGenerator<{ id: string; commit: Commit }> {
    for (let at: string | null = id; at !== null;) {
      const commit: Commit = await this.readCommit(at)
      yield { id: at, commit }
      at = commit.parent
    }
  }
}
