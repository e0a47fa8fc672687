/** Locks of processes that died are taken over, by no more than one; those of living ones never, and who lost one to another machine writes no more. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { inTurn, tryLock, withLock } from '../../adapters/disk/lock.ts'
import { formatProcess, thisProcess } from '../../adapters/disk/processes.ts'
import { compileProgram, type Program } from '../program.ts'
import { folder } from './folder.ts'

let program: Program
beforeAll(() => {
  program = compileProgram('test/disk/holder.ts')
})
afterAll(() => program?.remove())

/** Longer ago than any lock is waited for. */
const setBack = (path: string): Promise<void> => utimes(path, new Date(0), new Date(0))

/** A process that holds the lock. @returns how to ask it for a write, which it tries while the lock is its own */
async function holder(path: string): Promise<{ pid: number; stop(): void; wake(): void; write(): Promise<string> }> {
  const child = spawn(process.execPath, [program.script, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const answer = async (): Promise<string> => String((await once(child.stdout, 'data'))[0]).trim()
  expect(await answer()).toBe('held')
  return {
    pid: child.pid ?? 0,
    stop: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
    write: () => {
      child.stdin.write('write\n')
      return answer()
    },
  }
}

/** A process that had this one's number before a restart. */
const dead = `${formatProcess({ ...thisProcess(), start: '1' })}\n`

it('of many that find a dead lock at once, never two have it', async () => {
  const dir = await folder()
  let taken = 0
  for (let round = 0; round < 40; round++) {
    const path = join(dir, String(round))
    await writeFile(path, dead)
    const locks = (await Promise.all(Array.from({ length: 12 }, () => tryLock(path)))).filter((lock) => lock !== undefined)
    expect(locks.length).toBeLessThanOrEqual(1)
    taken += locks.length
    for (const lock of locks) await lock.release()
  }
  expect(taken).toBe(40)
  expect(await readdir(dir)).toEqual([])
})

it.each([
  ['cleared a lock away', dead],
  ['began to', ''],
])('goes on after one that died while it %s', async (_, clearing) => {
  const path = join(await folder(), 'lock')
  await writeFile(path, dead)
  await writeFile(`${path}.clearing`, clearing)
  const lock = await tryLock(path)
  expect(lock).toBeDefined()
  await lock?.release()
  expect(await readdir(dirname(path))).toEqual([])
})

it('leaves a lock to one that lives and clears it away', async () => {
  const path = join(await folder(), 'lock')
  await writeFile(path, dead)
  await writeFile(`${path}.clearing`, `${formatProcess(thisProcess())} abc\n`)
  expect(await tryLock(path)).toBeUndefined()
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

it.skipIf(process.platform === 'win32')(
  'takes one that names nobody, whatever lies there, and though a clock was set back since',
  async () => {
    const dir = await folder()
    const made = (name: string): string => join(dir, name)
    await writeFile(made('empty'), '')
    await writeFile(made('half-written'), 'half-a-na')
    for (const name of ['empty', 'half-written']) await utimes(made(name), new Date(), new Date(Date.now() + 3_600_000))
    await symlink(made('nowhere'), made('link'))
    execFileSync('mkfifo', [made('pipe')])
    const names = ['empty', 'half-written', 'link', 'pipe']
    expect(await readdir(dir)).toEqual(names)
    const locks = await Promise.all(names.map((name) => tryLock(made(name))))
    for (const lock of locks) await lock?.check()
    expect(locks).not.toContain(undefined)
  },
)

it.runIf(process.platform === 'linux')('takes it from a process that has ended, though nobody has asked how', async () => {
  const path = join(await folder(), 'lock')
  // A parent that never asks: what it started stays in the table of processes.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void parent.kill('SIGKILL'))
  const pid = Number(String((await once(parent.stdout, 'data'))[0]))
  const fields = await vi.waitFor(async () => {
    const all = (await readFile(`/proc/${pid}/stat`, 'latin1')).split(') ').at(-1)?.split(' ') ?? []
    expect(all[0]).toBe('Z')
    return all
  }, 10_000)
  await writeFile(path, `${formatProcess({ ...thisProcess(), pid, start: Number(fields[19]).toString(36) })} abc\n`)
  expect(await tryLock(path)).toBeDefined()
})

it.runIf(process.platform === 'linux')(
  'never takes it from a living process of this machine, however long that one stands still',
  async () => {
    const path = join(await folder(), 'lock')
    const other = await holder(path)
    other.stop()
    await setBack(path)
    expect(await tryLock(path)).toBeUndefined()
    other.wake()
    expect(await other.write()).toBe('written')
  },
)

const work = async (): Promise<string> => 'done'

it('waits for no process that stands still: says so, or goes on where that only costs work', async () => {
  const path = join(await folder(), 'lock')
  const other = await holder(path)
  other.stop()
  await setBack(path)
  const clock = { sleep: (ms: number) => Promise.reject(new Error(`waited ${ms} ms`)) }
  const waiting = withLock(path, clock, undefined, work)
  await expect(waiting).rejects.toMatchObject({ code: 'lock-busy', message: expect.stringContaining(String(other.pid)) })
  expect(await inTurn(path, clock, undefined, work)).toBe('done')
  other.wake()
  expect(await other.write()).toBe('written')
  await utimes(path, new Date(), new Date())
  await expect(inTurn(path, clock, undefined, work)).rejects.toThrow('waited')
})

it.runIf(process.platform === 'linux')('takes it from a process whose number was given to another since', async () => {
  const path = join(await folder(), 'lock')
  // Number and space of the living parent, and when some other process began.
  await writeFile(path, `${formatProcess({ ...thisProcess(), pid: process.ppid, start: '1' })} abc\n`)
  expect(await tryLock(path)).toBeDefined()
})

it.each(['host', 'space'])('gives one of another %s its time, as its number says nothing here', async (where) => {
  const path = join(await folder(), 'lock')
  await writeFile(path, `${formatProcess({ ...thisProcess(), [where]: 'elsewhere', pid: 2 ** 22 + 1 })} abc\n`)
  expect(await tryLock(path)).toBeUndefined()
  await setBack(path)
  expect(await tryLock(path)).toBeDefined()
})

it('who lost it says so instead of writing, and leaves the new one alone', async () => {
  const path = join(await folder(), 'lock')
  const other = await holder(path)
  other.stop()
  // Another machine has waited long enough and taken it.
  const taken = `${formatProcess({ ...thisProcess(), host: 'elsewhere' })} abc\n`
  await writeFile(path, taken)
  other.wake()
  expect(await other.write()).toBe('lock-lost')
  expect(await readFile(path, 'utf8')).toBe(taken)
})

it('of two holdings by one process, the first does not give back or keep the second', async () => {
  const path = join(await folder(), 'lock')
  const first = await tryLock(path)
  await writeFile(path, dead)
  const second = await tryLock(path)
  await expect(first?.check()).rejects.toMatchObject({ code: 'lock-lost', message: expect.stringContaining(String(process.pid)) })
  await first?.release()
  await second?.check()
  await second?.release()
  await expect(second?.check()).rejects.toMatchObject({ code: 'lock-lost', message: expect.stringContaining('removed') })
})
