/** A folder that is gone when the test is over. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-disk-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}
