/** A run whose folder another one has taken writes nothing more there. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openRunFolder } from '../../adapters/compose/run-folder.ts'
import { formatProcess, thisProcess } from '../../adapters/disk/processes.ts'

it('a run that lost its folder to one of another machine fails with a code and leaves that one alone', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-run-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const run = await openRunFolder(dir, {})
  const begin = (): Promise<void> => run.begin(1, { options: {}, weights: [] })
  await begin()
  const line = { step: 1, loss: 1, learning_rate: 0.3, gradient_norm: 1 }
  await run.log(0, line)
  const lock = join(dir, 'checkpoint', 'run.lock')
  const taken = `${formatProcess({ ...thisProcess(), host: 'elsewhere' })} abc\n`
  await writeFile(lock, taken)
  const writes = [begin, () => run.log(0, line), () => run.save([]), () => run.publishLog(0, join(dir, 'training_log.jsonl'))]
  for (const write of writes)
    await expect(write()).rejects.toMatchObject({ code: 'lock-lost', message: expect.stringContaining('elsewhere') })
  await run.close()
  expect([await readdir(dir), await readFile(lock, 'utf8')]).toEqual([['checkpoint'], taken])
  expect((await readFile(join(dir, 'checkpoint', 'training_log.jsonl'), 'utf8')).trimEnd().split('\n')).toHaveLength(1)
})
