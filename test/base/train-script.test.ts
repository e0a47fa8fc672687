/** The script beside the shipped base runs as it stands: every stage on a scrap of text, and what it writes is a model of the same kind. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openBase } from '../../adapters/compose/open-base.ts'

const root = resolve(import.meta.dirname, '../..')
/** The environment of bench/peers/setup.sh. */
const python = process.env['SOFT_PROMPTS_PYTHON'] ?? join(root, '.peers/bin/python')
const dir = mkdtempSync(join(tmpdir(), 'train-script-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const run = (...args: string[]): string =>
  execFileSync(python, [join(root, 'models/t5-tiny-en/train.py'), ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

describe.skipIf(!existsSync(python))('models/t5-tiny-en/train.py (skipped without .peers)', () => {
  it('makes tokenizer and model of a scrap, stage by stage', { timeout: 600_000 }, async () => {
    const folder = join(dir, 'scrap')
    const said = run(folder, '--smoke')
    for (const stage of ['tokenizer', 'chunks', 'embeddings', 'pretrain', 'conclude', 'choose']) expect(said).toContain(`${stage} ok\n`)
    expect(readdirSync(folder)).toEqual(
      expect.arrayContaining(['chunks.npz', 'embeddings.pt', 'loss_log.jsonl', 'loss_log_choose.jsonl', 'loss_log_ratings.jsonl']),
    )
    const made = await openBase(join(folder, 'model'))
    const shipped = await openBase(join(root, 'models/t5-tiny-en'))
    expect(made.config).toEqual({ ...shipped.config, vocabSize: 500 })
    expect([...made.weights.keys()].toSorted()).toEqual([...shipped.weights.keys()].toSorted())
    expect(made.tokenizer.pieces.slice(-100)).toEqual(Array.from({ length: 100 }, (_, index) => `<extra_id_${99 - index}>`))
    expect(made.tokenizer.encode('the model').at(-1)).toBe(1)
    // A second run overwrites nothing.
    expect(() => run(folder, '--smoke')).toThrow(/wants an empty folder/)
  })

  it('a stage that takes its time wants to know how much', { timeout: 120_000 }, () => {
    expect(() => run(dir, 'pretrain')).toThrow(/want a number of minutes/)
  })
})
