/**
 * Whether what lies in the cache is what the Hub listed. Other programs write there too, unverified; disks forget; people edit. Small files are hashed each
 * time they are used. Large ones are hashed once, and again when size, times or inode say that somebody wrote: the stamp of that lies in `checked`. The
 * Hub's list that they are compared with lies there too: who changes that as well is found only where the Hub is asked again, or a lock file pins the bytes.
 */
import type { BigIntStats } from 'node:fs'
import { lstat, readlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { filesBelow, isMissing, readRegular } from '../disk/read.ts'
import { writeAtomic } from '../disk/replace.ts'
import { blobPath, filePath, linkTarget, readListing, snapshotPath, type RepoCache } from './cache.ts'
import { digestOf, sha1 } from './digest.ts'
import type { RemoteFile } from './remote.ts'

/** Files up to this size are hashed each time they are used: that takes a hundredth of a second. */
export const REHASH_BYTES: number = 16 << 20

/** How a file of a snapshot stands. */
export type Standing = 'sound' | 'missing' | 'damaged'

const stampOf = ({ size, mtimeNs, ctimeNs, ino }: BigIntStats): string => `${size} ${mtimeNs} ${ctimeNs} ${ino}`

const hasDigest = async (path: string, { digest }: RemoteFile): Promise<boolean> => (await digestOf(path, digest.algorithm)) === digest.hex

/**
 * Whether a file, a link to one not counted, holds these bytes.
 * @param stamp where it stands how the file was when it was hashed last
 * @param check hash it whatever the stamp says
 */
async function holds(path: string, file: RemoteFile, stamp: string, check: boolean): Promise<boolean> {
  try {
    const found = await lstat(path, { bigint: true })
    if (!found.isFile() || found.size !== BigInt(file.size)) return false
    if (file.size <= REHASH_BYTES) return await hasDigest(path, file)
    if (!check && (await readRegular(stamp)) === stampOf(found)) return true
    if (!(await hasDigest(path, file))) return false
    // Where the cache may only be read it is hashed again the next time.
    await writeAtomic(stamp, stampOf(found)).catch(() => {})
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Whether the blob is there and sound. */
export const hasBlob = (cache: RepoCache, file: RemoteFile, check = false): Promise<boolean> =>
  holds(blobPath(cache, file.digest), file, join(cache.dir, 'checked', file.digest.hex), check)

/** How a file of a snapshot stands: a link to its sound blob, or where links are not allowed a copy of it. */
export async function standingOf(cache: RepoCache, commit: string, file: RemoteFile, check = false): Promise<Standing> {
  const path = filePath(cache, commit, file.path)
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return 'missing'
  if (!found.isSymbolicLink()) {
    const stamp = join(cache.dir, 'checked', `${file.digest.hex}-${sha1(`${commit}/${file.path}`).slice(0, 12)}`)
    return (await holds(path, file, stamp, check)) ? 'sound' : 'damaged'
  }
  if ((await readlink(path)) !== linkTarget(cache, path, file.digest)) return 'damaged'
  if (await hasBlob(cache, file, check)) return 'sound'
  return (await lstat(blobPath(cache, file.digest)).catch(() => undefined)) ? 'damaged' : 'missing'
}

/** Every file and link below a snapshot. */
const namesBelow = (cache: RepoCache, commit: string): Promise<string[]> => filesBelow(snapshotPath(cache, commit)).catch(() => [])

/** What no digest is. */
const STRAY = { algorithm: 'git', hex: 'none' } as const

/**
 * What a snapshot of another client holds, as its links say: a blob is named by git's id of its bytes, or by their sha256. A link that points elsewhere has
 * a digest that no bytes have; files of which nothing is known (copies, other names) are left out.
 */
async function readLinks(cache: RepoCache, commit: string): Promise<RemoteFile[]> {
  const files: RemoteFile[] = []
  for (const path of await namesBelow(cache, commit)) {
    const at = filePath(cache, commit, path)
    const target = await readlink(at).catch(() => undefined)
    if (target === undefined) continue
    const hex = basename(target)
    const to = resolve(dirname(at), target)
    const isOurs = to === resolve(cache.dir, 'blobs', hex)
    if (isOurs && !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hex)) continue
    const size = Number((await lstat(to).catch(() => undefined))?.size ?? 0)
    files.push({ path, size, digest: isOurs ? { algorithm: hex.length === 64 ? 'sha256' : 'git', hex } : STRAY })
  }
  return files
}

/** Files at a commit as far as the cache knows them: as the Hub listed them, or as another client's links say. */
export const knownFiles = async (cache: RepoCache, commit: string): Promise<readonly RemoteFile[]> =>
  (await readListing(cache, commit)) ?? (await readLinks(cache, commit))

type Select = (files: readonly RemoteFile[]) => readonly RemoteFile[]

/**
 * Files of these names that lie in a snapshot and are not the repository's would be read like its own.
 * @throws {HubError} `hub-cache-corrupt`
 */
export async function checkStrangers(cache: RepoCache, commit: string, listed: readonly RemoteFile[], select: Select): Promise<void> {
  const known = new Set(listed.map(({ path }) => path))
  const strange = (await namesBelow(cache, commit)).filter((path) => !known.has(path))
  if (strange.length === 0) return
  const found = strange.map((path): RemoteFile => ({ path, size: 0, digest: STRAY }))
  const taken = select([...listed, ...found]).find(({ digest }) => digest === STRAY)
  if (taken === undefined) return
  const file = filePath(cache, commit, taken.path)
  throw new HubError('hub-cache-corrupt', `${file} lies in the cache and is no file of the repository: remove it, then pull again.`, {
    facts: { path: taken.path, file },
  })
}

/** @throws {HubError} `hub-cache-corrupt` */
export function damaged(repo: string, file: string, path: string): HubError {
  return new HubError(
    'hub-cache-corrupt',
    `${path} of ${repo} is damaged in the cache (${file}): it is not what the Hub lists. Use it once online (without --offline and HF_HUB_OFFLINE): what is damaged is fetched again.`,
    { facts: { path, file } },
  )
}

/**
 * Checks a folder of the cache, file by file; undefined where it is none.
 * @returns how each file stands that the folder holds and that is wanted
 */
export async function checkSnapshotFolder(
  dir: string,
  { check = false, wanted = () => true }: { readonly check?: boolean; readonly wanted?: (path: string) => boolean } = {},
): Promise<Map<string, Standing> | undefined> {
  const [, repository, commit, folder] =
    /^(.*[/\\](?:model|dataset)s--[^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})(?:[/\\](.*))?$/.exec(resolve(dir)) ?? []
  if (repository === undefined || commit === undefined) return undefined
  const cache: RepoCache = { dir: repository, locks: '' }
  const below = folder === undefined ? '' : `${folder.replaceAll('\\', '/')}/`
  const there = new Set(await namesBelow(cache, commit))
  // Of a large repository often only some files are wanted.
  const files = (await knownFiles(cache, commit)).filter(
    ({ path }) => there.has(path) && path.startsWith(below) && wanted(path.slice(below.length)),
  )
  const standings = await Promise.all(files.map(async (file) => [file.path, await standingOf(cache, commit, file, check)] as const))
  return new Map(standings)
}
