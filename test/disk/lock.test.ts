/** Locks of processes that died: one takes them over, and no more than one. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { tryLock } from '../../adapters/disk/lock.ts'
import { formatProcess, thisProcess } from '../../adapters/disk/processes.ts'
import { folder } from './folder.ts'

/** A process that had this one's number before a restart. */
const dead = `${formatProcess({ ...thisProcess(), start: '1' })}\n`

it('of many that find a dead lock at once, never two have it', async () => {
  const dir = await folder()
  let taken = 0
  for (let round = 0; round < 40; round++) {
    const path = join(dir, String(round))
    await writeFile(path, dead)
    const releases = (await Promise.all(Array.from({ length: 12 }, () => tryLock(path)))).filter((release) => release !== undefined)
    expect(releases.length).toBeLessThanOrEqual(1)
    taken += releases.length
    for (const release of releases) await release()
  }
  expect(taken).toBe(40)
  expect(await readdir(dir)).toEqual([])
})

it('goes on after one that died while it cleared a lock away', async () => {
  const path = join(await folder(), 'lock')
  for (const each of [path, `${path}.clearing`]) await writeFile(each, dead)
  expect(await tryLock(path)).toBeUndefined()
  const release = await tryLock(path)
  expect(release).toBeDefined()
  expect(await tryLock(path)).toBeUndefined()
  await release?.()
})

it('waits for one that has not written its name yet, not for one that never will', async () => {
  const path = join(await folder(), 'lock')
  await writeFile(path, '')
  const waiting = tryLock(path)
  await writeFile(path, `${formatProcess(thisProcess())}\n`)
  expect(await waiting).toBeUndefined()
  await writeFile(path, '')
  expect(await tryLock(path)).toBeDefined()
})
