/** Base models in `prompts.lock.json`: the files that were used, by sha256. More files of the same commit (ONNX beside weights) join the entry. */
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../src/errors.ts'
import { digestOf } from './digest.ts'
import { checkLocked, readLock, withLocked, writeLock, type Locked, type LockedFile } from './lockfile.ts'
import type { Digest } from './remote.ts'
import type { Snapshot } from './snapshot.ts'

const UNKNOWN: Digest = { algorithm: 'git', hex: '' }

/** The snapshot's files by sha256: the Hub's where it has one (they were verified by it), else of the bytes. */
function describe({ dir, files }: Snapshot): Promise<LockedFile[]> {
  const described = files.map(async ({ path, size, digest }) => {
    const sha256 = digest.algorithm === 'sha256' ? digest.hex : await digestOf(join(dir, ...path.split('/')), 'sha256')
    return { path, size, sha256 }
  })
  return Promise.all(described)
}

/** Records what was fetched. */
export async function lockModel(lockFile: string, snapshot: Snapshot): Promise<void> {
  const { repo, revision, commit } = snapshot
  const fetched = await describe(snapshot)
  await writeLock(lockFile, (lock) => {
    const before = lock.models[repo]?.commit === commit ? lock.models[repo].files : []
    const kept = before.filter(({ path }) => !fetched.some((file) => file.path === path))
    const files = [...kept, ...fetched].toSorted((a, b) => (a.path < b.path ? -1 : 1))
    return withLocked(lock, 'models', repo, { revision, commit, files })
  })
}

/**
 * The pinned entry of a model.
 * @throws {HubError} `hub-lock-missing` | `hub-lock-drift` | `hub-lock-format`
 */
export async function lockedModel(lockFile: string, repo: string, revision: string | undefined): Promise<Locked> {
  return checkLocked(await readLock(lockFile), repo, revision, lockFile, 'models')
}

/**
 * Checks that each file of the snapshot is the pinned one, byte by byte: a stamp is trusted for large ones elsewhere.
 * @throws {HubError} `hub-lock-drift` | `hub-cache-corrupt`
 */
export async function checkModel(lockFile: string, locked: Locked, snapshot: Snapshot): Promise<void> {
  const pinned = new Map(locked.files.map(({ path, sha256 }) => [path, sha256]))
  // Where another client filled the cache, all that is pinned is hashed.
  const files = snapshot.files.length > 0 ? snapshot.files : locked.files.map(({ path, size }) => ({ path, size, digest: UNKNOWN }))
  const described = await describe({ ...snapshot, files })
  const drifted = described.find(({ path, sha256 }) => pinned.get(path) !== sha256)
  if (drifted === undefined) return checkBytes(snapshot)
  const why = pinned.has(drifted.path) ? 'has other bytes' : 'is not pinned'
  throw new HubError(
    'hub-lock-drift',
    `${snapshot.repo} at ${locked.commit} is not what ${lockFile} pins: ${drifted.path} ${why}. Use it once without frozen to pin what is there now.`,
    { facts: { path: drifted.path, sha256: drifted.sha256 } },
  )
}

/** Hashes what may not have been today: the files that the Hub knows by sha256. */
async function checkBytes({ repo, dir, files }: Snapshot): Promise<void> {
  for (const { path, digest } of files) {
    const at = join(dir, ...path.split('/'))
    if (digest.algorithm !== 'sha256' || (await digestOf(at, 'sha256')) === digest.hex) continue
    const spoilt = await realpath(at)
    throw new HubError('hub-cache-corrupt', `${path} of ${repo} is damaged in the cache (${spoilt}): delete that file, then pull again.`, {
      facts: { path, file: spoilt },
    })
  }
}
