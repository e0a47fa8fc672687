/** What stands in a file's folder after it was replaced, by one who succeeds, fails, or was killed. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { formatProcess, isGone, parseProcess, thisProcess } from '../../adapters/disk/processes.ts'
import { replaceFile, replaceWith } from '../../adapters/disk/replace.ts'
import { unfinishedName } from '../../adapters/disk/unfinished.ts'
import { folder } from './folder.ts'

it('clears away what gone processes left beside the file, and nothing else', async () => {
  const dir = await folder()
  const path = join(dir, 'a.json')
  const gone = formatProcess({ ...thisProcess(), start: '1' })
  const elsewhere = formatProcess({ ...thisProcess(), host: 'elsewhere', start: '1' })
  const kept = [`a.json+${elsewhere}.w.1.unfinished`, `ab.json+${gone}.w.1.unfinished`, 'a.json+notes.unfinished', 'a.json.bak']
  for (const name of [`a.json+${gone}.w.1.unfinished`, ...kept]) await writeFile(join(dir, name), '')
  const living = unfinishedName(path)
  await writeFile(living, '')
  await replaceFile(path, 'new')
  expect((await readdir(dir)).map((name) => join(dir, name)).toSorted()).toEqual(
    [path, living, ...kept.map((name) => join(dir, name))].toSorted(),
  )
})

it('keeps the old file where the new one cannot be made', async () => {
  const dir = await folder()
  const path = join(dir, 'sub', 'a.json')
  await replaceFile(path, 'old')
  const made = replaceWith(path, async (beside) => {
    await writeFile(beside, 'half')
    throw new Error('no room')
  })
  await expect(made).rejects.toThrow('no room')
  expect([await readdir(join(dir, 'sub')), await readFile(path, 'utf8')]).toEqual([['a.json'], 'old'])
})

it('tells a process from another that had its number, and knows nothing of other machines', () => {
  const us = thisProcess()
  expect(parseProcess(formatProcess(us))).toEqual(us)
  expect(['', 'a-b', 'a-0-b', 'a-1-', '../a-1-b', `${formatProcess(us)}\n`].map(parseProcess)).toEqual(Array.from({ length: 6 }))
  expect(isGone(us)).toBe(false)
  expect(isGone({ ...us, start: '1' })).toBe(true)
  expect(isGone({ ...us, pid: 2 ** 22 + 1 })).toBe(true) // beyond the largest number
  expect(isGone({ ...us, host: 'elsewhere', start: '1' })).toBe(false)
  // Where the system does not say when a process began: a living number of before the machine was started is another's.
  const { space: _, ...bare } = us
  const parent = { ...bare, pid: process.ppid }
  expect([isGone(parent, 0, bare), isGone(parent, Date.now(), bare), isGone(parent, undefined, bare)]).toEqual([true, false, false])
})
