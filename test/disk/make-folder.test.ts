/** Folders where they can be made, where something stands in the way, and where no folder can ever be. */
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { tryLock } from '../../adapters/disk/lock.ts'
import { makeFolder } from '../../adapters/disk/make-folder.ts'
import { replaceFile } from '../../adapters/disk/replace.ts'
import { folder } from './folder.ts'

const root = resolve(import.meta.dirname, '../..')

it('makes what is missing and says what it made', async () => {
  const dir = await folder()
  const [a, b] = [join(dir, 'a'), join(dir, 'a', 'b')]
  expect(await makeFolder(b)).toEqual([a, b])
  expect(await makeFolder(b)).toEqual([])
  expect((await stat(b)).isDirectory()).toBe(true)
})

it('many at once all find it there', async () => {
  const dir = await folder()
  const path = join(dir, 'a', 'b', 'c')
  const made = await Promise.all(Array.from({ length: 20 }, () => makeFolder(path)))
  expect(made.flat().toSorted()).toEqual([join(dir, 'a'), join(dir, 'a', 'b'), path])
})

it('a file in the way stays, and is no folder', async () => {
  const dir = await folder()
  await writeFile(join(dir, 'a'), 'text')
  await expect(makeFolder(join(dir, 'a'))).rejects.toMatchObject({ code: 'EEXIST' })
  await expect(makeFolder(join(dir, 'a', 'b'))).rejects.toMatchObject({ code: 'EEXIST' })
  expect(await readdir(dir)).toEqual(['a'])
})

it.skipIf(process.platform !== 'linux')('refuses at once where no folder can be made', async () => {
  await expect(makeFolder('/proc/x/y')).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(tryLock('/proc/x/run.lock')).rejects.toMatchObject({ code: 'disk-write' })
  await expect(replaceFile('/proc/x/y.json', '')).rejects.toMatchObject({ code: 'disk-write', facts: { path: '/proc/x/y.json' } })
})

it('no file makes folders otherwise', () => {
  const files = ['adapters', 'scripts'].flatMap((part) =>
    readdirSync(join(root, part), { recursive: true, encoding: 'utf8' }).map((name) => join(part, name)),
  )
  const sources = files.filter((name) => name.endsWith('.ts'))
  const others = sources.filter((name) => /\bmkdir(Sync)?\(/.test(readFileSync(join(root, name), 'utf8')))
  expect(others).toEqual([join('adapters', 'disk', 'make-folder.ts')])
})
