/** The folder of a run that is killed with -9 at each change of the disk in turn: it goes on to the logs of a run that was not. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../adapters/hub/digest.ts'
import { readIfThere } from '../../adapters/disk/read.ts'
import { parseCheckpoint } from '../../src/train/checkpoint.ts'
import { compileProgram, troubled, type Program } from '../program.ts'

let writer: Program
let root = ''
beforeAll(async () => {
  writer = compileProgram('test/compose/run-writer.ts')
  root = await mkdtemp(join(tmpdir(), 'soft-prompts-kills-'))
})
afterAll(async () => {
  writer?.remove()
  await rm(root, { recursive: true, force: true })
})

/** Runs to a step, or to the change of the disk at which it is killed; says whether it ended. */
function write(dir: string, { to = 4, killAt }: { to?: number; killAt?: number } = {}): boolean {
  const { args, env } = troubled(killAt === undefined ? {} : { killAt })
  const { status, signal, stderr } = spawnSync(process.execPath, [...args, writer.script, dir, String(to)], { env, encoding: 'utf8' })
  expect([stderr, signal === 'SIGKILL' || status === 0]).toEqual(['', true])
  return signal === null
}
const published = (dir: string): Promise<string[]> => Promise.all([0, 1].map((lane) => readFile(join(dir, `log-${lane}.jsonl`), 'utf8')))

/** Bytes of a log behind those that the state says; negative where it lacks any. */
async function tail(dir: string, lane: number): Promise<number | undefined> {
  const state = await readIfThere(join(dir, 'checkpoint/state.safetensors'))
  if (!state) return undefined
  const { size } = await stat(join(dir, `checkpoint/training_log-${lane}.jsonl`))
  return size - (parseCheckpoint(state, sha256).logs[lane]?.sizeBytes ?? 0)
}

describe('a run killed at any change of the disk', () => {
  it('goes on to the same logs, which are never shorter than its state says', async () => {
    write(join(root, 'whole'))
    const whole = await published(join(root, 'whole'))
    expect(whole.map((text) => text.trimEnd().split('\n').length)).toEqual([4, 4])
    const tails: (number | undefined)[] = []
    for (let killAt = 1; ; killAt++) {
      const dir = join(root, `killed-${killAt}`)
      const isDone = write(dir, { killAt })
      tails.push(await tail(dir, 0), await tail(dir, 1))
      // What goes on may be killed too, when it has cut one log and not the other.
      if (!isDone && killAt % 3 === 0) write(dir, { killAt: 1 + ((killAt / 3) % 18) })
      write(dir)
      expect(await published(dir)).toEqual(whole)
      if (isDone) break
    }
    const lengths = tails.filter((each) => each !== undefined)
    expect(Math.min(...lengths)).toBe(0)
    expect(lengths.filter((each) => each > 0).length).toBeGreaterThan(10)
  })

  it('goes on where its log was deleted', async () => {
    for (let killAt = 1; ; killAt++) {
      const dir = join(root, `deleted-${killAt}`)
      write(dir, { to: 2 })
      await rm(join(dir, 'checkpoint/training_log-1.jsonl'))
      const isDone = write(dir, { killAt })
      write(dir)
      const [, log = ''] = await published(dir)
      expect(
        log
          .trimEnd()
          .split('\n')
          .map((line) => (JSON.parse(line) as { step: number }).step),
      ).toEqual([3, 4])
      if (isDone) break
    }
  })
})
